"""Reads rows of CoNLL columns, one sentence at a time; tuning and annotation share this reader.

A `Layout` says what the columns and comments of a file are; it is decided once for the file (`conll_layout`), so that
any part of the file reads as the whole does. Knows no tagging scheme.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum, auto
from typing import Any

from lightner.data.formats._findings import FormatError
from lightner.data.formats._tags import OUTSIDE, is_tag

DOCUMENT_MARK = "-DOCSTART-"
BYTE_ORDER_MARK = "\ufeff"
NO_TAG = frozenset({OUTSIDE, "", "_", "-", "*"})
"""Values of the tag column in rows that are not words."""
BLANK = " \t\r"

Line = tuple[int, int, str]
"""A line's number, the byte at which it ends (0 if not needed), and its text without the line end."""
Split = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True)
class Layout:
    """What the columns of a file are, counted from 0, and which of its lines are not rows."""

    width: int
    """The number of columns of every row."""
    example: int = 1
    """The line of the first row, for messages."""
    word: int = 0
    tags: tuple[int, ...] = ()
    """Columns that hold entity tags; if there are several, the one that counts is still to be decided."""
    separator: str = ""
    """A comma or semicolon; if empty, tabs, or spaces in a line without a tab, separate the columns."""
    quoted: bool = False
    """Whether columns separated by tabs or spaces are quoted as pandas does."""
    header: tuple[str, ...] = ()
    """Names of the columns; rows equal to them are skipped."""
    numbers: int | None = None
    """The column of word numbers: where they restart, a sentence begins."""
    sentence: int | None = None
    """The column of sentence numbers: where they change, a sentence begins."""
    gaps: bool = False
    """Whether a row with an empty word ends a sentence, as a blank line does."""
    labels: tuple[str, ...] = ()
    """All tags of a file whose tags have no prefix."""

    def as_dict(self) -> dict[str, Any]:
        """The layout as JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Layout:
        """The layout that `as_dict` gave."""
        values: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in found.items()}
        return cls(**values)

    @property
    def is_steady(self) -> bool:
        """Whether each row can be read without those before it."""
        return not self.header and self.sentence is None and self.numbers is None

    def splitter(self) -> Split:
        """A function that splits a line, stripped of trailing white space, into columns."""
        return splitter(self.separator, quoted=self.quoted)


@dataclass(slots=True)
class SentenceRows:
    """The rows of one sentence: words, tags, line numbers; where they end; the faults among its lines.

    `end` and `next_line` are where reading may resume with the same layout.
    """

    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    faults: list[FormatError] = field(default_factory=list)
    end: int = 0
    next_line: int = 0


def blocks(lines: Iterable[Line], layout: Layout, name: str, *, tag: int | None = None) -> Iterator[SentenceRows]:
    """Sentences of the file called `name` (for faults), starting at any line between two of them.

    Tags are collected from column `tag`, if one is given. Each block has a word or a fault.
    """
    split, word_at, tag_at = layout.splitter(), layout.word, layout.word if tag is None else tag
    rows: dict[str, list[str]] = {}  # columns of lines that are rows in any context: most lines recur
    block, before, end, number = SentenceRows(), None, 0, 0
    for number, line_end, text in lines:
        columns, kind = rows.get(text), _Kind.ROW
        if columns is None:
            kind, columns = _read(text, split, layout, before=before)
            if kind is _Kind.ROW and layout.is_steady and text[0] not in _MAY_BE_NO_ROW:
                if len(rows) == _ROWS_KEPT:
                    rows.clear()
                rows[text] = columns
        if (kind is _Kind.END or kind is _Kind.FIRST) and (block.words or block.faults):
            block.end, block.next_line = (line_end, number + 1) if kind is _Kind.END else (end, number)
            yield block
            block = SentenceRows()
        if kind is _Kind.ROW or kind is _Kind.FIRST:
            block.words.append(columns[word_at])
            block.tags.append(columns[tag_at])
            block.numbers.append(number)
            before = columns
        elif kind is _Kind.FAULT:
            block.faults.append(_fault(columns, layout, f"{name}:{number}"))
        elif kind is _Kind.END:
            before = None
        end = line_end
    if block.words or block.faults:
        block.end, block.next_line = end, number + 1
        yield block


def splitter(separator: str, *, quoted: bool = False) -> Split:
    """A function that splits a line at a comma or semicolon, or at tabs or spaces if `separator` is empty."""
    if separator:
        return lambda line: _at_commas(line, separator)
    return (lambda line: [unquoted(cell) for cell in _at_white_space(line)]) if quoted else _at_white_space


def unquoted(cell: str) -> str:
    """The content of a quoted column; any other unchanged."""
    return cell[1:-1].replace('""', '"') if is_quoted(cell) else cell


def quoted(cell: str) -> str:
    """A column as pandas writes it: in quotation marks if it contains one."""
    return '"' + cell.replace('"', '""') + '"' if '"' in cell else cell


def is_quoted(cell: str) -> bool:
    """Whether a column is in quotation marks, with any inside doubled."""
    return len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in cell[1:-1].replace('""', "")


def is_number(cell: str) -> bool:
    """Whether a column holds a whole number, or a range or decimal of them, as CoNLL-U numbers words."""
    return cell.isdecimal() or _RANGE.fullmatch(cell) is not None


def is_no_sentence(columns: Sequence[str], word: int = 0) -> bool:
    """Whether columns are those of a blank line or of a mark between documents."""
    return not any(columns) or columns[0] == DOCUMENT_MARK or (len(columns) > word and columns[word] == DOCUMENT_MARK)


_ROWS_KEPT = 100_000


class _Kind(Enum):
    """Kinds of lines. FIRST is a row that begins a sentence without a blank line before it."""

    ROW, FIRST, END, SKIPPED, FAULT = auto(), auto(), auto(), auto(), auto()


_MAY_BE_NO_ROW = frozenset({"#", "-", BYTE_ORDER_MARK})  # a first character of comments, document marks, joined files
_COMMENT = re.compile(r"#(?:[\s#]|$|begin document|end document)|# *[^\s=][^=]*=")
_RANGE = re.compile(r"\d+[-.]\d+")


def _read(text: str, split: Split, layout: Layout, *, before: list[str] | None) -> tuple[_Kind, list[str]]:
    """The kind of a line, and its columns."""
    joined = text.startswith(BYTE_ORDER_MARK)
    text = text.removeprefix(BYTE_ORDER_MARK)
    columns = split(text.rstrip(BLANK))
    kind = _kind_of(text, columns, layout, before=before)
    return _Kind.FIRST if joined and kind is _Kind.ROW else kind, columns


def _kind_of(text: str, columns: list[str], layout: Layout, *, before: list[str] | None) -> _Kind:
    """The kind of a line after the row `before`, which is None at the beginning of a sentence."""
    if is_no_sentence(columns, layout.word):
        return _Kind.END
    if tuple(columns) == layout.header or (before is None and _is_comment(text, columns, layout)):
        return _Kind.SKIPPED
    if len(columns) != layout.width:
        return _Kind.FAULT
    if not columns[layout.word]:
        return _Kind.END if layout.gaps and _is_untagged(columns, layout) else _Kind.FAULT
    if layout.numbers is not None and not columns[layout.numbers].isdecimal():
        # CoNLL-U has separate lines for multiword tokens and for empty nodes.
        understood = is_number(columns[layout.numbers]) and _is_untagged(columns, layout)
        return _Kind.SKIPPED if understood else _Kind.FAULT
    return _Kind.FIRST if before is not None and _begins(columns, before, layout) else _Kind.ROW


def _is_comment(text: str, columns: Sequence[str], layout: Layout) -> bool:
    """Whether a line before a sentence is a comment: it has no tag, or fewer or more columns than rows have."""
    if not _COMMENT.match(text):
        return False
    if len(columns) != layout.width:
        return True
    tags = [columns[at] for at in layout.tags]
    return not all(tag == OUTSIDE or (tag in layout.labels if layout.labels else is_tag(tag)) for tag in tags)


def _is_untagged(columns: Sequence[str], layout: Layout) -> bool:
    return all(columns[at] in NO_TAG for at in layout.tags)


def _begins(columns: Sequence[str], before: Sequence[str], layout: Layout) -> bool:
    """Whether a row's numbers show that it begins a sentence."""
    if layout.sentence is not None:
        return columns[layout.sentence] not in ("", before[layout.sentence])
    if layout.numbers is None or not before[layout.numbers].isdecimal():
        return False
    return int(columns[layout.numbers]) <= int(before[layout.numbers])


