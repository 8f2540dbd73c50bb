"""CoNLL columns <-> sentences: one word and its tag per line, blank lines between sentences.

Decides which of several tag columns counts. `conll_layout` and `conll_rows` know columns and comments, `_tags` knows
tagging schemes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence

from lightner.data.formats._columns import Quotes
from lightner.data.formats._findings import Findings
from lightner.data.formats._tags import IOB2, OUTSIDE, TaggedWords, decode, encode
from lightner.data.formats._text import write_text
from lightner.data.formats.conll_layout import describe, layout_of
from lightner.data.formats.conll_rows import BYTE_ORDER_MARK, DOCUMENT_MARK, Layout, Line, SentenceRows, blocks, quoted
from lightner.data.formats.options import Columns
from lightner.types import InputError, Sentence


def parse_conll(
    text: str, name: str, findings: Findings, *, columns: Columns | None = None
) -> tuple[list[Sentence], str]:
    """Sentences of a file called `name` (for messages), including those without entities, and what its columns are.

    Columns are separated by tabs, or by spaces in a line without a tab, or by commas in all lines; blank lines end
    sentences. `-DOCSTART-` lines, header rows and comments (`# key = value` and `#` with white space after it, before a
    sentence and unlike its rows) are skipped. A line with another number of columns is a fault.
    Raises InputError for a file without words, and if it is unclear which of several columns of tags counts.
    """
    lines = text.replace("\r\n", "\n").split("\n" if "\n" in text else "\r")
    layout = layout_of(lines, name, columns)
    if layout.width < 2:
        raise InputError(f"{name}:{layout.example}: found one column, expected a word and a tag")
    tag = _tag_column(lines, layout, name=name, findings=findings)
    numbers: list[Sequence[int]] = []
    rows: list[TaggedWords] = []
    for block in blocks(_numbered(lines), layout, name, tag=tag):
        if block.faults:
            findings.refuse(block.faults)
            continue
        first, count = block.numbers[0], len(block.words)
        rows.append(TaggedWords(tuple(block.words), tuple(block.tags), f"{name}:{first}", len(numbers)))
        unbroken = block.numbers[-1] - first + 1 == count
        numbers.append(range(first, first + count) if unbroken else block.numbers)
    if not rows:
        findings.notes()  # raises if faults explain it
        raise InputError(f"{name}: found no words, expected lines of a word and a tag")
    sentences = decode(rows, lambda row, index: f"{name}:{numbers[row.number][index]}", findings)
    return [sentences[number] for number in sorted(sentences)], describe(layout, tag)


def write_conll(path: str | os.PathLike[str], sentences: Iterable[Sentence]) -> None:
    """Writes word, tab and IOB2 tag per line, in one step; `formats.read` gives the same sentences back.

    Raises InputError for what the format cannot hold: no sentences, a sentence without words, a tab or newline, an
    empty word, space around a word or label, a word `-DOCSTART-`, a byte order mark before any but the first word,
    overlapping spans.
    """
    write_text(path, conll_text(sentences, os.fspath(path)))


def conll_text(sentences: Iterable[Sentence], name: str, scheme: str = IOB2) -> str:
    """What `write_conll` writes into a file called `name` (for messages), with tags of any scheme that is written.

    Raises InputError as that does.
    """
    written: list[list[tuple[str, str]]] = []
    quotes = Quotes()
    for index, sentence in enumerate(sentences):
        where = f"{name}: sentence {index}"
        _check(sentence, where)
        rows = list(zip(sentence.words, encode(sentence, where, scheme), strict=True))
        written.append(rows)
        for row in rows:
            if any('"' in cell for cell in row):
                quotes.add(row)
    if not written:
        raise InputError(f"{name}: found no sentences to write, expected at least one")
    cell = quoted if quotes.decided else str  # words that all look quoted would lose their quotes
    blocks = ("".join(f"{cell(word)}\t{cell(tag)}\n" for word, tag in rows) for rows in written)
    # A reader drops a U+FEFF before a sentence as the mark of a joined file: write a second one for it to drop.
    text = "\n".join(BYTE_ORDER_MARK + block if block.startswith(BYTE_ORDER_MARK) else block for block in blocks)
    return BYTE_ORDER_MARK + text if text.startswith(BYTE_ORDER_MARK) else text


def _check(sentence: Sentence, where: str) -> None:
    if not sentence.words:
        raise InputError(f"{where}: found no words, expected at least one")
    for index, word in enumerate(sentence.words):
        marked = index > 0 and word.startswith(BYTE_ORDER_MARK)
        if not word or word != word.strip(" ") or re.search(r"[\t\n]", word) or word == DOCUMENT_MARK or marked:
            raise InputError(f"{where}: found word {word!r}, expected one that a column can hold")
    for label in {span.label for span in sentence.spans}:
        if not label or label != label.strip() or re.search(r"[\t\n]", label):
            raise InputError(f"{where}: found label {label!r}, expected one that a column can hold")


def _numbered(lines: Sequence[str]) -> Iterator[Line]:
    return ((number, 0, line) for number, line in enumerate(lines, start=1))


def _tag_column(lines: Sequence[str], layout: Layout, *, name: str, findings: Findings) -> int:
    """The column of tags: the only one, or the outermost of nested layers. Raises InputError if it is unclear."""
    if len(layout.tags) == 1:
        return layout.tags[0]
    found = {at: list(blocks(_numbered(lines), layout, name, tag=at)) for at in layout.tags}
    tags = {at: [tag for block in those for tag in block.tags] for at, those in found.items()}
    for at in layout.tags:
        inner = [other for other in layout.tags if tags[other] != tags[at]]
        if all(_is_within(tags[other], tags[at]) for other in inner):
            for other in inner:
                _note_inner(found[other], other, name=name, findings=findings)
            return at
    shown = " and ".join(f"{at + 1} ({', '.join(_labels(tags[at]))})" for at in layout.tags)
    example = f"--columns word={layout.word + 1},tag={layout.tags[0] + 1}"
    raise InputError(f"{name}: found entity tags in columns {shown}, expected one such column: name it by {example}")


def _is_within(inner: Sequence[str], outer: Sequence[str]) -> bool:
    """Whether all tagged words of a layer are tagged in the other, which has more."""
    pairs = [(one != OUTSIDE, other != OUTSIDE) for one, other in zip(inner, outer, strict=True)]
    return (True, False) not in pairs and (False, True) in pairs


def _note_inner(found: Sequence[SentenceRows], column: int, *, name: str, findings: Findings) -> None:
    begins = [
        number for block in found for number, tag in zip(block.numbers, block.tags, strict=True) if tag[:2] == "B-"
    ]
    if begins:
        kind = f"nested entities left out (column {column + 1}; --columns tag={column + 1} reads them instead)"
        findings.note(kind, f"{name}:{begins[0]}", len(begins))


def _labels(tags: Sequence[str]) -> list[str]:
    """A few labels of a column, for a message."""
    found = sorted({tag.partition("-")[2] or tag for tag in tags} - {OUTSIDE})
    return found if len(found) <= 4 else [*found[:4], "..."]
