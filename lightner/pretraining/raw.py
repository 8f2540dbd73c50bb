"""Sentences of plain running text (one paragraph a line), cheap and deterministic. Knows nothing about labels."""

from __future__ import annotations

import lzma
import os
import re
from collections.abc import Iterator
from typing import TextIO

from lightner.types import InputError
from lightner.words import split_words

MIN_WORDS = 6
MAX_WORDS = 60
MIN_LETTER_SHARE = 0.7

_BREAK = re.compile(r"[.!?][\"'”’)\]]*\s+(?=[\"'“‘(\[]?[A-Z])")
_LAST_WORD = re.compile(r"([^\W_]+)[^\w]*$")
_ENDED = re.compile(r"[.!?][\"'”’)\]]*$")
_ABBREVIATIONS_TEXT = (
    "mr mrs ms dr prof st sr jr gen col lt sgt capt rev hon gov sen rep pres vs etc no nos vol fig ed eds "
    "jan feb mar apr jun jul aug sept sep oct nov dec inc ltd corp bros mt ft cf al approx ca"
)
_ABBREVIATIONS = frozenset(_ABBREVIATIONS_TEXT.split())


def sentences(path: str | os.PathLike[str]) -> Iterator[tuple[str, ...]]:
    """Words of each usable sentence of the `.xz` or plain UTF-8 file `path`, in file order, as a stream.

    Headings, fragments without a final stop, tables, and sentences under 6 or over 60 words are left out.
    Raises InputError for a file that is missing, damaged or not UTF-8.
    """
    try:
        with _open(path) as lines:
            for line in lines:
                yield from _of_paragraph(line.strip())
    except (OSError, EOFError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise InputError(f"{os.fspath(path)}: found {error}, expected readable UTF-8 text, plain or .xz") from error


def _open(path: str | os.PathLike[str]) -> TextIO:
    if os.fspath(path).endswith(".xz"):
        return lzma.open(path, "rt", encoding="utf-8")
    return open(path, encoding="utf-8")


def _of_paragraph(paragraph: str) -> Iterator[tuple[str, ...]]:
    for text in _split(paragraph):
        if not _ENDED.search(text) or not _mostly_letters(text):
            continue
        words = tuple(word.text for word in split_words(text))
        if MIN_WORDS <= len(words) <= MAX_WORDS:
            yield words


def _split(paragraph: str) -> Iterator[str]:
    start = 0
    for stop in _BREAK.finditer(paragraph):
        if paragraph[stop.start()] == "." and _is_abbreviation(paragraph[start : stop.start()]):
            continue
        yield paragraph[start : stop.end()].strip()
        start = stop.end()
    if start < len(paragraph):
        yield paragraph[start:]


def _is_abbreviation(before: str) -> bool:
    last = _LAST_WORD.search(before[-20:])
    return last is not None and (last[1].lower() in _ABBREVIATIONS or (len(last[1]) == 1 and last[1].isupper()))


def _mostly_letters(text: str) -> bool:
    letters = sum(map(str.isalpha, text))
    return letters >= MIN_LETTER_SHARE * (len(text) - text.count(" "))
