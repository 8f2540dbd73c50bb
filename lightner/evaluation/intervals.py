"""Confidence intervals of micro F1: percentiles over resampled sentences, seeded. Knows counts, no model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightner.types import Counts

RESAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """The range that holds LEVEL of the resampled values."""

    low: float
    high: float


def f1_interval(sentences: Sequence[Counts], *, seed: int) -> Interval:
    """The interval of the micro F1 over `sentences`, given as counts per sentence."""
    (values,) = resampled_f1(sentences, seed=seed)
    return _interval(values)


def difference_interval(first: Sequence[Counts], second: Sequence[Counts], *, seed: int) -> Interval:
    """The interval of the first's micro F1 minus the second's. Paired: both are counts of the same sentences."""
    assert len(first) == len(second), f"found counts of {len(first)} and of {len(second)} sentences"
    ours, theirs = resampled_f1(first, second, seed=seed)
    return _interval(ours - theirs)


def resampled_f1(*sides: Sequence[Counts], seed: int) -> Tensor:
    """Micro F1 of each side in RESAMPLES draws of as many sentences with replacement, the same for all sides.

    Sentences with the same counts form a kind. How often each kind is drawn follows a multinomial distribution, sampled
    here as one binomial per kind out of the draws that earlier kinds left. So time and memory depend on the number of
    kinds, which stays small, and the order of the sentences does not matter.

    Shape: [sides, RESAMPLES], float64.
    """
    kinds = Counter(zip(*([_f1_parts(counts) for counts in side] for side in sides), strict=True))
    generator = torch.Generator().manual_seed(seed)
    remaining = kinds.total()
    left = torch.full((RESAMPLES,), float(remaining), dtype=torch.float64)
    sums = torch.zeros(len(sides), 2, RESAMPLES, dtype=torch.float64)
    for kind, times in sorted(kinds.items()):
        drawn = torch.binomial(left, torch.full_like(left, times / remaining), generator=generator)
        sums += torch.tensor(kind, dtype=torch.float64)[..., None] * drawn
        left -= drawn
        remaining -= times
    right, total = sums.unbind(1)
    return right / total.clamp(min=1)  # without entities F1 is 0, as in `Counts`


def _f1_parts(counts: Counts) -> tuple[int, int]:
    """Numerator and denominator of a sentence's F1; for a draw they add up."""
    return 2 * counts.true_positives, counts.predicted + counts.gold


def _interval(values: Tensor) -> Interval:
    outside = round(RESAMPLES * (1 - LEVEL) / 2)
    ordered = values.sort().values
    return Interval(float(ordered[outside]), float(ordered[-1 - outside]))
