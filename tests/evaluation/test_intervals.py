"""Intervals of micro F1: known values, the effect of more sentences, and the effect of pairing."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from benchmarks.scores import one_by_one
from lightner.evaluation.intervals import Interval, difference_interval, f1_interval, resampled_f1
from lightner.types import Counts

RIGHT, WRONG = Counts(1, 1, 1), Counts(0, 1, 1)


def mixed(count: int, *, right: float, seed: int = 0) -> list[Counts]:
    generator = random.Random(seed)
    return [RIGHT if generator.random() < right else WRONG for _ in range(count)]


def test_an_interval_holds_the_measured_value_and_narrows_with_more_sentences() -> None:
    few, many = mixed(30, right=0.7), mixed(600, right=0.7)
    narrow, wide = f1_interval(many, seed=0), f1_interval(few, seed=0)
    for interval, counts in ((narrow, many), (wide, few)):
        assert interval.low < sum(counts, Counts()).f1 < interval.high
    assert narrow.high - narrow.low < 0.5 * (wide.high - wide.low)


def test_an_interval_is_as_wide_as_the_normal_approximation_says() -> None:
    # For one entity per sentence F1 is a share, whose standard error is known.
    found = f1_interval(mixed(400, right=0.5), seed=0)
    assert found.high - found.low == pytest.approx(2 * 1.96 * (0.25 / 400) ** 0.5, rel=0.15)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    counts = [Counts(n % 3, 3, 2 + n % 2) for n in range(40)]
    assert f1_interval(counts, seed=1) == f1_interval(counts, seed=1) != f1_interval(counts, seed=2)


def test_sentences_that_agree_leave_no_doubt() -> None:
    assert f1_interval([RIGHT] * 9, seed=0) == Interval(1.0, 1.0)
    assert f1_interval([Counts()] * 9, seed=0) == Interval(0.0, 0.0)
    assert f1_interval([], seed=0) == Interval(0.0, 0.0)


def test_a_paired_difference_sees_through_what_both_find_hard() -> None:
    first = mixed(100, right=0.5)
    second = [WRONG if number % 10 == 0 else counts for number, counts in enumerate(first)]
    paired = difference_interval(first, second, seed=0)
    assert paired.low >= 0.0
    apart = f1_interval(first, seed=0).high - f1_interval(first, seed=0).low
    assert paired.high - paired.low < 0.6 * apart
    assert difference_interval(second, first, seed=0).high <= 0.0


def test_a_difference_needs_the_same_sentences() -> None:
    with pytest.raises(AssertionError, match="found counts of 2 and of 1 sentences"):
        difference_interval([RIGHT, RIGHT], [RIGHT], seed=0)


def drawn_counts(count: int, *, seed: int) -> list[Counts]:
    """Counts of sentences with up to four entities on either side, of 25 kinds."""
    generator = random.Random(seed)
    sides = [(generator.randint(0, 4), generator.randint(0, 4)) for _ in range(count)]
    return [Counts(generator.randint(0, min(pair)), *pair) for pair in sides]


def over_seeds(way: Callable[..., Tensor], *sides: Sequence[Counts], seeds: range) -> Tensor:
    """F1 of either side and their difference, in all resamples of all seeds."""
    both = torch.cat([way(*sides, seed=seed) for seed in seeds], dim=1)
    return torch.cat([both, both[:1] - both[1:]])


def test_resampled_f1_is_distributed_as_where_sentences_are_drawn_one_by_one() -> None:
    sides, seeds = (drawn_counts(60, seed=1), drawn_counts(60, seed=2)), range(10)
    pairs = zip(over_seeds(resampled_f1, *sides, seeds=seeds), over_seeds(one_by_one, *sides, seeds=seeds), strict=True)
    for ours, theirs in pairs:
        count, spread = len(theirs), float(theirs.std())
        assert float(ours.mean()) == pytest.approx(float(theirs.mean()), abs=4 * spread * math.sqrt(2 / count))
        assert float(ours.std()) == pytest.approx(spread, rel=4 / math.sqrt(count))
        for level in (0.025, 0.975):  # with the density of a normal distribution there
            doubt = spread * math.sqrt(2 * level * (1 - level) / count) / 0.0584
            assert float(ours.quantile(level)) == pytest.approx(float(theirs.quantile(level)), abs=4 * doubt)


def test_draws_of_three_sentences_have_their_exact_frequencies() -> None:
    values = torch.cat([resampled_f1([RIGHT, WRONG, RIGHT], seed=seed)[0] for seed in range(20)])
    found = Counter(round(3 * value) for value in values.tolist())
    for right in range(4):
        share = math.comb(3, right) * (2 / 3) ** right * (1 / 3) ** (3 - right)
        assert found[right] / len(values) == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / len(values)))


def test_the_order_of_the_sentences_does_not_matter() -> None:
    first, second = drawn_counts(40, seed=1), drawn_counts(40, seed=2)
    assert difference_interval(first, second, seed=3) == difference_interval(first[::-1], second[::-1], seed=3)


def test_both_sides_of_a_difference_are_measured_on_the_same_draws() -> None:
    counts = drawn_counts(40, seed=1)
    ours, theirs = resampled_f1(counts, counts, seed=0)
    assert torch.equal(ours, theirs)
    assert len(ours.unique()) > 100


def test_resampling_leaves_the_random_numbers_of_training_alone() -> None:
    before = torch.get_rng_state()
    f1_interval(drawn_counts(40, seed=1), seed=0)
    assert torch.equal(torch.get_rng_state(), before)
