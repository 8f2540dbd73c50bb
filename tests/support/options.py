"""The values that a command line is parsed into, for tests of the code that uses them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightner.cli.program import group
from lightner.jobs.options import AnnotateOptions, PretrainOptions, TuneOptions


def tune_options(words: Sequence[str]) -> TuneOptions:
    return TuneOptions(**parsed("tune", words))


def annotate_options(words: Sequence[str]) -> AnnotateOptions:
    return AnnotateOptions(**parsed("annotate", words))


def pretrain_options(words: Sequence[str]) -> PretrainOptions:
    return PretrainOptions(**parsed("pretrain", words))


def parsed(name: str, words: Sequence[str]) -> dict[str, Any]:
    """The values that the command `name` would be called with."""
    return group.commands[name].make_context(name, list(words)).params
