"""Labels as callers give them: how names, words and descriptions are read, and which are refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightner.labels import GivenLabels, content_key, label_set, parse_labels
from lightner.types import InputError, LabelSet, alike


def test_label_words_come_from_names_or_from_given_descriptions() -> None:
    described = label_set({"B7": "Where a train leaves from.", "depart_date": None, "price": ["cost", "amount due"]})
    assert described == LabelSet(
        ("B7", "depart_date", "price"),
        (("Where", "a", "train", "leaves", "from", "."), ("depart", "date"), ("cost", "amount due")),
    )
    assert label_set(iter(["time", "food"])) == LabelSet(("food", "time"), (("food",), ("time",)))


@given(st.permutations(["dish", "price", "C++", "departDate", "人"]))
def test_the_order_in_which_labels_are_given_changes_nothing(names: list[str]) -> None:
    described = {name: f"a {name} of some kind" for name in names}
    assert label_set(names) == label_set(sorted(names))
    assert label_set(described) == label_set(dict(sorted(described.items())))
    assert content_key(label_set(described)) == content_key(label_set(dict(sorted(described.items()))))


def test_a_key_is_of_names_and_words_and_nothing_else_is_equal_to_it() -> None:
    sets: list[GivenLabels] = [["a", "b"], ["a", "c"], ["ab"], {"a": "b"}, {"a": "a b"}, {"a": ["a b"]}]
    assert len({content_key(label_set(each)) for each in sets}) == len(sets)
    assert content_key(label_set({"a": "b c"})) == content_key(label_set({"a": ["b", "c"]}))
    # Fixed: routes and caches on several machines have to agree on it.
    assert content_key(label_set(["a"])).startswith("6e01180bb8")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ("dish", "found 'dish', expected a list of names"),
        (7, "found 7 (int), expected a list of names"),
        ([], "found none, expected at least one"),
        ({}, "found none, expected at least one"),
        (["dish", 7], "found 7 (int), expected names as strings"),
        (["dish", ""], "found the name '', expected printable text"),
        (["Person", " Person"], "found the name ' Person', expected printable text without white space around it"),
        ({"Person\u00a0": None}, "expected printable text without white space around it"),
        (["a\u200bb"], "expected printable text"),
        (["\ud800"], "expected printable text"),
        (["dish", "dish"], "found 'dish' twice"),
        ({"dish": "  "}, "label 'dish': found '  ', expected at least one word"),
        ({"dish": []}, "label 'dish': found [] (list), expected at least one word"),
        ({"dish": ["meal", " "]}, "label 'dish': found the word ' ', expected printable text"),
        ({"dish": ["meal", None]}, "label 'dish': found the word None (NoneType), expected printable text"),
        ({"dish": 3}, "label 'dish': found 3 (int), expected a description or a list of words"),
        ({"dish": {"a": "b"}}, "label 'dish': found {'a': 'b'} (dict), expected a description"),
    ],
)
def test_values_that_are_not_labels_are_named(found: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        label_set(found)
    assert message in str(caught.value)


def test_labels_typed_by_people() -> None:
    assert parse_labels(" dish, price : what it costs,\n,who: a person: by name\nC++ ,") == {
        "dish": None,
        "price": "what it costs",
        "who": "a person: by name",
        "C++": None,
    }
    assert parse_labels("") == {}
    with pytest.raises(InputError, match="found 'a' twice"):
        parse_labels("a, b, a: c")
    with pytest.raises(InputError, match="found the name ''"):
        label_set(parse_labels(": what has no name"))


def test_names_of_equal_keys_are_grouped() -> None:
    assert alike("abcdef", [1, 2, 1, 3, 2, 1]) == (("a", "c", "f"), ("b", "e"))
    assert alike("ab", [1, 2]) == alike("", []) == ()