def _fault(columns: Sequence[str], layout: Layout, place: str) -> FormatError:
    width = layout.width
    if len(columns) != width:
        found = f"found one column {columns[0]!r}" if len(columns) == 1 else f"found {len(columns)} columns"
        shown = "" if len(columns) == 1 else f" ({' '.join(columns)!r:.60})"
        said = f"{found}{shown}, expected {width}, as in line {layout.example}"
        return FormatError(place, said, kind="lines with another number of columns")
    if not columns[layout.word]:
        found = f"found nothing in column {layout.word + 1} before {columns[-1]!r}, expected a word"
        return FormatError(place, found, kind="lines without a word")
    assert layout.numbers is not None
    found = f"found number {columns[layout.numbers]!r} with a tag, expected a whole number"
    return FormatError(place, found, kind="word numbers that are not numbers")


def _at_white_space(line: str) -> list[str]:
    """Columns of a line without trailing white space, split at tabs and spaces only: other spaces may be words."""
    if "\t" in line:
        return [cell.strip(" ") for cell in line.split("\t")] if " " in line else line.split("\t")
    return [cell for cell in line.split(" ") if cell]


def _at_commas(line: str, separator: str) -> list[str]:
    if '"' not in line:
        return [cell.strip(" ") for cell in line.split(separator)]
    try:
        return [cell.strip(" ") for cell in next(csv.reader([line], delimiter=separator))]
    except csv.Error:  # a column of more than 128 KiB
        return [line]
