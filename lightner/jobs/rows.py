"""Rows to be annotated, one at a time from files of any size: JSON Lines, plain text lines or CoNLL sentences.

Knows no Ray and no prompts. A row is what one output line stands for.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from lightner.data.formats import JSONL_SUFFIXES
from lightner.data.formats.conll import DOCUMENT_MARK, columns_of, is_comment, may_be_comment
from lightner.types import InputError, check_name

JSONL, TEXT, CONLL = KINDS = ("jsonl", "text", "conll")
CONLL_SUFFIXES = (".conll", ".bio", ".iob", ".iob2", ".bioes")
MAX_LINE_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class InputRow:
    """A text or the words of a sentence, where it stands, and where the next one begins.

    `line` counts from 1; `end` is the byte, counted from where reading began, and `next_line` the line behind the row.
    """

    line: int
    end: int
    next_line: int
    text: str | None = None
    words: tuple[str, ...] = ()
    domain: str | None = None
    others: Mapping[str, Any] = field(default_factory=dict)


def kind_of(path: Path) -> str:
    """The kind of file by its suffix. Raises InputError where that does not tell."""
    suffix = path.suffix.lower()
    if suffix in JSONL_SUFFIXES:
        return JSONL
    if suffix in CONLL_SUFFIXES:
        return CONLL
    if suffix == ".txt":
        return TEXT
    raise InputError(f"{path}: found suffix {suffix!r}, expected a known one or --format with one of {list(KINDS)}")


def read_rows(stream: BinaryIO, name: str, kind: str, *, line: int = 1) -> Iterator[InputRow]:
    """Rows from where `stream` stands, which is line number `line` of the file called `name`.

    jsonl: an object per line with `text`, or with `tokens`, and perhaps `domain`; blank lines are no rows.
    text: every line is a row, blank ones too. conll: sentences parted by blank lines, of which the first column counts.
    Raises InputError `name:line: found ..., expected ...`.
    """
    lines = _lines(stream, name, line)
    if kind == CONLL:
        yield from _sentences(lines, name)
        return
    for number, end, text in lines:
        if kind == TEXT:
            yield InputRow(number, end, number + 1, text=text)
        elif text.strip():
            yield _record(text, f"{name}:{number}", number, end)


def _lines(stream: BinaryIO, name: str, line: int) -> Iterator[tuple[int, int, str]]:
    """Number, end and text of each line, without its line end."""
    end, number = 0, line
    while content := stream.readline(MAX_LINE_BYTES + 1):
        where = f"{name}:{number}"
        if len(content) > MAX_LINE_BYTES:
            raise InputError(f"{where}: found a line of more than {MAX_LINE_BYTES} bytes, expected shorter ones")
        end += len(content)
        if number == 1:
            content = content.removeprefix(codecs.BOM_UTF8)
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{where}: found byte 0x{content[error.start]:02x}, expected UTF-8") from error
        yield number, end, text.removesuffix("\n").removesuffix("\r")
        number += 1


def _sentences(lines: Iterator[tuple[int, int, str]], name: str) -> Iterator[InputRow]:
    """Sentences as `lightner.data.formats.conll` reads them; their tags, if there are any, do not matter."""
    words: list[str] = []
    doubtful: list[str] = []  # lines before a sentence that may be comments
    number = end = 0
    for number, end, text in lines:
        line = text.rstrip(" \t\r")
        columns = columns_of(line)
        if not columns or columns[0] == DOCUMENT_MARK:
            if words := words or _words_among(doubtful, None):
                yield InputRow(number - len(words), end, number + 1, words=tuple(words))
            words, doubtful = [], []
        elif not words and may_be_comment(line):
            doubtful.append(line)
        elif not columns[0]:
            raise InputError(f"{name}:{number}: found an empty first column before {columns[-1]!r}, expected a word")
        else:
            words += [*_words_among(doubtful, line), columns[0]]
            doubtful = []
    if words := words or _words_among(doubtful, None):
        yield InputRow(number - len(words) + 1, end, number + 1, words=tuple(words))


def _words_among(doubtful: Sequence[str], behind: str | None) -> list[str]:
    """First columns of the lines from the first on that is no comment, told by the line `behind` them if there is one.

    Where that is a word alone, without a tag, so may they be.
    """
    tabbed = behind is not None and "\t" in behind
    widths = [] if behind is None else [len(columns_of(behind))]
    for place, line in enumerate(doubtful):
        alone = widths == [1] == [len(columns_of(line))]
        if alone or not is_comment(line, tabbed=tabbed, widths=widths):
            return [columns_of(each)[0] for each in doubtful[place:]]
    return []


def _record(text: str, where: str, number: int, end: int) -> InputRow:
    try:
        record = json.loads(text, parse_float=_finite, parse_constant=_finite)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: found {str(error)!r}, expected one JSON object per line") from error
    if not isinstance(record, dict) or ("text" in record) == ("tokens" in record):
        found = f"keys {sorted(record)}" if isinstance(record, dict) else type(record).__name__
        raise InputError(f"{where}: found {found}, expected an object with either 'text' or 'tokens'")
    domain = record.pop("domain", None)
    if domain is not None and not isinstance(domain, str):
        raise InputError(f"{where}: domain: found {domain!r:.80}, expected a string")
    if domain is not None:
        try:
            check_name(domain, "domain")
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
    _check_text(text, record, where)
    body, words = record.pop("text", None), record.pop("tokens", ())
    return InputRow(number, end, number + 1, text=body, words=tuple(words), domain=domain, others=record)


def _finite(number: str) -> float:
    """What Python reads of 1e999, NaN and Infinity could only be written as what is no JSON."""
    value = float(number)
    if not math.isfinite(value):
        raise InputError(f"found number {number:.40}, expected finite ones")
    return value


def _check_text(line: str, record: Mapping[str, Any], where: str) -> None:
    if "text" in record and not isinstance(record["text"], str):
        raise InputError(f"{where}: text: found {record['text']!r:.80}, expected a string")
    words = record.get("tokens", [])
    if not isinstance(words, list) or not all(isinstance(word, str) and word.strip() for word in words):
        raise InputError(f"{where}: tokens: found {words!r:.80}, expected a list of strings that are not blank")
    if "\\u" in line and re.search("[\ud800-\udfff]", json.dumps(record, ensure_ascii=False)):
        raise InputError(f"{where}: found a lone surrogate, expected text")
