"""Labels as callers give them: names, and words or a description where a name says too little.

Checked once, here, and made a `LabelSet`; pure. What a backbone makes of the words is `model`'s business.
"""

from __future__ import annotations

import hashlib
import json
import reprlib
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from lightner.types import InputError, LabelSet, label_words
from lightner.words import split_words

GivenLabels: TypeAlias = Iterable[str] | Mapping[str, str | Iterable[str] | None]
"""Names; or each name's description, its words, or None where the name itself says enough."""


def label_set(given: GivenLabels) -> LabelSet:
    """The labels in the order of their names, whatever order they were given in.

    A description is split into words as a text is. Without words a label has those of its name.

    Raises:
        InputError: there is none, or one is given twice, is not printable, has white space around it, or no words.
    """
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise InputError(f"labels: found {_described(given)}, expected a list of names, or a mapping of names to words")
    pairs: Iterable[tuple[object, object]] = (
        given.items() if isinstance(given, Mapping) else ((name, None) for name in given)
    )
    words: dict[str, object] = {}
    for given_name, value in pairs:
        name = _checked_name(given_name)
        if name in words:
            raise InputError(f"labels: found {name!r} twice, expected distinct names")
        words[name] = value
    if not words:
        raise InputError("labels: found none, expected at least one")
    return LabelSet.of(words, {name: _words(name, value) for name, value in words.items()})


def parse_labels(text: str) -> dict[str, str | None]:
    """Labels as people type them: names between commas or line ends, each with a description after a colon if need be.

    `dish, price: what it costs` -> a mapping that `label_set` takes. Raises InputError for a name that comes twice.
    """
    found: dict[str, str | None] = {}
    for part in text.replace("\n", ",").split(","):
        name, _, description = (piece.strip() for piece in part.partition(":"))
        if not name and not description:
            continue
        if name in found:
            raise InputError(f"labels: found {name!r} twice, expected distinct names")
        found[name] = description or None
    return found


def content_key(labels: LabelSet) -> str:
    """A digest of names and words, the same on every machine."""
    return hashlib.sha256(json.dumps({"version": 1, "labels": [labels.names, labels.words]}).encode()).hexdigest()


def _checked_name(name: object) -> str:
    if not isinstance(name, str):
        raise InputError(f"labels: found {_described(name)}, expected names as strings")
    if not name or name != name.strip() or not name.isprintable():
        raise InputError(
            f"labels: found the name {reprlib.repr(name)}, expected printable text without white space around it"
        )
    return name


def _words(name: str, given: object) -> tuple[str, ...]:
    if given is None:
        return label_words(name)
    if isinstance(given, str):
        words: tuple[object, ...] = tuple(word.text for word in split_words(given))
    elif isinstance(given, Iterable) and not isinstance(given, bytes | Mapping):
        words = tuple(given)
    else:
        raise InputError(f"label {name!r}: found {_described(given)}, expected a description or a list of words")
    if not words:
        raise InputError(f"label {name!r}: found {_described(given)}, expected at least one word")
    for word in words:
        if not isinstance(word, str) or not word.strip() or not word.isprintable():
            raise InputError(f"label {name!r}: found the word {_described(word)}, expected printable text")
    return tuple(map(str, words))


def _described(value: object) -> str:
    return reprlib.repr(value) if isinstance(value, str) else f"{reprlib.repr(value)} ({type(value).__name__})"
