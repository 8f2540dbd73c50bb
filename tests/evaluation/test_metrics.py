"""Counts of exact matches; counts of shards add up to those of the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightner.evaluation.metrics import score
from lightner.types import Counts, InputError, Scores, Span
from tests.support.spans import Pairs, both_sides, calm


@calm
@given(both_sides, st.integers(0, 6))
def test_scores_of_shards_add_up_to_those_of_the_whole(pairs: Pairs, cut: int) -> None:
    def of(those: Pairs) -> Scores:
        return score((gold for gold, _ in those), (predicted for _, predicted in those))

    assert of(pairs[:cut]) + of(pairs[cut:]) == of(pairs)


def test_only_exact_boundaries_and_types_count() -> None:
    gold = [[Span(0, 2, "PER"), Span(3, 4, "LOC")], [], [Span(1, 2, "LOC")]]
    predicted = [[Span(0, 1, "PER"), Span(3, 4, "LOC")], [Span(0, 1, "LOC")], [Span(1, 2, "PER")]]
    assert score(gold, predicted) == Scores({"LOC": Counts(1, 2, 2), "PER": Counts(0, 2, 1)})


def test_a_span_predicted_twice_counts_once() -> None:
    assert score([[Span(0, 1, "X")]], [[Span(0, 1, "X")] * 2]) == Scores({"X": Counts(1, 1, 1)})


def test_given_types_are_counted_without_mentions() -> None:
    scores = score([[Span(0, 1, "X")]], [[Span(0, 1, "X")]], types=["Z", "A"])
    assert scores == Scores({"A": Counts(), "X": Counts(1, 1, 1), "Z": Counts()})


@pytest.mark.parametrize(
    ("gold", "predicted", "side"), [([[]], [[], []], "1 gold"), ([[], [], []], [[], []], "2 predicted")]
)
def test_sides_of_different_length_are_refused(gold: list[list[Span]], predicted: list[list[Span]], side: str) -> None:
    with pytest.raises(InputError, match=f"found only {side} sentences"):
        score(gold, predicted)
