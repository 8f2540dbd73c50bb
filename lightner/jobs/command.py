"""What the jobs' command lines share: where things are kept, and one-line answers to mistakes. Knows no Ray."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from lightner.store.registry import RegistryUnavailable
from lightner.types import InputError

SUBMITTED = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Ray sets this in what `ray job submit` runs."""
MAX_SEED = 2**32 - 1
FAULTS: tuple[type[Exception], ...] = (InputError, RegistryUnavailable, OSError)
"""Told in one line: a mistake of the caller; a failing store or disk."""
_MISTAKE, _FAILURE = 2, 1


class Parser(argparse.ArgumentParser):
    """Refuses options in one line, as other bad input is refused; the usage is there for `--help`."""

    def __init__(self, description: str | None) -> None:
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)

    def error(self, message: str) -> NoReturn:
        self.exit(_MISTAKE, f"error: {message} (--help lists all options)\n")


def exit_status(work: Callable[[], None]) -> int:
    """Do the work. A mistake of the caller is told in one line with status 2, a failing store or disk with status 1."""
    try:
        work()
    except FAULTS as error:
        print("error:", " ".join(line.strip() for line in str(error).splitlines()), file=sys.stderr)
        return _MISTAKE if isinstance(error, InputError) else _FAILURE
    return 0


def home() -> Path:
    """Where prompts and runs are kept unless told otherwise."""
    return Path(os.environ.get("LIGHTNER_HOME", Path.home() / ".lightner"))


def default_registry() -> str:
    """URL or folder of the prompt registry unless told otherwise."""
    return os.environ.get("LIGHTNER_REGISTRY", str(home() / "registry"))


def backbone_name(name: str | None) -> str | None:
    """A folder by its full path, since workers run in folders of their own; other names as they are."""
    return str(Path(name).resolve()) if name is not None and Path(name).is_dir() else name


def place(text: str) -> str:
    """A URL as it is, a folder as an absolute path. An option's type."""
    return text if "://" in text else str(_absolute(text, "a URL or an absolute path"))


def shared_path(text: str) -> Path:
    """An absolute path in the file system. An option's type."""
    if "://" in text:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a path that every node sees")
    return _absolute(text, "an absolute path")


def at_least(least: int) -> Callable[[str], int]:
    """The type of an option that is a whole number from `least` on."""

    def parse(text: str) -> int:
        number = int(text) if text.strip().lstrip("-").isdecimal() else least - 1
        if number < least:
            raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number, at least {least}")
        return number

    return parse


def seed(text: str) -> int:
    """What random numbers begin with. An option's type."""
    number = at_least(0)(text)
    if number > MAX_SEED:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected at most {MAX_SEED}")
    return number


def minutes(text: str) -> float:
    """A time. An option's type."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number of minutes above 0")
    return number


def rate(text: str) -> float:
    """A learning rate. An option's type."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number above 0 and below 1")
    return number


def _absolute(text: str, expected: str) -> Path:
    try:
        folder = Path(text).expanduser()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected the name of a user behind ~") from error
    if SUBMITTED in os.environ and not folder.is_absolute():
        raise argparse.ArgumentTypeError(
            f"found {text!r}, expected {expected}: a submitted job runs in a copy of its folder"
        )
    return folder.resolve()
