"""Which columns of a CoNLL file hold words, tags and numbers, decided once from all of its rows.

The decision is by content, by the names in a header row, or by what the user names. A file may have any size.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from operator import methodcaller, not_

from lightner.data.formats._columns import Column, Quotes
from lightner.data.formats._tags import is_tag
from lightner.data.formats.conll_rows import (
    BLANK,
    BYTE_ORDER_MARK,
    DOCUMENT_MARK,
    Layout,
    is_no_sentence,
    is_quoted,
    splitter,
)  # fmt: skip
from lightner.data.formats.options import Columns
from lightner.types import InputError

WORD_NAMES = ("word", "words", "token", "tokens", "form", "text")
TAG_NAMES = (
    "ner_tags", "ner_tag", "ner", "ne", "bio", "iob", "iob2", "bio_tag", "entity", "entities", "named_entity",
    "tags", "tag", "labels", "label",
)  # fmt: skip
SENTENCE_NAMES = ("sentence_#", "sentence_id", "sent_id", "sentence", "sentence_number", "sentence_no", "sent")
SEPARATORS = (",", ";")
CHUNKS = frozenset((
    "NP", "VP", "PP", "ADVP", "SBAR", "ADJP", "PRT", "CONJP", "INTJ", "LST", "UCP",
    "NC", "VC", "PC", "AC", "ADVC", "ADJC", "INTC", "PRTC", "CONJC",
))  # fmt: skip
"""Labels of a parser's chunks, in CoNLL-2000 and in the German files of CoNLL-2003."""

_CHUNK_LINES = 20_000
_SAMPLE_LINES = 2_000  # from which the separator is found
_SAME_WIDTH = 0.9  # share of lines that a separator must split into equally many columns


def layout_of(lines: Iterable[str], name: str, columns: Columns | None = None) -> Layout:
    """The layout of the file called `name` (for messages), from all of its lines, without their line ends.

    Raises InputError for `columns` that the file does not have.
    """
    wanted, rest = columns or Columns(), iter(lines)
    sample = list(islice(rest, _CHUNK_LINES))
    separator = _separator(sample[:_SAMPLE_LINES])
    quoted = not separator and _all_quoted(sample)
    survey = _Survey(separator, wanted, quoted=quoted)
    while sample:
        survey.add(sample)
        sample = list(islice(rest, _CHUNK_LINES))
    return survey.layout(name)


def describe(layout: Layout, tag: int | None) -> str:
    """The decision in words: `word 2, tag 3 of 4`."""
    parts = [f"word {layout.word + 1}", *([] if tag is None else [f"tag {tag + 1}"])]
    said = f"{', '.join(parts)} of {layout.width}"
    if layout.separator:
        said += f", separated by {layout.separator!r}"
    if layout.quoted:
        said += ", quoted"
    if layout.header:
        said += ", with a header row"
    if layout.sentence is not None:
        said += f", sentences by column {layout.sentence + 1}"
    return said


class _Rows:
    """Counts over rows, by their number of columns."""

    def __init__(self) -> None:
        self.widths: Counter[int] = Counter()
        self.columns: dict[int, list[Column]] = {}
        self.first: dict[int, int] = {}
        """The line of the first row of each width."""

    def add(self, rows: Sequence[list[str]], sentences: Sequence[int], lines: Sequence[int]) -> None:
        """Count rows in order; `sentences` and `lines` have the number of each row's sentence and line."""
        for width in set(map(len, rows)):
            chosen = [at for at, row in enumerate(rows) if len(row) == width]
            self.first.setdefault(width, lines[chosen[0]])
            self.add_columns(list(zip(*(rows[at] for at in chosen), strict=True)), [sentences[at] for at in chosen])

    def add_columns(self, values: Sequence[Sequence[str]], sentences: Sequence[int]) -> None:
        """Count rows that are given by column."""
        columns = self.columns.setdefault(len(values), [Column() for _ in values])
        self.widths[len(values)] += len(sentences)
        for column, those in zip(columns, values, strict=True):
            column.add(those, sentences)

    @property
    def width(self) -> int:
        """The number of columns of most rows; among ties, the least that has room for a tag."""
        return min(self.widths, key=lambda width: (-self.widths[width], width < 2, width))

    @property
    def needs_order(self) -> bool:
        """Whether the order of further rows can still matter."""
        return not self.widths or any(column.needs_order for column in self.columns[self.width])


