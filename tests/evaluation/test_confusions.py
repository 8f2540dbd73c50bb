"""Kinds of errors: every entity of either side is of one kind, and confused types are reported."""

from __future__ import annotations

from hypothesis import given

from lightner.evaluation.confusions import describe, errors
from lightner.evaluation.metrics import score
from lightner.types import Span
from tests.support.spans import Pairs, both_sides, calm

GOLD = (Span(0, 2, "TITLE"), Span(3, 4, "YEAR"), Span(5, 7, "ACTOR"), Span(9, 10, "YEAR"))


def test_an_entity_is_of_the_kind_that_its_words_and_its_type_say() -> None:
    found = errors(
        [GOLD, (Span(0, 1, "ACTOR"),)],
        [
            (Span(0, 2, "TITLE"), Span(3, 4, "GENRE"), Span(5, 6, "ACTOR"), Span(7, 8, "ACTOR")),
            (Span(0, 1, "DIRECTOR"),),
        ],
    )
    assert (found.right, found.wrong_type, found.wrong_words, found.spurious, found.missed) == (1, 2, 1, 1, 1)
    assert found.confused == {("YEAR", "GENRE"): 1, ("ACTOR", "DIRECTOR"): 1}


@calm
@given(both_sides)
def test_every_predicted_entity_has_one_kind_and_right_ones_are_the_true_positives(pairs: Pairs) -> None:
    gold, predicted = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    found = errors(gold, predicted)
    counts = score(gold, predicted).micro
    assert found.right == counts.true_positives
    assert found.right + found.wrong_type + found.wrong_words + found.spurious == counts.predicted
    assert found.missed <= counts.gold - found.right - found.wrong_type
    assert sum(found.confused.values()) == found.wrong_type


def test_of_nested_entities_those_that_are_right_hide_no_error() -> None:
    gold = (Span(0, 6, "ADDRESS"), Span(0, 3, "STREET"), Span(4, 6, "CITY"), Span(8, 9, "CITY"), Span(8, 9, "BRAND"))
    found = errors([gold], [(Span(0, 6, "ADDRESS"), Span(0, 3, "CITY"), Span(1, 2, "CITY"), Span(8, 9, "CITY"))])
    assert (found.right, found.wrong_type, found.wrong_words, found.spurious, found.missed) == (2, 1, 1, 0, 2)
    assert found.confused == {("STREET", "CITY"): 1}


def test_the_description_names_the_most_frequent_confusions_first() -> None:
    found = errors([GOLD], [(Span(3, 4, "GENRE"), Span(9, 10, "GENRE"), Span(0, 2, "PLOT"))])
    assert describe(found).splitlines() == [
        "errors: 3 of the wrong type, 0 with wrong boundaries, 0 spurious, 1 missed",
        "     2 x YEAR taken for GENRE",
        "     1 x TITLE taken for PLOT",
    ]
