"""Texts as callers give them: strings or lists of words, checked where they come in.

Knows nothing of how a text is read, and needs nothing but Python, so that the client may use it.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import TypeAlias

from lightner.types import InputError

Text: TypeAlias = str | tuple[str, ...]
"""A text as it is, or as pre-split words: then its characters are those of the words with a space between each two."""

# What a given word is, as over HTTP: no white space around it.
WORD_PATTERN = r"^[^\s\u0085\ufeff]([\s\S]*[^\s\u0085\ufeff])?$"


def checked_texts(texts: object) -> tuple[Text, ...]:
    """Texts from any iterable of strings and of lists of words.

    Raises:
        InputError: `texts` is a single text, a table, a mapping or has no order, or one of them is no text; the message
            names the place and what was found there.
    """
    return tuple(checked_text(text, f"texts[{place}]") for place, text in enumerate(checked_list(texts, "texts")))


def checked_list(values: object, what: str) -> Iterable[object]:
    """`values`, if they are several in an order; otherwise InputError, which says `what` they are."""
    kind, expected = type(values).__name__, f"expected a list of {what}"
    if isinstance(values, str):
        raise InputError(f"{what}: found the string {values[:40]!r}, {expected}")
    # Iterating over a table or a mapping gives its column names or keys, which look like texts.
    if isinstance(values, Mapping) or hasattr(values, "columns") or hasattr(values, "column_names"):
        raise InputError(f"{what}: found a {kind}, {expected}, such as one of its columns or values")
    if not isinstance(values, Iterable) or isinstance(values, bytes | bytearray | AbstractSet):
        raise InputError(f"{what}: found {_described(values)}, {expected}")
    return values


def checked_text(text: object, where: str) -> Text:
    """`text`, if it is a string or a list of words; otherwise InputError, which says `where` it was found."""
    if isinstance(text, str):
        return text
    words = text.tolist() if hasattr(text, "tolist") else text  # an array, as data frames hold lists
    if not isinstance(words, list | tuple):
        raise InputError(f"{where}: found {_described(text)}, expected a string or a list of words")
    for place, word in enumerate(words):
        if not isinstance(word, str):
            raise InputError(f"{where}[{place}]: found {_described(word)}, expected a word as a string")
        if not re.fullmatch(WORD_PATTERN, word):
            raise InputError(
                f"{where}[{place}]: found {reprlib.repr(word)}, expected a word without white space around it"
            )
        if has_lone_surrogate(word):
            raise InputError(f"{where}[{place}]: found half of a surrogate pair, expected text that UTF-8 can hold")
    return tuple(words)


def has_lone_surrogate(text: str) -> bool:
    """Whether `text` holds half of a surrogate pair, which is no character and cannot be sent or tokenized."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def _described(value: object) -> str:
    return "None" if value is None else f"{reprlib.repr(value)} ({type(value).__name__})"
