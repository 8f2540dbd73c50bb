"""Rows to be annotated, one at a time from files of any size: JSON Lines, plain text lines or CoNLL sentences.

Knows no Ray and no prompts. Each row becomes one line of output.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from lightner.data.formats import JSONL_SUFFIXES, Columns, check_content, parse_columns
from lightner.data.formats.conll_layout import layout_of
from lightner.data.formats.conll_rows import BYTE_ORDER_MARK, Layout, Line, blocks
from lightner.texts import Text
from lightner.types import InputError, check_name

JSONL, TEXT, CONLL = KINDS = ("jsonl", "text", "conll")
CONLL_SUFFIXES = (".conll", ".bio", ".iob", ".iob2", ".bioes")
MAX_LINE_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class InputRow:
    """A text or the words of a sentence, its place in the file, and where the next row begins.

    `line` counts from 1; `end` is the byte, counted from where reading began, and `next_line` the line after the row.
    """

    line: int
    end: int
    next_line: int
    text: str | None = None
    words: tuple[str, ...] = ()
    domain: str | None = None
    others: Mapping[str, Any] = field(default_factory=dict)

    @property
    def given(self) -> Text:
        """The text, or the words where only these were given."""
        return self.words if self.text is None else self.text


def kind_of(path: Path) -> str:
    """The kind of file by its suffix. Raises InputError for an unknown suffix."""
    suffix = path.suffix.lower()
    if suffix in JSONL_SUFFIXES:
        return JSONL
    if suffix in CONLL_SUFFIXES:
        return CONLL
    if suffix == ".txt":
        return TEXT
    raise InputError(f"{path}: found suffix {suffix!r}, expected a known one or --format with one of {list(KINDS)}")


@dataclass(frozen=True, slots=True)
class RowFormat:
    """How a file is read as rows: decided once for the file, so that every part of it is read alike."""

    kind: str
    line_end: str = "\n"
    columns: Layout | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> RowFormat:
        """The inverse of `as_dict`."""
        columns = found["columns"]
        return cls(found["kind"], found["line_end"], None if columns is None else Layout.from_dict(columns))


def format_of(stream: BinaryIO, name: str, kind: str, *, columns: Columns | None = None) -> RowFormat:
    """The format of the file called `name`; CoNLL columns are decided by the whole file. Leaves `stream` at 0.

    Raises InputError for an archive, a Git LFS pointer, a file that is not UTF-8, or a missing column.
    """
    check_content(stream.read(_HEAD_BYTES), name)
    stream.seek(0)
    line_end = _line_end(stream)
    stream.seek(0)
    if kind != CONLL:
        return RowFormat(kind, line_end)
    layout = layout_of((text for _, _, text in _lines(stream, name, line=1, line_end=line_end)), name, columns)
    stream.seek(0)
    return RowFormat(kind, line_end, layout)


def read_rows(stream: BinaryIO, name: str, form: RowFormat, *, line: int = 1) -> Iterator[InputRow]:
    """Rows from the position of `stream`, which is line number `line` of the file called `name`.

    jsonl: an object per line with `text` or `tokens`, and perhaps `domain`; blank lines are skipped.
    text: every line is a row, blank ones too. conll: sentences, as tuning reads them; their tags are ignored.
    Raises InputError `name:line: found ..., expected ...`.
    """
    lines = _lines(stream, name, line=line, line_end=form.line_end)
    if form.columns is not None:
        for block in blocks(lines, form.columns, name):
            if block.faults:
                raise block.faults[0]
            yield InputRow(block.numbers[0], block.end, block.next_line, words=tuple(block.words))
        return
    for number, end, text in lines:
        if form.kind == TEXT:
            yield InputRow(number, end, number + 1, text=text)
        elif text.strip():
            yield _record(text.removeprefix(BYTE_ORDER_MARK), f"{name}:{number}", number, end)


_HEAD_BYTES = 512


def rows_of(file: str, *, kind: str | None = None, columns: str | None = None) -> Iterator[InputRow]:
    """Rows of a file; its kind is found by the suffix and its columns by content where they are not given.

    Raises InputError where it cannot be read.
    """
    path = Path(file)
    parsed = None if columns is None else parse_columns(columns)
    try:
        with path.open("rb") as stream:
            yield from read_rows(stream, file, format_of(stream, file, kind or kind_of(path), columns=parsed))
    except OSError as error:
        raise InputError(f"{file}: found {error.strerror!r}, expected a readable file") from error


def _line_end(stream: BinaryIO) -> str:
    """The line ending: a carriage return if the first bytes (a longest line's worth) have one and no line feed."""
    head = stream.readline(MAX_LINE_BYTES + 1)
    return "\r" if b"\r" in head and not head.endswith(b"\n") else "\n"


def _lines(stream: BinaryIO, name: str, *, line: int, line_end: str) -> Iterator[Line]:
    """Number, end and text of each line, without its line ending."""
    end, number = 0, line
    for content in _raw_lines(stream, line_end.encode()):
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
        yield number, end, text.removesuffix(line_end).removesuffix("\r")
        number += 1


def _raw_lines(stream: BinaryIO, line_end: bytes) -> Iterator[bytes]:
    """Lines with their endings (the last may lack one); reads little beyond the longest allowed line."""
    if line_end == b"\n":
        yield from iter(lambda: stream.readline(MAX_LINE_BYTES + 1), b"")
        return
    rest = b""
    while piece := stream.read(_PIECE_BYTES):
        *whole, rest = (rest + piece).split(line_end)
        yield from (each + line_end for each in whole)
        if len(rest) > MAX_LINE_BYTES:
            break
    if rest:
        yield rest


_PIECE_BYTES = 2**16


def _record(text: str, where: str, number: int, end: int) -> InputRow:
    try:
        record = json.loads(text, parse_float=_finite, parse_constant=_finite)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: found {str(error)!r}, expected one JSON object per line") from error
    if not isinstance(record, dict) or not {"text", "tokens"} & set(record):
        found = f"keys {sorted(record)}" if isinstance(record, dict) else type(record).__name__
        raise InputError(f"{where}: found {found}, expected an object with 'text' or 'tokens'")
    domain = record.pop("domain", None)
    if domain is not None and not isinstance(domain, str):
        raise InputError(f"{where}: domain: found {domain!r:.80}, expected a string")
    if domain is not None:
        try:
            check_name(domain, "domain")
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
    _check_text(text, record, where)
    if "text" in record:  # tokens next to it are kept unchanged
        return InputRow(number, end, number + 1, text=record.pop("text"), domain=domain, others=record)
    words = record.pop("tokens")
    return InputRow(number, end, number + 1, words=tuple(words), domain=domain, others=record)


def _finite(number: str) -> float:
    """Refuse 1e999, NaN and Infinity: Python reads them as numbers that JSON cannot express."""
    value = float(number)
    if not math.isfinite(value):
        raise InputError(f"found number {number:.40}, expected finite ones")
    return value


def _check_text(line: str, record: Mapping[str, Any], where: str) -> None:
    if "text" in record and not isinstance(record["text"], str):
        raise InputError(f"{where}: text: found {record['text']!r:.80}, expected a string")
    words = [] if "text" in record else record["tokens"]
    if not isinstance(words, list) or not all(isinstance(word, str) and word.strip() for word in words):
        raise InputError(f"{where}: tokens: found {words!r:.80}, expected a list of strings that are not blank")
    if "\\u" in line and re.search("[\ud800-\udfff]", json.dumps(record, ensure_ascii=False)):
        raise InputError(f"{where}: found a lone surrogate, expected text")
