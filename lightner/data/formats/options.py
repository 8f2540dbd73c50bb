"""What a user may say about a file of labelled sentences: which columns or fields count, and which repairs are allowed.

Knows no format: each reader uses the values that concern it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import StrEnum

from lightner.types import InputError


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns by number (the first is 1) or by name in the header; for records, fields by name.

    Columns that are None are found by content. `sentence` names a column of sentence numbers; `text` and `spans` are
    fields of records with character offsets.
    """

    word: int | str | None = None
    tag: int | str | None = None
    sentence: int | str | None = None
    text: int | str | None = None
    spans: int | str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns or fields that are given by name."""
        return tuple(each for each in self._given if isinstance(each, str))

    @property
    def numbers(self) -> tuple[int, ...]:
        """The columns that are given by number."""
        return tuple(each for each in self._given if isinstance(each, int))

    @property
    def _given(self) -> tuple[int | str | None, ...]:
        return self.word, self.tag, self.sentence, self.text, self.spans


class Repair(StrEnum):
    """Repairs that are made only if the user names them, since each may be wrong."""

    GROW_TO_WORD = "grow-to-word"
    """A span that cuts a word grows to the whole word."""
    DROP_SPAN = "drop-span"
    """A span that cannot be placed (it cuts a word, lies outside its text, states another text) is left out."""
    KEEP_LONGEST = "keep-longest"
    """Of spans that overlap, nested ones included, the longest is kept, of equally long ones the first."""
    TAGS_AS_CONLLEVAL = "tags-as-conlleval"
    """Sequences that a scheme such as BIOES forbids are read as conlleval and seqeval read them."""
    DROP_SENTENCE = "drop-sentence"
    """A sentence or record with any other fault is left out."""


COLUMNS_EXPECTED = "NAME=COLUMN pairs such as word=1,tag=4 or word=tokens,tag=ner_tags"


def parse_columns(text: str) -> Columns:
    """The value of an option such as `word=1,tag=3`. Raises InputError for anything else."""
    known = [field.name for field in fields(Columns)]
    found: dict[str, int | str] = {}
    for pair in text.split(","):
        name, equals, column = (part.strip() for part in pair.partition("="))
        if not equals or not column or column == "0" or name not in known or name in found:
            raise InputError(f"columns: found {pair!r} in {text!r}, expected {COLUMNS_EXPECTED}, each of {known} once")
        found[name] = int(column) if column.isdecimal() else column
    return Columns(**found)


def parse_repairs(text: str | Iterable[str]) -> frozenset[Repair]:
    """The repairs named by one or several options such as `grow-to-word,keep-longest`. Raises InputError."""
    named = text.split(",") if isinstance(text, str) else [name for each in text for name in each.split(",")]
    known = [repair.value for repair in Repair]
    unknown = [name.strip() for name in named if name.strip() not in known]
    if unknown:
        raise InputError(f"repair: found {unknown[0]!r}, expected some of {known}, separated by commas")
    return frozenset(Repair(name.strip()) for name in named)