class _Survey:
    """The first pass over a file."""

    def __init__(self, separator: str, wanted: Columns, *, quoted: bool) -> None:
        self._separator, self._quoted, self._wanted = separator, quoted, wanted
        self._split = splitter(separator, quoted=quoted)
        self._sure, self._hashes, self._quotes = _Rows(), _Rows(), Quotes()
        self._header: tuple[str, ...] = ()
        self._lines = self._sentence = 0
        self._blank = self._parted = False  # by blank lines

    def add(self, lines: Sequence[str]) -> None:
        """Count the next lines."""
        if not self._add_columns(lines):
            self._add(lines)
        self._lines += len(lines)

    def _add_columns(self, lines: Sequence[str]) -> bool:
        """Count lines in bulk, and return whether that was possible, as it is if they are all alike.

        Lines whose word begins with `-` or `#` are skipped, which does not matter in a count of many.
        """
        if not self._parted or self._separator or not (self._quotes.refuted or '"' not in "".join(lines)):
            return False
        aside = _ASIDE
        rows = [line for line in lines if line and line[0] not in aside]
        text = "\n".join(rows)
        part = "\t" if "\t" in text else " "
        parts = set(map(methodcaller("count", part), rows))
        width = parts.pop() + 1 if len(parts) == 1 else 0
        if width not in self._sure.widths or _UNEVEN[part].search(f"\n{text}\n"):
            return False
        cells = text.replace("\n", part).split(part)
        sentences = [0] * len(rows)
        if self._sure.needs_order:
            numbers = [self._sentence + ended for ended in accumulate(map(not_, lines))]
            sentences = [at for line, at in zip(lines, numbers, strict=True) if line and line[0] not in aside]
            self._sentence += lines.count("")
        self._sure.add_columns([cells[at::width] for at in range(width)], sentences)
        return True

    def _add(self, lines: Sequence[str]) -> None:
        rows: list[tuple[list[str], int, int]] = []
        hashes: list[list[str]] = []
        for number, text in enumerate(lines, start=self._lines + 1):
            columns = self._columns(text)
            if not columns:
                self._sentence += 1
                self._blank = self._blank or DOCUMENT_MARK not in text
            elif columns[0][:1] == "#":
                hashes.append(columns)
            elif tuple(columns) != self._header:
                self._parted = self._parted or (self._blank and bool(rows or self._sure.widths))
                self._blank = False
                rows.append((columns, self._sentence, number))
                self._see_quotes(columns)
        if rows and not self._sure.widths and _is_header(rows[0][0], [row for row, _, _ in rows[1:]], self._wanted):
            self._header = tuple(rows[0][0])
            rows = [row for row in rows if tuple(row[0]) != self._header]
        if rows:
            self._sure.add(*zip(*rows, strict=True))
        if hashes:
            self._hashes.add(hashes, range(len(hashes)), [self._lines + 1] * len(hashes))

    def _columns(self, text: str) -> list[str]:
        """The columns of a row; empty for a line without words."""
        line = text.rstrip(BLANK)
        if not line:
            return []
        columns = self._split(line.removeprefix(BYTE_ORDER_MARK))
        return [] if not columns or (columns[0] in _NO_WORD and is_no_sentence(columns)) else columns

    def _see_quotes(self, columns: Sequence[str]) -> None:
        if any('"' in cell for cell in columns):
            self._quotes.add(columns)

    def layout(self, name: str) -> Layout:
        """The decision, once all lines are counted."""
        rows = self._sure if self._sure.widths else self._hashes
        if not rows.widths:
            return Layout(width=2, tags=(1,))
        columns = rows.columns[rows.width]
        given = _given(self._wanted, self._header, columns, name=name)
        word = given.word if given.word is not None else _word_column(columns, given.tag)
        tags = (given.tag,) if given.tag is not None else _tag_columns(columns, word)
        gaps = not self._parted and columns[word].empty > 0
        numbers = next((at for at, column in enumerate(columns) if at != word and column.counts_words), None)
        sentence = given.sentence
        if sentence is None and not self._parted and not gaps:
            sentence = next((at for at, each in enumerate(columns) if at != word and each.counts_sentences), None)
        return Layout(
            width=rows.width,
            example=rows.first[rows.width],
            word=word,
            tags=tags,
            separator=self._separator,
            quoted=self._quoted or (not self._separator and self._quotes.decided),
            header=self._header,
            numbers=numbers,
            sentence=sentence,
            gaps=gaps,
            labels=columns[tags[0]].plain_labels if tags and columns[tags[0]].is_plain else (),
        )


@dataclass(frozen=True, slots=True)
class _Given:
    """Columns that need not be found by content, counted from 0."""

    word: int | None
    tag: int | None
    sentence: int | None


_NO_WORD = ("", DOCUMENT_MARK)


_ASIDE = frozenset(("#", "-", BYTE_ORDER_MARK))
_UNEVEN = {"\t": re.compile(r"[ \r]\n|\t\n|\n |\t | \t"), " ": re.compile(r"[ \r]\n|\n |  ")}
"""White space that a column would begin or end with if lines were split at each tab or space."""


