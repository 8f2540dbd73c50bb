"""Sentences of plain running text (one paragraph a line), drawn at random, cheap and seeded. Knows no labels."""

from __future__ import annotations

import lzma
import os
import random
import re
from collections.abc import Iterator, Sequence
from typing import TextIO

from lightner.types import InputError
from lightner.words import split_words

MIN_WORDS = 6
MAX_WORDS = 60
MIN_LETTER_SHARE = 0.7
_SHORTEST = 30  # length in characters of a line that may hold a sentence
_TRIES = 20

_BREAK = re.compile(r"[.!?][\"'”’)\]]*\s+(?=[\"'“‘(\[]?[A-Z])")
_LAST_WORD = re.compile(r"([^\W_]+)[^\w]*$")
_ENDED = re.compile(r"[.!?][\"'”’)\]]*$")
_ABBREVIATIONS_TEXT = (
    "mr mrs ms dr prof st sr jr gen col lt sgt capt rev hon gov sen rep pres vs etc no nos vol fig ed eds "
    "jan feb mar apr jun jul aug sept sep oct nov dec inc ltd corp bros mt ft cf al approx ca"
)
_ABBREVIATIONS = frozenset(_ABBREVIATIONS_TEXT.split())


def load(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The paragraphs of the `.xz` or plain UTF-8 file `path`, one a line, that have a usable sentence.

    Raises InputError for a file that is missing, damaged, not UTF-8, or without such a paragraph.
    """
    try:
        with _open(path) as lines:
            found = tuple(line.strip() for line in lines if len(line) >= _SHORTEST and _ENDED.search(line.rstrip()))
    except (OSError, EOFError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise InputError(f"{os.fspath(path)}: found {error}, expected readable UTF-8 text, plain or .xz") from error
    if not found:
        raise InputError(f"{os.fspath(path)}: found no paragraph of running text, expected one per line")
    return found


def sample(paragraphs: Sequence[str], count: int, rng: random.Random) -> list[tuple[str, ...]]:
    """Words of `count` sentences of paragraphs drawn at random, or fewer if hardly any can be used.

    Headings, fragments without a final stop, tables, and sentences under 6 or over 60 words are left out.
    """
    found: list[tuple[str, ...]] = []
    for _ in range(_TRIES * count):
        if len(found) >= count:
            break
        usable = list(sentences(rng.choice(paragraphs)))
        if usable:
            found.append(rng.choice(usable))
    return found


def _open(path: str | os.PathLike[str]) -> TextIO:
    if os.fspath(path).endswith(".xz"):
        return lzma.open(path, "rt", encoding="utf-8")
    return open(path, encoding="utf-8")


def sentences(paragraph: str) -> Iterator[tuple[str, ...]]:
    """Words of each usable sentence of a paragraph."""
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
