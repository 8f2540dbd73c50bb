"""Keys of stored values: explicit JSON, independent of the order of names and the notation of numbers."""

from __future__ import annotations

import hashlib

import pytest

from lightner.jobs.keys import described, key_of
from lightner.types import Sentence, Span

DESCRIPTION = {"version": 1, "plan": {"rate": 0.1, "steps": 3}, "started_from": None, "words": ["Ödön", "a"]}


def test_a_key_is_the_hash_of_sorted_json() -> None:
    text = r'{"plan":{"rate":0.1,"steps":3},"started_from":null,"version":1,"words":["\u00d6d\u00f6n","a"]}'
    assert key_of(DESCRIPTION) == hashlib.sha256(text.encode()).hexdigest()


def test_the_order_in_which_a_description_was_made_does_not_matter() -> None:
    turned = {"words": ["Ödön", "a"], "started_from": None, "plan": {"steps": 3, "rate": 0.1}, "version": 1}
    assert list(turned) != list(DESCRIPTION)
    assert key_of(turned) == key_of(DESCRIPTION)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"plan": {"rate": 0.1 + 2**-56, "steps": 3}},
        {"plan": {"rate": 0.1, "steps": 4}},
        {"started_from": "x@v000001"},
        {"words": ["a", "Ödön"]},
        {"words": ["Ödön", "a", "\ud800"]},
    ],
)
def test_every_part_of_a_description_changes_the_key(change: dict[str, object]) -> None:
    assert key_of({**DESCRIPTION, **change}) != key_of(DESCRIPTION)  # type: ignore[dict-item]


def test_sentences_are_described_by_words_and_spans() -> None:
    sentences = [Sentence(("in", "New", "York"), (Span(1, 3, "place"),)), Sentence(("so",))]
    assert described(sentences) == [[["in", "New", "York"], [[1, 3, "place"]]], [["so"], []]]
    assert described([Sentence(("4", ".", "2"), text="4.2")]) == [[["4", ".", "2"], [], "4.2"]]
