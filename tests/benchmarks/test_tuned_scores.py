"""The calibration error that exact probabilities would have."""

from __future__ import annotations

import random

import pytest

from benchmarks.tuned_scores import error_by_chance
from lightner.evaluation.calibration import Guess


def guesses(number: int, scores: tuple[float, ...]) -> list[Guess]:
    return [Guess("dish", scores[place % len(scores)], right=True) for place in range(number)]


def test_certain_scores_have_no_error_by_chance() -> None:
    assert error_by_chance(guesses(20, (1.0, 0.0)), seed=0) == 0


def test_the_error_by_chance_falls_with_the_square_root_of_the_entities() -> None:
    """Of one bin it is the mean distance of a share from its probability, sqrt(2 p (1 - p) / (pi n))."""
    for number in (100, 400):
        expected = (2 * 0.5 * 0.5 / (3.1416 * number)) ** 0.5
        assert error_by_chance(guesses(number, (0.5,)), seed=0) == pytest.approx(expected, rel=0.1)


def test_what_was_right_does_not_count() -> None:
    rng = random.Random(0)
    right = guesses(50, (0.3, 0.55, 0.9))
    mixed = [Guess(each.label, each.score, rng.random() < 0.5) for each in right]
    assert error_by_chance(mixed, seed=1) == error_by_chance(right, seed=1)
