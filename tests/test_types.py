"""Values: which fields count for equality, and which values are refused."""

from __future__ import annotations

import pickle
from dataclasses import replace

from lightner.types import Sentence, Span
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
