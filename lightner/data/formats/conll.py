"""CoNLL columns <-> sentences: one word per line, first column the word, last column the tag.

Knows columns, comments and document marks; tagging schemes are `_tags`' business.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable

from lightner.data.formats._tags import Tagged, decode, encode, is_tag
from lightner.data.formats._text import write_text
from lightner.types import InputError, Sentence

DOCUMENT_MARK = "-DOCSTART-"


def parse_conll(text: str, name: str) -> tuple[Sentence, ...]:
    """Sentences of a file called `name` (for messages), those without entities too.

    Columns stand apart by tabs, or by spaces in a line without a tab; blank lines end sentences. Lines that begin with
    `-DOCSTART-` are skipped, and so is `# key = value` before a sentence where the line has no tag column, or not as
    many columns as others.
    Raises InputError `name:line: found ..., expected ...`, also for a file without sentences.
    """
    lines = [line.rstrip(" \t\r") for line in text.split("\n")]
    sure = [line for line in lines if line and not line.startswith("#")]
    tabbed, widths = any("\t" in line for line in sure), {len(columns_of(line)) for line in sure}
    rows: list[Tagged] = []
    words: list[str] = []
    tags: list[str] = []
    for number, line in enumerate([*lines, ""], start=1):
        columns = columns_of(line)
        if not columns or columns[0] == DOCUMENT_MARK:
            if words:
                rows.append(Tagged(tuple(words), tuple(tags), number - len(words)))
                words, tags = [], []
        elif words or not is_comment(line, tabbed=tabbed, widths=widths):
            word, tag = _word_and_tag(columns, f"{name}:{number}")
            words.append(word)
            tags.append(tag)
    if not rows:
        raise InputError(f"{name}: found no words, expected lines of a word and a tag")
    return decode(rows, lambda row, index: f"{name}:{row.line + index}")


def write_conll(path: str | os.PathLike[str], sentences: Iterable[Sentence]) -> None:
    """Writes word, tab and IOB2 tag per line, in one step; `formats.read` gives the same sentences back.

    Raises InputError for what the format cannot hold: no sentences, a sentence without words, a tab or newline, an
    empty word, space around a word or label, a word `-DOCSTART-`, overlapping spans.
    """
    blocks = []
    for index, sentence in enumerate(sentences):
        where = f"{os.fspath(path)}: sentence {index}"
        if not sentence.words:
            raise InputError(f"{where}: found no words, expected at least one")
        for word in sentence.words:
            if not word or word != word.strip(" ") or re.search(r"[\t\n]", word) or word == DOCUMENT_MARK:
                raise InputError(f"{where}: found word {word!r}, expected one that a column can hold")
        for label in {span.label for span in sentence.spans}:
            if not label or label != label.strip() or re.search(r"[\t\n]", label):
                raise InputError(f"{where}: found label {label!r}, expected one that a column can hold")
        pairs = zip(sentence.words, encode(sentence, where), strict=True)
        blocks.append("".join(f"{word}\t{tag}\n" for word, tag in pairs))
    if not blocks:
        raise InputError(f"{os.fspath(path)}: found no sentences to write, expected at least one")
    text = "\n".join(blocks)
    # A first word that begins with U+FEFF would lose it as a byte order mark: give the file a mark to lose instead.
    write_text(path, "\ufeff" + text if text.startswith("\ufeff") else text)


_COMMENT = re.compile(r"# *[^\s=][^=]*=")


def columns_of(line: str) -> list[str]:
    """Columns of a line without trailing white space. Only tab and space part them: a word may be any other space."""
    if "\t" in line:
        return [column.strip(" ") for column in line.split("\t")]
    return [column for column in line.split(" ") if column]


def may_be_comment(line: str) -> bool:
    """Whether a line before a sentence reads as `# key = value`; it may yet be a word that begins with `#`."""
    return _COMMENT.match(line) is not None


def is_comment(line: str, *, tabbed: bool, widths: Collection[int]) -> bool:
    """Whether a line before a sentence is no word of it: it has no tag column, or not as those lines do that are words.

    Of those: whether tabs part their columns, and how many there are; nothing is known where `widths` is empty.
    """
    columns = columns_of(line)
    like_words = ("\t" in line or not tabbed) and (not widths or len(columns) in widths)
    return may_be_comment(line) and not (like_words and len(columns) > 1 and is_tag(columns[-1]))


def _word_and_tag(columns: list[str], where: str) -> tuple[str, str]:
    if len(columns) < 2:
        raise InputError(f"{where}: found one column {columns[0]!r}, expected a word and a tag")
    if not columns[0]:
        raise InputError(f"{where}: found an empty first column before {columns[-1]!r}, expected a word")
    return columns[0], columns[-1]
