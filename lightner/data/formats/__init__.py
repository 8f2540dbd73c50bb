"""Files of labelled sentences: `read` whatever the format, `write_conll`, `write_jsonl`. One file per format."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from lightner.data.formats._text import read_text
from lightner.data.formats.conll import parse_conll, write_conll
from lightner.data.formats.jsonl import parse_array, parse_jsonl, write_jsonl
from lightner.types import Sentence

__all__ = ["labels_of", "read", "write_conll", "write_jsonl"]

JSONL_SUFFIXES = (".jsonl", ".ndjson", ".json")


def read(path: str | os.PathLike[str]) -> tuple[Sentence, ...]:
    """Sentences of a file in CoNLL columns or JSON, in order, those without entities too.

    The suffix or a first line that is a JSON object makes it JSON: Lines, or one array if it begins with `[`. Tagging
    schemes are told by the tags.
    Raises InputError `file:line: found ..., expected ...` for whatever cannot be understood.
    """
    name = os.fspath(path)
    text = read_text(path)
    if Path(name).suffix.lower() in JSONL_SUFFIXES or _begins_as_json(text):
        return parse_array(text, name) if text.lstrip().startswith("[") else parse_jsonl(text, name)
    return parse_conll(text, name)


def labels_of(sentences: Iterable[Sentence]) -> tuple[str, ...]:
    """The distinct labels of all spans, sorted."""
    return tuple(sorted({span.label for sentence in sentences for span in sentence.spans}))


def _begins_as_json(text: str) -> bool:
    """Whether the first line reads as an object. A row of columns that begins with `{` ends in a tag, not in `}`."""
    line = text.lstrip().partition("\n")[0].rstrip()
    return line.startswith("{") and line.endswith("}")
