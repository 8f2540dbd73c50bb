"""Strict entity-level scores, equal to seqeval's: an entity counts if its words and its type are all right.

Knows spans only; counts of shards add up, so a distributed evaluation is a sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from lightner.types import Counts, InputError, Scores, Span


def score(gold: Iterable[Sequence[Span]], predicted: Iterable[Sequence[Span]], types: Iterable[str] = ()) -> Scores:
    """Counts per type over sentences in the same order; a span given twice in a sentence counts once.

    `types` that occur nowhere get counts of zero. Raises InputError if one side has more sentences.
    """
    right: Counter[str] = Counter()
    found: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    for number, (golden, guessed) in enumerate(zip_longest(gold, predicted)):
        if golden is None or guessed is None:
            side = "gold" if golden is None else "predicted"
            raise InputError(f"score: found only {number} {side} sentences, expected as many on both sides")
        wanted.update(span.label for span in set(golden))
        found.update(span.label for span in set(guessed))
        right.update(span.label for span in set(golden) & set(guessed))
    names = sorted({*types, *wanted, *found})
    return Scores({name: Counts(right[name], found[name], wanted[name]) for name in names})


def report(scores: Scores) -> str:
    """A table of precision, recall, F1 and support: a row per type, then the micro and the macro average.

    The macro average is over the types that occur in gold or prediction, as in seqeval.
    """
    rows: list[_Row] = [
        (name, counts.precision, counts.recall, counts.f1, counts.gold) for name, counts in scores.types.items()
    ]
    total = scores.micro
    averages: list[_Row] = [
        ("micro avg", total.precision, total.recall, total.f1, total.gold),
        ("macro avg", *_macro(scores), total.gold),
    ]
    width = max(len(name) for name, *_ in [*rows, *averages])
    blocks = [[f"{'':{width}}  precision     recall         f1    support"]]
    blocks += [[_format(row, width) for row in block] for block in (rows, averages) if block]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


_Row = tuple[str, float, float, float, int]  # name, precision, recall, F1, support


def _macro(scores: Scores) -> tuple[float, float, float]:
    present = [counts for counts in scores.types.values() if counts.gold or counts.predicted]
    count = max(len(present), 1)
    return (
        sum(counts.precision for counts in present) / count,
        sum(counts.recall for counts in present) / count,
        sum(counts.f1 for counts in present) / count,
    )


def _format(row: _Row, width: int) -> str:
    name, precision, recall, f1, support = row
    return f"{name:>{width}}  {precision:9.4f}  {recall:9.4f}  {f1:9.4f}  {support:9d}"
