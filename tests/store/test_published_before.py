"""A prompt that was published in November 2026 loads and answers as it did then."""

from __future__ import annotations

import json

import pytest

import lightner
from lightner.store.registry import Registry
from lightner.tagger import tag_texts
from lightner.types import Calibration
from tests.support.paths import CHECKOUT

BEFORE = CHECKOUT / "tests" / "support" / "published_2026_11"


def test_an_earlier_prompt_answers_as_it_did() -> None:
    registry = Registry.open(str(BEFORE / "registry"))
    assert registry.domains() == ("people",)
    registry.verify("people", registry.resolve("people"))
    tagger = lightner.load(BEFORE / "registry/people/versions/v000001", backbone=str(BEFORE / "backbone"))
    assert tagger.prompt.calibration == Calibration(), "it was published before scores were calibrated"
    expected = json.loads((BEFORE / "answers.json").read_text(encoding="utf-8"))
    found = tag_texts(tagger.backbone, [(tagger.prompt, text) for text in expected["texts"]])
    for tagged, entities in zip(found, expected["entities"], strict=True):
        assert [[e.start, e.end, e.text, e.label] for e in tagged.entities] == [entity[:4] for entity in entities]
        assert [e.score for e in tagged.entities] == pytest.approx([entity[4] for entity in entities], abs=1e-4)
