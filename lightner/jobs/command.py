"""Shared by all jobs: default folders, and one-line answers to mistakes. Knows neither Ray nor command lines."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from lightner.model import languages
from lightner.store.objects import RegistryUnavailable
from lightner.types import InputError

SUBMITTED = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Ray sets this in what `ray job submit` runs."""
SPIN = "GOMP_SPINCOUNT", "10000"
"""How long threads that compute together stay awake for one another (GNU OpenMP, which torch has on Linux). By default
longer than the system lets a thread wait whose core another program uses, for which a step took 50 times as long."""
FAULTS: tuple[type[Exception], ...] = (InputError, RegistryUnavailable, OSError)
"""Reported in one line: a mistake of the caller; a failing store or disk."""
MISTAKE, FAILURE = 2, 1
"""Exit statuses."""


def exit_status(work: Callable[[], None], *failures: type[Exception]) -> int:
    """Do the work. A mistake of the caller is one line and status 2; a failing store or disk, or an error of
    `failures`, is one line and status 1."""
    try:
        work()
    except BrokenPipeError:
        # The reader of the output has ended, as `head` does. Python would complain about it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (*FAULTS, *failures) as error:
        print("error:", " ".join(line.strip() for line in str(error).splitlines()), file=sys.stderr)
        return MISTAKE if isinstance(error, InputError) else FAILURE
    return 0


def home() -> Path:
    """The default folder for prompts and runs."""
    return Path(os.environ.get("LIGHTNER_HOME", Path.home() / ".lightner"))


def default_registry() -> str:
    """URL or folder of the prompt registry unless another one is given."""
    return os.environ.get("LIGHTNER_REGISTRY", str(home() / "registry"))


def backbone_name(name: str | None) -> str | None:
    """A folder as its absolute path, since workers run in other folders; other names unchanged."""
    return None if name is None else languages.absolute(name)
