"""Strict entity-level counts, equal to seqeval's: an entity counts if its words and its type are right.

Knows spans only. Counts of sentences, folds and shards add up; `reports` prints them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from lightner.types import Counts, InputError, Scores, Span


def score(gold: Iterable[Sequence[Span]], predicted: Iterable[Sequence[Span]], types: Iterable[str] = ()) -> Scores:
    """Counts per type over sentences in the same order; a span given twice in a sentence counts once.

    `types` that never occur get counts of zero. Raises InputError if one side has more sentences.
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
