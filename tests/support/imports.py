"""Imports of the package's modules, and the room of each module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support.paths import CHECKOUT

FILES = sorted(path.relative_to(CHECKOUT) for path in (CHECKOUT / "lightner").rglob("*.py"))


def imported(source: str, package: str) -> Iterator[str]:
    """Full dotted names of everything that a module of `package` imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*parent, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def names_in(path: Path) -> list[str]:
    return list(imported((CHECKOUT / path).read_text(encoding="utf-8"), ".".join(path.parent.parts)))


def room(path: Path) -> str:
    return path.with_suffix("").parts[1]
