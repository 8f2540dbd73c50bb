"""Values: which fields count for equality, and which values are refused."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from lightner.types import Sentence, Span, crossing, is_nested, outermost_first
from lightner.words import as_read


def test_the_place_of_a_sentence_is_no_part_of_its_value() -> None:
    here, there = (Sentence(("a",), (Span(0, 1, "X"),), place) for place in ("a.conll:1", "b.json: record 7"))
    assert here == there
    assert hash(here) == hash(there)
    assert repr(here) == repr(there) == "Sentence(words=('a',), spans=(Span(start=0, end=1, label='X'),))"


def test_the_place_travels_with_the_sentence() -> None:
    sentence = Sentence(("a",), place="a.conll:1")
    assert replace(sentence, spans=(Span(0, 1, "X"),)).place == "a.conll:1"
    assert pickle.loads(pickle.dumps(sentence)).place == "a.conll:1"
    assert as_read(sentence).place == "a.conll:1"
    assert sentence.where == "a.conll:1"
    assert Sentence(("a", "b")).where == "sentence 'a b'..."


spans = st.lists(
    st.builds(
        lambda start, size, label: Span(start, start + size, label),
        st.integers(0, 8), st.integers(1, 5), st.sampled_from("ab"),
    ),
    max_size=6,
)  # fmt: skip


@given(spans)
def test_spans_cross_or_are_nested_as_a_comparison_of_all_pairs_says(drawn: list[Span]) -> None:
    pairs = list(combinations(drawn, 2))
    sharing = [(one, other) for one, other in pairs if one.start < other.end and other.start < one.end]
    crossed = [
        pair for pair in sharing if not any(a.start <= b.start and b.end <= a.end for a, b in (pair, pair[::-1]))
    ]
    found = crossing(drawn)
    assert (found is not None) == bool(crossed)
    assert found is None or tuple(found) in crossed or tuple(found)[::-1] in crossed
    assert is_nested(drawn) == bool(sharing)


def test_spans_come_before_those_within_them() -> None:
    ordered = [Span(0, 5, "a"), Span(0, 2, "a"), Span(0, 2, "b"), Span(3, 5, "a"), Span(7, 8, "a")]
    assert outermost_first(ordered[::-1]) == ordered
