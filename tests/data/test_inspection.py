"""The report on a training set: its counts, and its warnings."""

from __future__ import annotations

from lightner.data.inspection import describe, inspect
from lightner.types import Sentence, Span

PARIS = Sentence(("Paris", "sleeps"), (Span(0, 1, "LOC"),))
ADA = Sentence(("Ada", "Byron", "wrote"), (Span(0, 2, "PER"),))
EMPTY = Sentence(("it", "rains"))


def test_a_sound_set_has_counts_and_nothing_to_say() -> None:
    train = [
        Sentence((name, "and", place, str(number)), (Span(0, 1, "PER"), Span(2, 3, "LOC")))
        for number, (name, place) in enumerate([("Ada", "Paris"), ("Emil", "Rome"), ("Mary", "Oslo")])
    ]
    report = inspect([*train, EMPTY], [ADA])
    assert (report.sentences, report.words) == (4, 14)
    assert report.types == ("LOC", "PER")
    assert report.mentions == {"LOC": 3, "PER": 3}
    assert (report.duplicates, report.contradictions, report.rare, report.overlap) == (0, (), (), 0)
    assert (report.errors, report.warnings) == ((), ())


def test_no_sentences_is_an_error() -> None:
    assert inspect([]).errors == ("The training set has no sentences.",)


def test_no_entities_is_an_error() -> None:
    assert inspect([EMPTY]).errors == ("The training set has no entities: every sentence is without spans.",)


def test_types_with_fewer_than_three_mentions_are_named_with_their_count() -> None:
    report = inspect([PARIS, ADA, Sentence(("Ada", "Ada"), (Span(0, 1, "PER"), Span(1, 2, "PER")))])
    assert report.rare == ("LOC",)
    assert report.warnings == ("Types with fewer than 3 mentions in the training set: LOC (1).",)


def test_repeated_sentences_are_counted_beyond_the_first() -> None:
    report = inspect([PARIS] * 3 + [EMPTY, EMPTY])
    assert report.duplicates == 3
    assert report.contradictions == ()
    assert report.warnings == ("The training set repeats 3 sentences word for word and span for span.",)


def test_the_same_words_with_different_spans_are_a_contradiction_and_no_duplicate() -> None:
    report = inspect([PARIS, Sentence(PARIS.words, (Span(0, 1, "PER"),)), ADA])
    assert report.contradictions == (("Paris", "sleeps"),)
    assert report.duplicates == 0
    expected = "The training set gives different spans to the same words in 1 sentence, first: 'Paris sleeps'."
    assert expected in report.warnings


def test_development_sentences_that_stand_in_train_are_counted_whatever_their_spans() -> None:
    report = inspect([PARIS, ADA], [Sentence(PARIS.words), PARIS, EMPTY])
    assert report.overlap == 2
    assert "The words of 2 of 3 development sentences also occur in the training set." in report.warnings


def test_types_of_dev_that_train_lacks_are_a_warning_and_no_error() -> None:
    report = inspect([PARIS] * 3, [ADA, Sentence(("May",), (Span(0, 1, "DATE"),))])
    assert report.errors == ()
    assert "Types of the development set that the training set lacks: DATE, PER." in report.warnings


def test_a_development_set_without_entities_is_a_warning() -> None:
    assert "The development set has no entities: scores on it say nothing." in inspect([PARIS], [EMPTY]).warnings
    assert not any("development" in warning for warning in inspect([PARIS]).warnings)


def test_test_sentences_that_were_learned_or_chosen_on_are_a_warning() -> None:
    report = inspect([PARIS] * 3, [EMPTY], [Sentence(PARIS.words), EMPTY, ADA])
    assert report.leaked == 2
    assert report.errors == ()
    leaks = (
        "The words of 2 of 3 test sentences also occur in the training or development set: their scores are too high."
    )
    assert leaks in report.warnings
    assert "Types of the test set that the training set lacks: PER." in report.warnings
    assert inspect([PARIS] * 3, [], [Sentence(("Oslo", "wakes"), (Span(0, 1, "LOC"),))]).leaked == 0


def test_a_description_has_a_line_for_every_type_and_every_warning() -> None:
    report = inspect([PARIS] * 3 + [ADA, EMPTY])
    first, *rest = describe(report).splitlines()
    assert first == "5 sentences, 11 words, 2 types"
    assert rest[:2] == ["  LOC  3 mentions", "  PER  1 mention"]
    assert rest[2:] == [f"warning: {warning}" for warning in report.warnings]
    assert len(report.warnings) == 2
    assert "error: The training set has no sentences." in describe(inspect([])).splitlines()


def test_nested_entities_are_counted_and_said() -> None:
    nested = Sentence(("in", "New", "York"), (Span(1, 3, "LOC"), Span(2, 3, "NAME")))
    flat = Sentence(("in", "Oslo"), (Span(1, 2, "LOC"),))
    report = inspect([nested, flat])
    assert report.nested == 1
    assert "entities lie within one another in 1 sentence: the domain's answers may be nested, too" in describe(report)
    assert inspect([flat]).nested == 0
    assert "within one another" not in describe(inspect([flat]))
