"""The wire contract: accepted and refused requests."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from lightner.service.schemas import (
    FORMS,
    MAX_DESCRIPTION_CHARACTERS,
    MAX_LABEL_CHARACTERS,
    MAX_LABELS,
    MAX_NAME_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    MAX_TEXTS,
    MAX_TOTAL_CHARACTERS,
    AliasRequest,
    DomainRequest,
    EntitiesRequest,
    Item,
    LabelsItem,
    MixedRequest,
    RollbackRequest,
    characters_of_labels,
)


def faults(model: type[BaseModel], found: Any) -> list[tuple[int | str, ...]]:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(found)
    return [tuple(part for part in each["loc"] if part not in FORMS) for each in caught.value.errors()]


def test_a_list_of_texts_is_enough() -> None:
    request = EntitiesRequest.model_validate({"texts": ["Ada lives in Paris.", ""]})
    assert (request.texts, request.threshold, request.prompt) == (["Ada lives in Paris.", ""], 0.0, None)


@pytest.mark.parametrize("threshold", [0, 1, 0.5])
def test_a_threshold_is_a_probability(threshold: float) -> None:
    assert EntitiesRequest.model_validate({"texts": ["a"], "threshold": threshold}).threshold == threshold


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan"), float("inf"), "0.5", True, None])
def test_other_thresholds_are_refused(threshold: object) -> None:
    assert faults(EntitiesRequest, {"texts": ["a"], "threshold": threshold}) == [("threshold",)]


@pytest.mark.parametrize("prompt", ["live", "canary", "v000001", "a.b_c-d", "0", "a" * 128])
def test_a_prompt_is_an_alias_or_a_version(prompt: str) -> None:
    assert EntitiesRequest.model_validate({"texts": ["a"], "prompt": prompt}).prompt == prompt


NO_NAMES = ["", "Live", "../x", ".x", "-x", "a/b", "a b", "a\n", "\na", "é", "a" * 129, "s3://b/c", "%2e%2e", "a\0"]


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_name_that_could_be_a_path_or_an_address_is_refused(name: str) -> None:
    assert faults(EntitiesRequest, {"texts": ["a"], "prompt": name}) == [("prompt",)]
    assert faults(MixedRequest, {"items": [{"domain": name, "text": "a"}]}) == [("items", 0, "domain")]


@pytest.mark.parametrize(
    ("found", "at"),
    [
        ({}, ("texts",)),
        ({"texts": []}, ("texts",)),
        ({"texts": "a"}, ("texts",)),
        ({"texts": ["a", 1]}, ("texts", 1)),
        ({"texts": ["a", None]}, ("texts", 1)),
        ({"texts": ["a"], "treshold": 0.5}, ("treshold",)),
        ({"texts": ["a"] * (MAX_TEXTS + 1)}, ("texts",)),
        ({"texts": ["a", "a" * (MAX_TEXT_CHARACTERS + 1)]}, ("texts", 1)),
        ({"texts": ["\ud800"]}, ("texts", 0)),
        ({"texts": [["a", "\ud800"]]}, ("texts", 0, 1)),
        ({"texts": ["a", ["a", ""]]}, ("texts", 1, 1)),
        ({"texts": [["a", " "]]}, ("texts", 0, 1)),
        ({"texts": [["a", "b\n"]]}, ("texts", 0, 1)),
        ({"texts": [["a", 1, 2]]}, ("texts", 0, 1)),
        ({"texts": [[["a"]]]}, ("texts", 0, 0)),
        ({"texts": [["a"] * (MAX_TEXT_CHARACTERS // 2 + 1)]}, ("texts", 0)),
        ({"texts": [["a"] * (MAX_TEXT_CHARACTERS + 1)]}, ("texts", 0)),
        ({"texts": ["a"], "output": "iob"}, ("output",)),
    ],
)
def test_a_malformed_request_is_refused_at_the_field_at_fault(found: Any, at: tuple[int | str, ...]) -> None:
    assert faults(EntitiesRequest, found) == [at]


def test_the_largest_request_is_taken_and_one_character_more_is_not() -> None:
    whole, rest = divmod(MAX_TOTAL_CHARACTERS, MAX_TEXT_CHARACTERS)
    texts = ["a" * MAX_TEXT_CHARACTERS] * whole + ["a" * rest]
    assert len(EntitiesRequest.model_validate({"texts": texts}).texts) == whole + 1
    assert faults(EntitiesRequest, {"texts": [*texts, "a"]}) == [("texts",)]
    items = [{"domain": "movies", "text": text} for text in [*texts, "a"]]
    assert faults(MixedRequest, {"items": items}) == [("items",)]


def test_words_count_as_the_text_that_they_make() -> None:
    texts = [["New York", "a\u200bb"], [], ["a"] * (MAX_TEXT_CHARACTERS // 2)]
    assert EntitiesRequest.model_validate({"texts": texts}).texts == texts
    longest = ["a" * (MAX_TEXT_CHARACTERS // 2), "a" * (MAX_TEXT_CHARACTERS // 2 - 1)]
    texts = [longest] * (MAX_TOTAL_CHARACTERS // MAX_TEXT_CHARACTERS)
    assert len(EntitiesRequest.model_validate({"texts": texts}).texts) == len(texts)
    assert faults(EntitiesRequest, {"texts": [*texts, ["a"]]}) == [("texts",)]


def test_an_alias_cannot_look_like_a_version() -> None:
    assert AliasRequest.model_validate({"version": "v000001"}) == AliasRequest(alias="live", version="v000001")
    assert faults(AliasRequest, {"version": "live"}) == [("version",)]
    assert faults(AliasRequest, {"version": "v1"}) == [("version",)]
    assert faults(AliasRequest, {"alias": "v000002", "version": "v000001"}) == [("alias",)]
    assert faults(RollbackRequest, {"alias": "v000002"}) == [("alias",)]
    assert faults(RollbackRequest, {"alias": "../live"}) == [("alias",)]


def test_items_name_their_domain() -> None:
    request = MixedRequest.model_validate({"items": [{"domain": "movies", "text": "a"}], "threshold": 0.5})
    assert list(request.items) == [Item(domain="movies", text="a", prompt=None)]
    assert faults(MixedRequest, {"items": [{"domain": "movies", "text": "a", "label": "x"}]}) == [("items", 0, "label")]
    assert faults(MixedRequest, {"items": [{"text": "a"}]}) == [("items", 0)]


@pytest.mark.parametrize(
    "labels",
    [["person", "C++"], ["x" * MAX_NAME_CHARACTERS], [f"l{n}" for n in range(MAX_LABELS)],
     {"who": "a person", "where": ["city", "place"], "food": None}, {"a": "x" * MAX_DESCRIPTION_CHARACTERS}],
)  # fmt: skip
def test_labels_are_names_or_names_with_words(labels: Any) -> None:
    assert DomainRequest.model_validate({"domain": "movies", "labels": labels}).labels == labels
    request = MixedRequest.model_validate({"items": [{"labels": labels, "text": "a"}]})
    assert [item.labels for item in request.items if isinstance(item, LabelsItem)] == [labels]


@pytest.mark.parametrize(
    ("labels", "at"),
    [
        (None, ()),
        ("person", ()),
        ([], ()),
        ({}, ()),
        (["a", "a"], ()),
        ([f"l{n}" for n in range(MAX_LABELS + 1)], ()),
        ({f"l{n}": None for n in range(MAX_LABELS + 1)}, ()),
        (["a", 1], (1,)),
        ([""], (0,)),
        (["a", " b"], (1,)),
        (["a\n"], (0,)),
        (["\ud800"], (0,)),
        (["x" * (MAX_NAME_CHARACTERS + 1)], (0,)),
        ({" a": None}, (" a", "[key]")),
        ({"a": 1}, ("a",)),
        ({"a": ""}, ("a",)),
        ({"a": []}, ("a",)),
        ({"a": ["b", ""]}, ("a", 1)),
        ({"a": {"b": "c"}}, ("a",)),
        ({"a": "x" * (MAX_DESCRIPTION_CHARACTERS + 1)}, ("a",)),
        ({"a": ["xx"] * (MAX_DESCRIPTION_CHARACTERS // 2)}, ("a",)),
        ({f"l{n}": "x" * 200 for n in range(MAX_LABEL_CHARACTERS // 200)}, ()),
    ],
)
def test_malformed_labels_are_refused_at_their_place(labels: Any, at: tuple[int | str, ...]) -> None:
    assert faults(DomainRequest, {"domain": "movies", "labels": labels}) == [("labels", *at)]
    assert faults(MixedRequest, {"items": [{"labels": labels, "text": "a"}]}) == [("items", 0, "labels", *at)]


def test_an_item_names_a_domain_or_brings_labels() -> None:
    for item, at in (
        ({"domain": "movies", "labels": ["a"], "text": "a"}, ()),
        ({"labels": ["a"], "text": "a", "prompt": "live"}, ("prompt",)),
        ({"labels": ["a"]}, ("text",)),
        ({"text": "a"}, ()),
    ):
        assert faults(MixedRequest, {"items": [item]}) == [("items", 0, *at)]


def test_the_labels_of_a_request_are_bounded_by_those_that_differ() -> None:
    labels = {f"l{n}": "x" * 90 for n in range(100)}
    size = characters_of_labels(labels)
    assert 9_000 < size < 10_000
    items = [{"labels": dict(reversed(labels.items())) if n % 2 else labels, "text": ""} for n in range(40)]
    assert len(MixedRequest.model_validate({"items": items}).items) == 40
    others = [{"labels": {**labels, "more": str(n)}, "text": ""} for n in range(MAX_LABEL_CHARACTERS // size)]
    assert faults(MixedRequest, {"items": [*others, items[0]]}) == [("items",)]
    # All of them count as characters of the request.
    most = MAX_TOTAL_CHARACTERS // size
    assert faults(MixedRequest, {"items": items[:1] * (most + 1)}) == [("items",)]
    assert len(MixedRequest.model_validate({"items": items[:1] * most}).items) == most


@pytest.mark.parametrize(
    "module", ["lightner.service.schemas", "lightner.service.messages", "lightner.service.settings"]
)
def test_the_contract_needs_neither_ray_nor_torch(module: str) -> None:
    check = f"import sys, {module}; sys.exit(any(name in sys.modules for name in ('ray', 'torch', 'transformers')))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_http_needs_neither_ray_nor_torch() -> None:
    check = "import sys, lightner.service.routes; sys.exit(any(name in sys.modules for name in ('ray', 'torch')))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_the_ingress_process_needs_no_torch() -> None:
    check = "import sys, lightner.service.ingress; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
