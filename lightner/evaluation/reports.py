"""Tables of scores per type and on average: seqeval's report on spans, and the same table from added-up counts.

Strict: an entity counts if its words and its type are right. Knows spans and counts, no model. `metrics` counts the
same, faster (docs/decisions/0011-seqeval-reports.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from seqeval.metrics import classification_report
from seqeval.reporters import StringReporter
from seqeval.scheme import IOB2

from lightner.evaluation.metrics import score
from lightner.types import Counts, InputError, Scores, Span, is_nested

_AVERAGES = ("micro avg", "macro avg", "weighted avg")
_OUTSIDE = "O"
_DIGITS = 4


class Row(NamedTuple):
    """Scores of a type, or an average over types; `support` is the number of gold entities."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


class Rows(NamedTuple):
    """A row per type, and the micro, macro and weighted averages."""

    types: tuple[Row, ...]
    averages: tuple[Row, ...]


def report(gold: Sequence[Sequence[Span]], predicted: Sequence[Sequence[Span]]) -> str:
    """seqeval's report on sentences in the same order. Raises InputError as `rows` does."""
    return table(rows(gold, predicted))


def rows(gold: Sequence[Sequence[Span]], predicted: Sequence[Sequence[Span]]) -> Rows:
    """seqeval's strict scores of the types that occur; a span given twice in a sentence counts once.

    Nested entities, which tags cannot express, are counted by the same rule in `metrics`. Raises InputError if one side
    has more sentences.
    """
    if len(gold) != len(predicted):
        found = f"{len(gold)} gold and {len(predicted)} predicted sentences"
        raise InputError(f"report: found {found}, expected as many on both sides")
    if any(is_nested(set(spans)) for side in (gold, predicted) for spans in side):
        return rows_of(score(gold, predicted))
    types = sorted({span.label for side in (gold, predicted) for spans in side for span in spans})
    if not types:
        return rows_of(Scores())
    # Numbers for names, since seqeval removes hyphens, and could mistake a name for that of an average.
    codes = {name: str(number) for number, name in enumerate(types)}
    lengths = [
        max((span.end for span in (*one, *other)), default=0) for one, other in zip(gold, predicted, strict=True)
    ]

    def tags(side: Sequence[Sequence[Span]], name: str) -> list[list[str]]:
        pairs = enumerate(zip(side, lengths, strict=True))
        return [iob2(spans, length, codes, where=f"{name} sentence {number}") for number, (spans, length) in pairs]

    found = classification_report(
        tags(gold, "gold"), tags(predicted, "predicted"), mode="strict", scheme=IOB2, output_dict=True, zero_division=0
    )
    return Rows(
        tuple(_row(name, found[code]) for name, code in codes.items()),
        tuple(_row(name, found[name]) for name in _AVERAGES),
    )


def rows_of(scores: Scores) -> Rows:
    """The same rows from counts added up over sentences, folds or shards; types without entities have zeros."""
    total = scores.micro
    present = [counts for counts in scores.types.values() if counts.gold or counts.predicted]

    def average(weight: Callable[[Counts], int]) -> tuple[float, float, float]:
        whole = max(sum(map(weight, present)), 1)
        return (
            sum(weight(counts) * counts.precision for counts in present) / whole,
            sum(weight(counts) * counts.recall for counts in present) / whole,
            sum(weight(counts) * counts.f1 for counts in present) / whole,
        )

    means = (total.precision, total.recall, total.f1), average(lambda _: 1), average(lambda counts: counts.gold)
    return Rows(
        tuple(Row(name, each.precision, each.recall, each.f1, each.gold) for name, each in scores.types.items()),
        tuple(Row(name, *values, total.gold) for name, values in zip(_AVERAGES, means, strict=True)),
    )


def table(found: Rows) -> str:
    """Format the rows as seqeval prints them."""
    width = max(len(row.name) for row in (*found.types, *found.averages))
    reporter = StringReporter(width=width, digits=_DIGITS)
    for block in found:
        for row in block:
            reporter.write(*row)
        if block:
            reporter.write_blank()
    text: str = reporter.report()
    return text


def iob2(spans: Iterable[Span], length: int, codes: Mapping[str, str], *, where: str) -> list[str]:
    """IOB2 tags of a sentence's words, with the codes of its labels; `where` is the start of an InputError."""
    tags, last = [_OUTSIDE] * length, None
    for span in sorted(set(spans)):
        if last is not None and span.start < last.end:
            raise InputError(f"{where}: found {last} and {span}, expected spans that share no word")
        code = codes[span.label]
        tags[span.start : span.end] = [f"B-{code}", *[f"I-{code}"] * (span.end - span.start - 1)]
        last = span
    return tags


def _row(name: str, found: Mapping[str, float]) -> Row:
    return Row(name, float(found["precision"]), float(found["recall"]), float(found["f1-score"]), int(found["support"]))
