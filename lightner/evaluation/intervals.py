"""How sure a micro F1 is: percentile intervals over resampled sentences, seeded. Knows counts, no model."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lightner.types import Counts

RESAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """Where LEVEL of the resampled values lie."""

    low: float
    high: float


def f1_interval(sentences: Sequence[Counts], *, seed: int) -> Interval:
    """The interval of the micro F1 of `sentences`, each with its counts, as if they had been drawn again."""
    return _interval(len(sentences), lambda drawn: _f1(sentences, drawn), seed)


def difference_interval(first: Sequence[Counts], second: Sequence[Counts], *, seed: int) -> Interval:
    """The interval of the first's micro F1 less the second's. Paired: both are counts of the same sentences."""
    assert len(first) == len(second), f"found counts of {len(first)} and of {len(second)} sentences"
    return _interval(len(first), lambda drawn: _f1(first, drawn) - _f1(second, drawn), seed)


def _interval(count: int, value: Callable[[Sequence[int]], float], seed: int) -> Interval:
    if count == 0:
        return Interval(0.0, 0.0)
    generator, numbers = random.Random(seed), range(count)
    values = sorted(value(generator.choices(numbers, k=count)) for _ in range(RESAMPLES))
    outside = round(RESAMPLES * (1 - LEVEL) / 2)
    return Interval(values[outside], values[-1 - outside])


def _f1(sentences: Sequence[Counts], drawn: Sequence[int]) -> float:
    right = total = 0
    for number in drawn:
        counts = sentences[number]
        right += counts.true_positives
        total += counts.predicted + counts.gold
    return 2 * right / total if total else 0.0
