"""Backbones on the Hugging Face hub in the form of `lightner pretrain`; transformers loads those in its own form."""

from __future__ import annotations

import re
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from lightner.model.embedded import MANIFEST
from lightner.types import DISTRIBUTION, InputError

HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
FAILURES = (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError)
"""What huggingface_hub raises for a repository or a file that it cannot get or send."""


def fetched(name: str) -> Path | None:
    """The files of a repository, fetched or from the cache; None for what is no repository, or one of another form.

    Raises InputError if some of its files cannot be fetched.
    """
    if Path(name).exists() or HUB_NAME.fullmatch(name) is None:
        return None
    try:
        huggingface_hub.hf_hub_download(name, MANIFEST, library_name=DISTRIBUTION)
    except FAILURES:
        return None  # transformers asks again, and says why it gets nothing
    try:
        return Path(huggingface_hub.snapshot_download(name, library_name=DISTRIBUTION))
    except FAILURES as error:
        raise InputError(
            f"backbone {name!r}: found files that cannot be had ({reason(error)}), expected all"
        ) from error


def reason(error: Exception) -> str:
    """Why the hub gave or took nothing, in one line."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
