"""Scores equal seqeval's, and those of shards add up to those of the whole."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support

from lightner.evaluation.metrics import report, score
from lightner.types import Counts, InputError, Scores, Span

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy

LENGTH = 8


@st.composite
def flat_spans(draw: st.DrawFn) -> tuple[Span, ...]:
    """Spans over LENGTH words that share none, often none at all."""
    cuts = draw(st.lists(st.integers(0, LENGTH), max_size=6, unique=True).map(sorted))
    return tuple(
        Span(start, end, draw(st.sampled_from(["PER", "LOC", "date.day"])))
        for start, end in pairwise(cuts)
        if draw(st.booleans())
    )


both_sides = st.lists(st.tuples(flat_spans(), flat_spans() | st.none()), max_size=6).map(
    # Half-right predictions are rare by chance: None stands for "as in gold".
    lambda pairs: [(gold, gold if predicted is None else predicted) for gold, predicted in pairs]
)


def iob2(spans: tuple[Span, ...]) -> list[str]:
    tags = ["O"] * LENGTH
    for span in spans:
        for index in range(span.start, span.end):
            tags[index] = f"{'B' if index == span.start else 'I'}-{span.label}"
    return tags


def rows_of(table: str) -> list[list[str]]:
    """A report's rows from the right, so that "micro avg" counts as one name."""
    return [line.rsplit(maxsplit=4) for line in table.splitlines()[1:] if line.strip()]


@calm
@given(both_sides)
def test_scores_equal_those_of_seqeval(pairs: list[tuple[tuple[Span, ...], tuple[Span, ...]]]) -> None:
    scores = score([gold for gold, _ in pairs], [predicted for _, predicted in pairs])
    tags = [iob2(gold) for gold, _ in pairs], [iob2(predicted) for _, predicted in pairs]
    assert list(scores.types) == sorted({span.label for pair in pairs for side in pair for span in side})
    if not scores.types:  # seqeval cannot average nothing
        assert scores.micro == Counts()
        return
    micro = precision_recall_fscore_support(*tags, average="micro", zero_division=0)
    assert (scores.micro.precision, scores.micro.recall, scores.micro.f1) == pytest.approx(micro[:3])
    assert scores.micro.gold == micro[3]
    per_type = precision_recall_fscore_support(*tags, average=None, zero_division=0)
    for counts, *expected, support in zip(scores.types.values(), *per_type, strict=True):
        assert (counts.precision, counts.recall, counts.f1) == pytest.approx(tuple(expected))
        assert counts.gold == support


@calm
@given(both_sides)
def test_the_report_shows_the_numbers_of_seqevals(pairs: list[tuple[tuple[Span, ...], tuple[Span, ...]]]) -> None:
    scores = score([gold for gold, _ in pairs], [predicted for _, predicted in pairs])
    if not scores.types:
        return
    theirs = classification_report(
        [iob2(gold) for gold, _ in pairs], [iob2(predicted) for _, predicted in pairs], digits=4, zero_division=0
    )
    expected = {row[0].strip(): row[1:] for row in rows_of(theirs)}
    del expected["weighted avg"]
    found = {row[0].strip(): row[1:] for row in rows_of(report(scores))}
    assert found.keys() == expected.keys()
    for name, row in expected.items():
        assert [float(cell) for cell in found[name]] == pytest.approx([float(cell) for cell in row], abs=1.01e-4)


@calm
@given(both_sides, st.integers(0, 6))
def test_scores_of_shards_add_up_to_those_of_the_whole(
    pairs: list[tuple[tuple[Span, ...], tuple[Span, ...]]], cut: int
) -> None:
    def of(those: list[tuple[tuple[Span, ...], tuple[Span, ...]]]) -> Scores:
        return score((gold for gold, _ in those), (predicted for _, predicted in those))

    assert of(pairs[:cut]) + of(pairs[cut:]) == of(pairs)


def test_only_exact_boundaries_and_types_count() -> None:
    gold = [[Span(0, 2, "PER"), Span(3, 4, "LOC")], [], [Span(1, 2, "LOC")]]
    predicted = [[Span(0, 1, "PER"), Span(3, 4, "LOC")], [Span(0, 1, "LOC")], [Span(1, 2, "PER")]]
    assert score(gold, predicted) == Scores({"LOC": Counts(1, 2, 2), "PER": Counts(0, 2, 1)})


def test_a_span_predicted_twice_counts_once() -> None:
    assert score([[Span(0, 1, "X")]], [[Span(0, 1, "X")] * 2]) == Scores({"X": Counts(1, 1, 1)})


def test_given_types_are_listed_without_mentions_and_do_not_move_the_macro_average() -> None:
    scores = score([[Span(0, 1, "X")]], [[Span(0, 1, "X")]], types=["Z", "A"])
    assert scores == Scores({"A": Counts(), "X": Counts(1, 1, 1), "Z": Counts()})
    assert rows_of(report(scores))[-1] == ["macro avg", "1.0000", "1.0000", "1.0000", "1"]


@pytest.mark.parametrize(
    ("gold", "predicted", "side"), [([[]], [[], []], "1 gold"), ([[], [], []], [[], []], "2 predicted")]
)
def test_sides_of_different_length_are_refused(gold: list[list[Span]], predicted: list[list[Span]], side: str) -> None:
    with pytest.raises(InputError, match=f"found only {side} sentences"):
        score(gold, predicted)


def test_the_report_is_an_aligned_table() -> None:
    assert report(Scores({"LOC": Counts(1, 2, 2), "musicalinstrument": Counts(0, 1, 1)})) == (
        "                   precision     recall         f1    support\n"
        "\n"
        "              LOC     0.5000     0.5000     0.5000          2\n"
        "musicalinstrument     0.0000     0.0000     0.0000          1\n"
        "\n"
        "        micro avg     0.3333     0.3333     0.3333          3\n"
        "        macro avg     0.2500     0.2500     0.2500          3\n"
    )


def test_a_report_of_no_types_has_averages_of_zero() -> None:
    assert rows_of(report(Scores())) == [
        ["micro avg", "0.0000", "0.0000", "0.0000", "0"],
        ["macro avg", "0.0000", "0.0000", "0.0000", "0"],
    ]
