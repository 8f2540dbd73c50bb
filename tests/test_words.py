"""Words of raw text: where they are split, their offsets, and the way back to characters."""

from __future__ import annotations

import time
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lightner.types import Entity, InputError, Sentence, Span
from lightner.words import (
    Word,
    as_given,
    as_read,
    in_parts,
    join_words,
    placed_words,
    read_words,
    sentence_ranges,
    spans_to_entities,
    split_words,
    windows,
)

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy


def texts_of(text: str) -> list[str]:
    return [word.text for word in split_words(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Paris, in 1889.", ["Paris", ",", "in", "1889", "."]),
        ("don't e-mail a_b", ["don", "'", "t", "e", "-", "mail", "a", "_", "b"]),
        ("H2O m² 3½", ["H2O", "m²", "3½"]),
        ("... $5", [".", ".", ".", "$", "5"]),
        ("Москва-Сіті", ["Москва", "-", "Сіті"]),
        ("서울에서 왔다", ["서울에서", "왔다"]),
        ("", []),
        (" \t\r\n\u00a0\u3000\u2028", []),
    ],
)
def test_words_are_runs_of_letters_and_digits_and_other_characters_stand_alone(text: str, words: list[str]) -> None:
    assert texts_of(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("我住在北京。", ["我", "住", "在", "北", "京", "。"]),
        ("iPhone手机15", ["iPhone", "手", "机", "15"]),
        ("東京タワー", ["東", "京", "タ", "ワ", "ー"]),
        ("人々〇", ["人", "々", "〇"]),
        ("\U00020bb7野家", ["\U00020bb7", "野", "家"]),
        ("ไป๑๒", ["ไ", "ป", "๑๒"]),
    ],
)
def test_letters_of_scripts_without_spaces_are_words_each(text: str, words: list[str]) -> None:
    assert texts_of(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cafe\u0301 ole\u0301!", ["cafe\u0301", "ole\u0301", "!"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("か\u3099く", ["か\u3099", "く"]),
        ("葛\U000e0100城", ["葛\U000e0100", "城"]),
        ("❤\ufe0f!", ["❤\ufe0f", "!"]),
        ("\u0301a", ["\u0301a"]),
    ],
)
def test_marks_stay_attached_to_what_they_mark(text: str, words: list[str]) -> None:
    assert texts_of(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\u200b\u200d\ufeff\u00ad\ufe0f\x00\x1b", []),
        ("a\u200bb", ["a", "b"]),
        ("a\x00b", ["a", "b"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("co\u00adop\u00ad op", ["co\u00adop", "op"]),
        ("\ufeffParis\u200e, x", ["Paris", ",", "x"]),
        ("a\ud800b", ["a", "b"]),
    ],
)
def test_invisible_characters_make_no_word_and_do_not_end_one(text: str, words: list[str]) -> None:
    assert texts_of(text) == words


@calm
@given(st.text(alphabet=st.characters(exclude_categories=[])))
@example("a\u200d\u0301\u200d")
def test_offsets_hold_and_every_visible_character_is_in_one_word(text: str) -> None:
    words = split_words(text)
    covered: set[int] = set()
    end = 0
    for word in words:
        assert text[word.start : word.end] == word.text != ""
        assert word.start >= end
        end = word.end
        covered.update(range(word.start, word.end))
    for position, char in enumerate(text):
        if unicodedata.category(char)[0] in "LNPS":
            assert position in covered
        if char.isspace():
            assert position not in covered


@calm
@given(st.text(), st.text())
def test_words_are_independent_of_text_beyond_a_space(left: str, right: str) -> None:
    assert texts_of(f"{left} {right}") == texts_of(left) + texts_of(right)


def test_a_hostile_text_takes_linear_time() -> None:
    for text in ("a" + "\u200d" * 200_000, ("a" + "\u200d" * 3) * 50_000, "\u200d" * 200_000, "!" + "\u0301" * 200_000):
        start = time.process_time()
        split_words(text)
        assert time.process_time() - start < 5


@calm
@given(st.integers(0, 200), st.integers(1, 40), st.data())
def test_windows_cover_all_words_with_the_overlap(count: int, size: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, size - 1))
    ranges = windows(count, size, overlap)
    assert {index for start, end in ranges for index in range(start, end)} == set(range(count))
    assert all(0 < end - start <= size for start, end in ranges)
    assert all(end - start == size for start, end in ranges) or len(ranges) == 1
    for (start, end), (following, _) in pairwise(ranges):
        assert start < following <= end - overlap


