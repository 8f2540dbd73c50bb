"""Labels of a command line: their names, and files with the words or descriptions of them. Knows no model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightner.labels import label_set
from lightner.types import InputError, LabelSet


def labels_given(
    names: Mapping[str, str | None], *, label_words: str | None = None, descriptions: str | None = None
) -> LabelSet:
    """The labels of a command line; each name perhaps with a description, or with words or one in a file.

    Raises:
        InputError: a label is malformed, is described twice, or is in the file and not among the names.
    """
    found: Mapping[str, Any] = described(label_words=label_words, descriptions=descriptions)
    file = label_words or descriptions
    if unknown := sorted(set(found) - set(names)):
        raise InputError(f"{file}: found labels {unknown}, expected only {sorted(names)}")
    if twice := sorted(name for name in found if names[name] is not None):
        raise InputError(f"{file}: found labels {twice} that --labels describes too, expected one description of each")
    return label_set({**names, **found})


def described(*, label_words: str | None, descriptions: str | None) -> dict[str, tuple[str, ...]]:
    """The words of each label in the one of two files that is given: JSON of lists of words, or of descriptions.

    A description is split into words as a text is. Raises InputError for whatever is wrong with the file.
    """
    if label_words is not None and descriptions is not None:
        raise InputError(f"--descriptions: found {descriptions} beside --label-words {label_words}, expected one")
    if label_words is not None:
        return {name: tuple(words) for name, words in _label_words(label_words).items()}
    if descriptions is None:
        return {}
    found = _object(descriptions, "descriptions")
    for name, description in found.items():
        if not isinstance(description, str) or not description.strip():
            raise InputError(f"{descriptions}: found {description!r} for label {name!r}, expected a description")
    try:
        labels = label_set(found) if found else LabelSet((), ())
    except InputError as error:
        raise InputError(f"{descriptions}: {error}") from error
    return dict(zip(labels.names, labels.words, strict=True))


def _label_words(file: str) -> dict[str, list[str]]:
    found = _object(file, "lists of words")
    for name, words in found.items():
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
            raise InputError(f"{file}: found {words!r} for label {name!r}, expected a list of words")
    return found


def _object(file: str, of: str) -> dict[str, Any]:
    try:
        found = json.loads(read_text(file))
    except ValueError as error:
        raise InputError(f"{file}: found no JSON ({error}), expected an object of {of}") from error
    if not isinstance(found, dict):
        raise InputError(f"{file}: found {type(found).__name__}, expected an object of {of}")
    return found


def read_text(file: str) -> str:
    """What is in a UTF-8 file. Raises InputError."""
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: found no readable text ({error}), expected a UTF-8 file") from error
