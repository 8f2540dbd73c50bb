"""Answers beside those of a real pipeline of transformers: equal in form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import BertConfig, BertForTokenClassification, pipeline

import lightner
from lightner.tagger import Tagger
from lightner.types import InputError
from tests.support.serving import TEXTS, Place, prepare
from tests.support.tiny import tiny_tokenizer


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return prepare(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module")
def theirs() -> Any:
    """A tiny random model of BERT's family."""
    tokenizer = tiny_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        id2label={0: "PER", 1: "LOC"}, label2id={"PER": 0, "LOC": 1},
    )  # fmt: skip
    model = BertForTokenClassification(config).eval()
    return pipeline("ner", model=model, tokenizer=tokenizer, aggregation_strategy="simple")


def form(value: Any) -> Any:
    """The form of an answer: lists, names of fields in their order, kinds of values."""
    if isinstance(value, list):
        return [form(each) for each in value[:1]]
    return {name: "number" if hasattr(each, "__float__") else type(each) for name, each in value.items()}


def test_answers_have_the_form_of_transformers(place: Place, theirs: Any) -> None:
    ours = lightner.pipeline("ner", place.registry.url + "/movies/versions/v000001", backbone=str(place.folder))
    for inputs in (TEXTS[0], [TEXTS[0]], [TEXTS[0], TEXTS[3]], (each for each in TEXTS[3:4])):
        kept = inputs if isinstance(inputs, (str, list)) else list(inputs)
        assert form(ours(kept)) == form(theirs(kept))
    assert ours([]) == []


def test_answers_are_the_taggers(place: Place) -> None:
    tagger = Tagger.load(f"{place.registry.url}/movies/versions/v000001", backbone=str(place.folder))
    ours = lightner.pipeline("token-classification", tagger, aggregation_strategy="first", threshold=0.2)
    expected = tagger.tag([TEXTS[0]], threshold=0.2)[0]
    assert len(expected) > 1
    assert ours(TEXTS[0]) == [
        {"entity_group": each.label, "score": each.score, "word": each.text, "start": each.start, "end": each.end}
        for each in expected
    ]


@pytest.mark.parametrize(
    ("task", "given", "said"),
    [
        ("translation", {}, "task: found 'translation', expected one of"),
        ("ner", {"aggregation_strategy": "none"}, "aggregation_strategy: found 'none', expected one of"),
    ],
)
def test_what_it_cannot_do_is_refused(task: str, given: dict[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        lightner.pipeline(task, tmp_path, **given)  # type: ignore[arg-type]
