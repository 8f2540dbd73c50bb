"""Reports are seqeval's, our own counts give the same, and spans and names unfit for seqeval are handled."""

from __future__ import annotations

import pytest
from hypothesis import given
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from lightner.evaluation.metrics import score
from lightner.evaluation.reports import Rows, iob2, report, rows, rows_of, table
from lightner.types import InputError, Scores, Span
from tests.support.spans import Pairs, both_sides, calm

GOLD = [[Span(0, 2, "PER"), Span(3, 4, "LOC")], [], [Span(1, 2, "LOC")]]
PREDICTED = [[Span(0, 1, "PER"), Span(3, 4, "LOC")], [Span(0, 1, "LOC")], [Span(1, 2, "PER")]]


def assert_same(one: Rows, other: Rows) -> None:
    for ours, theirs in zip(one, other, strict=True):
        assert [(row.name, row.support) for row in ours] == [(row.name, row.support) for row in theirs]
        for row, expected in zip(ours, theirs, strict=True):
            assert row[1:4] == pytest.approx(expected[1:4], abs=1e-12), row.name


@calm
@given(both_sides)
def test_counts_that_are_added_up_give_what_seqeval_gives(pairs: Pairs) -> None:
    gold, predicted = [gold for gold, _ in pairs], [predicted for _, predicted in pairs]
    pooled = sum((score([one], [other]) for one, other in pairs), Scores())
    assert_same(rows_of(pooled), rows(gold, predicted))
    assert_same(rows_of(score(gold, predicted)), rows(gold, predicted))


@calm
@given(both_sides)
def test_a_span_given_twice_counts_once(pairs: Pairs) -> None:
    gold, predicted = [gold for gold, _ in pairs], [predicted for _, predicted in pairs]
    twice = [spans + spans[::-1] for spans in predicted]
    assert_same(rows(gold, twice), rows(gold, predicted))
    assert_same(rows(twice, gold), rows(predicted, gold))


def test_the_report_is_the_one_that_seqeval_prints() -> None:
    names = {"PER": "PER", "LOC": "LOC"}
    tags = [[iob2(spans, 4, names, where="") for spans in side] for side in (GOLD, PREDICTED)]
    theirs = classification_report(*tags, mode="strict", scheme=IOB2, digits=4, zero_division=0)
    assert report(GOLD, PREDICTED) == theirs
    assert table(rows_of(score(GOLD, PREDICTED))) == theirs
    assert theirs == (
        "              precision    recall  f1-score   support\n"
        "\n"
        "         LOC     0.5000    0.5000    0.5000         2\n"
        "         PER     0.0000    0.0000    0.0000         1\n"
        "\n"
        "   micro avg     0.2500    0.3333    0.2857         3\n"
        "   macro avg     0.2500    0.2500    0.2500         3\n"
        "weighted avg     0.3333    0.3333    0.3333         3\n"
    )


def test_spans_become_iob2_tags() -> None:
    found = iob2([Span(3, 4, "LOC"), Span(0, 2, "PER"), Span(2, 3, "PER")], 5, {"PER": "p", "LOC": "l"}, where="")
    assert found == ["B-p", "I-p", "B-p", "B-l", "O"]


def test_names_that_seqeval_would_change_stay_apart() -> None:
    gold = [[Span(0, 1, "x"), Span(1, 2, "-x"), Span(2, 3, "x-"), Span(3, 4, "micro avg")]]
    predicted = [[Span(0, 1, "x"), Span(1, 2, "x"), Span(2, 3, "-x")]]
    found = rows(gold, predicted)
    assert [(row.name, row.precision, row.recall, row.support) for row in found.types] == [
        ("-x", 0.0, 0.0, 1),
        ("micro avg", 0.0, 0.0, 1),
        ("x", 0.5, 1.0, 1),
        ("x-", 0.0, 0.0, 1),
    ]
    assert found.averages[0].recall == 0.25


@pytest.mark.parametrize("other", [Span(0, 2, "LOC"), Span(0, 1, "PER")], ids=["other type", "inside"])
def test_nested_entities_are_counted_by_the_same_rule_though_tags_cannot_hold_them(other: Span) -> None:
    spans = [Span(0, 2, "PER"), other]
    with pytest.raises(InputError, match=r"^here: found Span.* and Span.*, expected spans that share no word"):
        iob2(spans, 2, {"PER": "p", "LOC": "l"}, where="here")
    found = rows([spans, []], [spans[:1], [Span(0, 1, "PER")]])
    assert found == rows_of(score([spans, []], [spans[:1], [Span(0, 1, "PER")]]))
    [micro, *_] = found.averages
    assert (micro.precision, micro.recall, micro.f1, micro.support) == (0.5, 0.5, 0.5, 2)


@pytest.mark.parametrize(("gold", "predicted"), [(1, 2), (3, 2)])
def test_sides_of_different_length_are_refused(gold: int, predicted: int) -> None:
    with pytest.raises(InputError, match=f"found {gold} gold and {predicted} predicted sentences"):
        report([[]] * gold, [[]] * predicted)


def test_types_without_mentions_do_not_move_the_averages() -> None:
    scores = score([[Span(0, 1, "X")]], [[Span(0, 1, "X")]], types=["Z", "A"])
    assert {row.f1 for row in rows_of(scores).averages} == {1.0}


def test_a_report_without_entities_has_averages_of_zero() -> None:
    lines = report([[], []], [[], []]).splitlines()
    assert [line.split() for line in lines if line] == [
        ["precision", "recall", "f1-score", "support"],
        *([name, "avg", "0.0000", "0.0000", "0.0000", "0"] for name in ("micro", "macro", "weighted")),
    ]
