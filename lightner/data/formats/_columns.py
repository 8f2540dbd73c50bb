"""Counts over one column of a CoNLL file, a stretch of rows at a time: tags, labels, numbers, other values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lightner.data.formats._tags import OUTSIDE, is_plain_label, is_tag
from lightner.data.formats.conll_rows import is_number, is_quoted

_MOST_LABELS = 500
_ENOUGH_ROWS = 5000  # after this many rows with hardly any tags, a column is no longer examined for them
_LEAST_OUTSIDE = 0.1  # least share of O in a column whose tags have no prefix


class Column:
    """Counts over the values of a column; `add` takes them in order."""

    def __init__(self) -> None:
        self.rows = self.empty = self._tagged = self._outside = 0
        self._labels: set[str] = set()
        self._others: set[str] = set()
        self._open = True  # whether it may still be a column of tags
        self._numeric = True
        self._varies = False
        self._last = ("", -1)
        self._moves: set[str] = set()

    def add(self, values: Sequence[str], sentences: Sequence[int]) -> None:
        """Count `values`; `sentences` has the running number of the sentence that each is in."""
        self.rows += len(values)
        self.empty += values.count("")
        if self._open:
            self._count_tags(Counter(values))
        if self._numeric:
            self._numeric = all(is_number(value) for value in set(values))
        if self._numeric:
            self._count_moves(values, sentences)
        if not self._varies:
            self._varies = self._has_change(values, sentences)
        self._last = values[-1], sentences[-1]

    @property
    def needs_order(self) -> bool:
        """Whether the order of further values can still matter."""
        return self._numeric or not self._varies

    @property
    def is_prefixed(self) -> bool:
        """Whether most values are tags, some of them with a prefix and a label."""
        return bool(self._labels) and 2 * self._tagged >= self.rows

    @property
    def is_outside(self) -> bool:
        """Whether all values are O."""
        return 0 < self._outside == self.rows

    @property
    def is_plain(self) -> bool:
        """Whether the values are O and labels without a prefix."""
        enough = self._outside >= max(1, _LEAST_OUTSIDE * self.rows)
        return self._open and enough and not self._labels and all(is_plain_label(other) for other in self._others)

    @property
    def labels(self) -> frozenset[str]:
        """The labels of the tags with a prefix."""
        return frozenset(self._labels)

    @property
    def plain_labels(self) -> tuple[str, ...]:
        """The labels of a column whose tags have no prefix, sorted."""
        return tuple(sorted(self._others))

    @property
    def is_numeric(self) -> bool:
        """Whether all values are numbers."""
        return self._numeric

    @property
    def counts_words(self) -> bool:
        """Whether the values number words: each is one more than the last, or restarts at 0 or 1."""
        return self._numeric and "step" in self._moves and self._moves <= {"step", "reset"}

    @property
    def counts_sentences(self) -> bool:
        """Whether the values number sentences: several words share a number, then a greater one follows."""
        return self._numeric and {"same"} < self._moves and "fall" not in self._moves

    @property
    def is_constant(self) -> bool:
        """Whether the value never changes within a sentence."""
        return not self._varies

    def _count_tags(self, counts: Counter[str]) -> None:
        for value, count in counts.items():
            if value == OUTSIDE:
                self._outside += count
                self._tagged += count
            elif is_tag(value):
                self._tagged += count
                self._labels.add(value.partition("-")[2])
            else:
                self._others.add(value)
        hardly = self.rows >= _ENOUGH_ROWS and 10 * self._tagged < self.rows
        if len(self._others) > _MOST_LABELS and (hardly or len(self._labels) > _MOST_LABELS):
            self._open = False
            self._others.clear()

    def _count_moves(self, values: Sequence[str], sentences: Sequence[int]) -> None:
        """Note how whole numbers follow one another within sentences."""
        before, sentence = self._last
        for value, number in zip(values, sentences, strict=True):
            if value.isdecimal():
                if number == sentence and before.isdecimal():
                    self._moves.add(_move(int(before), int(value)))
                before, sentence = value, number

    def _has_change(self, values: Sequence[str], sentences: Sequence[int]) -> bool:
        before, sentence = self._last
        if values.count(values[0]) == len(values) and before in (values[0], ""):
            return False
        for value, number in zip(values, sentences, strict=True):
            if number == sentence and value != before:
                return True
            before, sentence = value, number
        return False


class Quotes:
    """Decides whether columns separated by tabs or spaces are quoted as pandas does: all, or those that need it."""

    def __init__(self) -> None:
        self._needed = False
        self._against = False

    def add(self, columns: Sequence[str]) -> None:
        """Take a row that has a quotation mark."""
        for cell in columns:
            if '"' in cell and not (is_quoted(cell) and '""' in cell[1:-1]):
                self._against = True
        self._needed = True

    @property
    def refuted(self) -> bool:
        """Whether some row shows that they are not."""
        return self._against

    @property
    def decided(self) -> bool:
        """Whether each column with a quotation mark is quoted, and would have to be."""
        return self._needed and not self._against


def _move(before: int, value: int) -> str:
    if value == before:
        return "same"
    if value > before:
        return "step" if value == before + 1 else "jump"
    return "reset" if value <= 1 else "fall"
