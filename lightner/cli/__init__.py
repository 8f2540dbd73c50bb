"""The `lightner` command: `main` is its entry point."""

from lightner.cli.program import main as main
