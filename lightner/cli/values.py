"""Parsers of values on the command line; each raises InputError, without the option's name, for a wrong value."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

from lightner.jobs.command import SUBMITTED
from lightner.thresholds import TUNED
from lightner.types import InputError

MAX_SEED = 2**32 - 1


def place(text: str) -> str:
    """A URL unchanged, a folder as an absolute path."""
    return text if "://" in text else str(_absolute(text, "a URL or an absolute path"))


def shared_path(text: str) -> Path:
    """An absolute path in the file system, which every node sees."""
    if "://" in text:
        raise InputError(f"found {text!r}, expected a path that every node sees")
    return _absolute(text, "an absolute path")


def full_path(text: str) -> Path:
    """A path that means the same in workers, which run in other folders."""
    return _expanded(text).resolve()


def at_least(least: int) -> Callable[[str], int]:
    """A parser of whole numbers from `least` up."""

    def parse(text: str) -> int:
        number = int(text) if text.strip().removeprefix("-").isdecimal() else least - 1
        if number < least:
            raise InputError(f"found {text!r}, expected a whole number, at least {least}")
        return number

    return parse


def seed(text: str) -> int:
    """A seed of random numbers."""
    number = at_least(0)(text)
    if number > MAX_SEED:
        raise InputError(f"found {text!r}, expected at most {MAX_SEED}")
    return number


def minutes(text: str) -> float:
    """A time in minutes."""
    number = _number(text)
    if not 0 < number < math.inf:
        raise InputError(f"found {text!r}, expected a number of minutes above 0")
    return number


def rate(text: str) -> float:
    """A learning rate."""
    number = _number(text)
    if not 0 < number < 1:
        raise InputError(f"found {text!r}, expected a number above 0 and below 1")
    return number


def share(text: str) -> float:
    """A share between 0 and 1."""
    number = _number(text)
    if not 0 <= number <= 1:
        raise InputError(f"found {text!r}, expected a number from 0 to 1")
    return number


def threshold(text: str) -> float | str:
    """A lowest score, or the word for those that were fitted."""
    return text if text == TUNED else share(text)


def label_threshold(text: str) -> tuple[str, float]:
    """A label and its lowest score, as in `dish=0.5`."""
    label, equals, number = text.rpartition("=")
    if not equals or not label:
        raise InputError(f"found {text!r}, expected a label and a number, as in dish=0.5")
    return label, share(number)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _absolute(text: str, expected: str) -> Path:
    folder = _expanded(text)
    if SUBMITTED in os.environ and not folder.is_absolute():
        raise InputError(f"found {text!r}, expected {expected}: a submitted job runs in a copy of its folder")
    return folder.resolve()


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise InputError(f"found {text!r}, expected the name of a user after ~") from error