def _given(wanted: Columns, header: Sequence[str], columns: Sequence[Column], *, name: str) -> _Given:
    """The columns that the user names, or that the header names and the content does not contradict."""
    if wanted.text is not None or wanted.spans is not None:
        raise InputError(f"{name}: columns: found a field of records (text or spans), expected word, tag or sentence")
    asked = [_asked(each, header, width=len(columns), name=name) for each in (wanted.word, wanted.tag, wanted.sentence)]
    names = [_plainly(each) for each in header]
    word, tag, sentence = (
        next((names.index(each) for each in known if each in names), None)
        for known in (WORD_NAMES, TAG_NAMES, SENTENCE_NAMES)
    )
    if tag is not None and tag not in _tag_like(columns):
        tag = None
    pairs = zip(asked, (word, tag, sentence), strict=True)
    return _Given(*(named if one is None else one for one, named in pairs))


def _asked(column: int | str | None, header: Sequence[str], *, width: int, name: str) -> int | None:
    if isinstance(column, str):
        if column not in header:
            found = f"a header row of {list(header)}" if header else "no header row with it"
            raise InputError(f"{name}: columns: found {column!r} and {found}, expected a number or a name in a header")
        return list(header).index(column)
    if column is not None and column > width:
        raise InputError(f"{name}: columns: found column {column}, expected at most {width}, as most lines have")
    return None if column is None else column - 1


def _is_header(columns: list[str], following: Sequence[list[str]], wanted: Columns) -> bool:
    """Whether the first row of a file names its columns: words and tags, or words above a column of tags."""
    if wanted.names:
        return set(wanted.names) <= set(columns)
    names = [_plainly(each) for each in columns]
    words = [at for at, name in enumerate(names) if name in WORD_NAMES]
    if not words:
        return False
    alike = [row for row in following[:_SAMPLE_LINES] if len(row) == len(columns)]
    below = [Column() for _ in columns]
    for column, values in zip(below, zip(*alike, strict=True), strict=False):
        column.add(values, range(len(values)))
    tags = {at for at, column in enumerate(below) if column.is_prefixed and not is_tag(columns[at])}
    return bool((tags | {at for at, name in enumerate(names) if name in TAG_NAMES}) - {words[0]})


def _plainly(name: str) -> str:
    return "_".join(name.lower().replace("-", " ").split())


def _tag_like(columns: Sequence[Column]) -> set[int]:
    """Columns that hold tags of any kind; tags without a prefix count only if no column has prefixes."""
    sure = {at for at, column in enumerate(columns) if column.is_prefixed or column.is_outside}
    if any(columns[at].is_prefixed for at in sure):
        return sure
    return sure | {at for at, column in enumerate(columns) if column.is_plain}


def _word_column(columns: Sequence[Column], tag: int | None) -> int:
    """The first column that holds neither tags nor numbers and varies within sentences."""
    tags = _tag_like(columns)
    others = [at for at in range(len(columns)) if at != tag and at not in tags]
    if not others:  # the words look like tags
        return next((at for at in range(len(columns)) if at != tag), 0)
    varying = [at for at in others if not columns[at].is_constant] or others
    texts = [at for at in varying if not columns[at].is_numeric]
    numbers = [at for at in varying if not columns[at].counts_words]
    return (texts or numbers or varying[-1:])[0]


def _tag_columns(columns: Sequence[Column], word: int) -> tuple[int, ...]:
    """Columns of entity tags: those with prefixes, else those without; a parser's chunks only as a last resort."""
    others = [at for at in range(len(columns)) if at != word]
    prefixed = [at for at in others if columns[at].is_prefixed]
    entities = [at for at in prefixed if not columns[at].labels <= CHUNKS]
    plain = [at for at in others if columns[at].is_plain and not columns[at].is_outside]
    outside = [at for at in others if columns[at].is_outside][-1:]
    return tuple(entities or plain or outside or prefixed or others[-1:])


def _separator(lines: Sequence[str]) -> str:
    """The comma or semicolon that splits the lines into columns with tags among them, unless white space does."""
    rows = [line.removeprefix(BYTE_ORDER_MARK).rstrip(BLANK) for line in lines]
    rows = [row for row in rows if row and row[0] != "#"]
    if any("\t" in row for row in rows):
        return ""
    at_white_space = [splitter("")(row) for row in rows]
    for separator in SEPARATORS:
        listed = all(columns[0].endswith(separator) for columns in at_white_space)  # `Ada, B-PER`
        if (listed or not _has_tags(at_white_space)) and _has_tags([splitter(separator)(row) for row in rows]):
            return separator
    return ""


def _has_tags(rows: Sequence[list[str]]) -> bool:
    """Whether nearly all rows have equally many columns, and one of these holds tags."""
    counts = Counter(map(len, rows))
    width, times = counts.most_common(1)[0] if counts else (0, 0)
    if width < 2 or times < _SAME_WIDTH * len(rows):
        return False
    counted = _Rows()
    counted.add(rows, [0] * len(rows), range(len(rows)))
    return bool(_tag_like(counted.columns[width]))


def _all_quoted(lines: Sequence[str]) -> bool:
    """Whether every column of every line is in quotation marks."""
    rows = (splitter("")(line.rstrip(BLANK)) for line in lines if line.strip(BLANK))
    return bool(lines) and all(is_quoted(cell) for row in rows for cell in row)
