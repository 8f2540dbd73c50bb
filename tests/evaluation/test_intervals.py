"""Intervals of a micro F1: where they must lie, what makes them narrow, and what pairing takes away."""

from __future__ import annotations

import random

import pytest

from lightner.evaluation.intervals import Interval, difference_interval, f1_interval
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