def test_the_last_window_is_moved_back_to_be_full() -> None:
    assert windows(10, 4, 1) == ((0, 4), (3, 7), (6, 10))
    assert windows(11, 4, 1) == ((0, 4), (3, 7), (6, 10), (7, 11))
    assert windows(3, 4, 1) == ((0, 3),)
    assert windows(0, 4, 1) == ()


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (4, 4), (4, -1), (-1, 0)])
def test_windows_that_would_not_move_on_are_refused(size: int, overlap: int) -> None:
    with pytest.raises(InputError, match=f"size {size} and overlap {overlap}, expected 0 <= overlap < size"):
        windows(10, size, overlap)


def test_entities_carry_the_characters_of_their_words() -> None:
    text = "He left  New\u00a0York, at once."
    words = split_words(text)
    entities = spans_to_entities(text, words, [(Span(2, 4, "LOC"), 0.9), (Span(0, 1, "PER"), 0.5)])
    assert entities == [Entity(9, 17, "New\u00a0York", "LOC", 0.9), Entity(0, 2, "He", "PER", 0.5)]


def test_a_span_beyond_the_words_is_refused() -> None:
    with pytest.raises(InputError, match="found end 2, expected at most the 1 words"):
        spans_to_entities("Hi", (Word("Hi", 0, 2),), [(Span(0, 2, "X"), 1.0)])


@calm
@given(st.text(min_size=1), st.data())
def test_the_words_of_an_entity_are_those_of_its_span(text: str, data: st.DataObject) -> None:
    words = split_words(text)
    if not words:
        return
    start = data.draw(st.integers(0, len(words) - 1))
    end = data.draw(st.integers(start + 1, len(words)))
    [entity] = spans_to_entities(text, words, [(Span(start, end, "X"), 1.0)])
    inside = [word for word in words if entity.start <= word.start and word.end <= entity.end]
    assert inside == list(words[start:end])
    assert entity.text == text[entity.start : entity.end]


@given(st.lists(st.text(min_size=1)))
@calm
def test_joined_words_are_where_they_are_said_to_be(words: list[str]) -> None:
    text, placed = join_words(words)
    assert [word.text for word in placed] == words
    assert [text[word.start : word.end] for word in placed] == words
    assert text == " ".join(words)


def ranges_of(text: str) -> list[str]:
    words = split_words(text)
    return [text[words[start].start : words[end - 1].end] for start, end in sentence_ranges(text, words)]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (
            "Dr. Smith lives in the U.S. He left at 3.5 p.m. Why?",
            ["Dr. Smith lives in the U.S.", "He left at 3.5 p.m.", "Why?"],
        ),
        ("First line of a list\nsecond line\nthird", ["First line of a list", "second line", "third"]),
        ("Mix:\n1. flour\n2. eggs\n- salt and\n* pepper", ["Mix:", "1. flour", "2. eggs", "- salt and", "* pepper"]),
        ("A title\n\nThe text of it.", ["A title", "The text of it."]),
        (
            "This is running text that was wrapped at some width by an editor, as in New\nYork, and goes on here. End.",
            [
                "This is running text that was wrapped at some width by an editor, as in New\nYork, and goes on here.",
                "End.",
            ],
        ),
        ("我住在北京。你呢？", ["我住在北京。", "你呢？"]),
        ("no end of a sentence at all", ["no end of a sentence at all"]),
        ("Is Orrinote 3 . 0 . 1 on Ubuntu 22 . 04 ? Yes .", ["Is Orrinote 3 . 0 . 1 on Ubuntu 22 . 04 ?", "Yes ."]),
        ("It took 22. 04 is next.", ["It took 22.", "04 is next."]),
    ],
)
def test_sentences_end_where_text_says_so(text: str, sentences: list[str]) -> None:
    assert ranges_of(text) == sentences


@given(st.text(max_size=80))
def test_sentences_cover_every_word_once_and_in_order(text: str) -> None:
    words = split_words(text)
    ranges = sentence_ranges(text, words)
    assert [position for start, end in ranges for position in range(start, end)] == list(range(len(words)))


words_given = st.lists(
    st.text(st.characters(exclude_categories=("Z", "Cc", "Cs")), min_size=1, max_size=6), min_size=1, max_size=8
)


@given(words_given, st.data())
def test_given_words_are_split_as_their_text_and_spans_come_back(given_words: list[str], data: st.DataObject) -> None:
    read = read_words(given_words)
    assert len(read.place) == len(given_words)
    assert len(read.origin) == len(read.words)
    start = data.draw(st.integers(0, len(given_words) - 1))
    span = Span(start, data.draw(st.integers(start + 1, len(given_words))), "x")
    back = read.given(read.read(span))
    assert back.start <= span.start < span.end <= back.end
    if "n't" not in given_words:
        assert back == span


def test_given_words_are_read_as_raw_text_splits_them() -> None:
    given_words = ("We", "ca", "n't", "run", "v2.0.1", "on", "AX-13.3", "\u200b", "!")
    read = read_words(given_words)
    assert read.text == "We can't run v2.0.1 on AX-13.3 \u200b !"
    visible = [word.text for word in read.words if word.text != "\u200b"]
    assert visible == [word.text for word in split_words("We can't run v2.0.1 on AX-13.3 !")]
    assert read.read(Span(4, 5, "version")) == Span(5, 10, "version")
    assert read.given(Span(11, 16, "device")) == Span(6, 7, "device")


def test_a_sentence_to_learn_from_keeps_its_spans_apart() -> None:
    sentence = Sentence(("I", "do", "n't", "know"), (Span(1, 2, "verb"), Span(2, 3, "negation")))
    read = as_read(sentence)
    assert read.words == ("I", "do", "n", "'", "t", "know")
    assert read.spans == (Span(1, 2, "verb"), Span(2, 5, "negation"))
    assert as_read(Sentence(("I", "do", "n't", "know"))).words == ("I", "don", "'", "t", "know")


def test_nested_spans_stay_nested_in_the_words_that_are_read() -> None:
    given_words = ("He", "did", "n't", "see", "v2.0", "北京市")
    spans = (Span(1, 3, "verb"), Span(2, 3, "not"), Span(4, 5, "version"), Span(5, 6, "place"), Span(5, 6, "city"))
    read = as_read(Sentence(given_words, spans))
    assert read.words == ("He", "did", "n", "'", "t", "see", "v2", ".", "0", "北", "京", "市")
    assert read.spans == tuple(
        sorted(
            [Span(1, 5, "verb"), Span(2, 5, "not"), Span(6, 9, "version"), Span(9, 12, "place"), Span(9, 12, "city")]
        )
    )


def test_a_long_text_to_learn_from_is_cut_at_ends_of_sentences_with_its_spans() -> None:
    words = tuple(["Ada", "met", "Emil", "in", "Rome", "."] * 50)
    spans = tuple(Span(start, start + 1, "person") for start in range(0, 300, 6))
    parts = in_parts(Sentence(words, spans, "file:7"))
    assert [len(part.words) for part in parts] == [120, 120, 60]
    assert all(part.words[-1] == "." and part.place == "file:7" for part in parts)
    assert [span.start for part in parts for span in part.spans] == [n % 120 for n in range(0, 300, 6)]
    assert in_parts(Sentence(words[:120], ())) == (Sentence(words[:120], ()),)


def test_words_that_are_not_those_of_the_text_beside_them_stay_as_they_are_given() -> None:
    own = Sentence(("v2", ".", "0"), text="v2.0")
    other = Sentence(("v2.0", "runs"), (Span(0, 1, "version"),), text="v2.0  runs")
    strange = Sentence(("a", "b"), text="something else")
    assert [as_given(each) for each in (own, other, strange)] == ["v2.0", ("v2.0", "runs"), ("a", "b")]
    assert placed_words(other) == ("v2.0  runs", (Word("v2.0", 0, 4), Word("runs", 6, 10)))
    assert placed_words(strange) == join_words(("a", "b"))
    assert as_read(other) == Sentence(("v2", ".", "0", "runs"), (Span(0, 3, "version"),))
    assert as_read(own) is own


def test_parts_of_a_text_keep_their_share_of_it() -> None:
    text = "Open config.yaml in 4.2.1.  Then wait. " * 20
    words = tuple(word.text for word in split_words(text))
    parts = in_parts(Sentence(words, (), "file:7", text), most=50)
    assert all(tuple(word.text for word in split_words(part.text)) == part.words for part in parts)
    assert {part.text[-1] for part in parts} == {"."}
    assert " ".join(part.text for part in parts).split() == text.split()


@calm
@given(
    st.lists(st.sampled_from(["a", "b.", ".", "v1.2", "no"]), min_size=1, max_size=80), st.integers(3, 20), st.data()
)
def test_parts_hold_all_words_and_cut_no_span(given_words: list[str], most: int, data: st.DataObject) -> None:
    starts = sorted(data.draw(st.lists(st.integers(0, len(given_words) - 1), max_size=6, unique=True)))
    bounds = pairwise([*starts, len(given_words)])
    spans = tuple(Span(start, min(start + 2, end), "x") for start, end in bounds)
    parts = in_parts(Sentence(tuple(given_words), spans), most)
    assert [word for part in parts for word in part.words] == given_words
    offsets = [sum(len(each.words) for each in parts[:n]) for n in range(len(parts))]
    found = [
        (span.start + offset, span.end + offset)
        for part, offset in zip(parts, offsets, strict=True)
        for span in part.spans
    ]
    assert found == [(span.start, span.end) for span in spans]
    longest = max((sum(len(read_words([w]).words) for w in given_words[s.start : s.end]) for s in spans), default=1)
    assert all(len(read_words(part.words).words) <= max(most, longest, 3) for part in parts)
