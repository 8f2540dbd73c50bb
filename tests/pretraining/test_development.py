"""What is measured on data that is kept out: F1 of untuned prompts, and their calibration."""

from __future__ import annotations

import pytest

from lightner.evaluation.calibration import Guess
from lightner.model.starts import untuned_prompt
from lightner.pretraining.development import Development, developed, fitted
from lightner.tagger import tag_words
from lightner.types import Calibration, LabelSet, Sentence, Span
from tests.support.tiny import tiny_backbone


def test_each_set_is_read_with_the_untuned_prompt_of_its_labels() -> None:
    labels = LabelSet.of(["LOC"])
    backbone = tiny_backbone()
    texts = [("Ana", "met", "Bob"), ("Oslo", "or", "Rome")]
    found = tag_words(backbone, [(untuned_prompt(backbone, labels), words) for words in texts])
    answered = [Sentence(words, tuple(span for span, _ in spans)) for words, spans in zip(texts, found, strict=True)]
    assert any(each.spans for each in answered)
    missed = Sentence(("Ana", "Bob"), (Span(0, 2, "LOC"),))
    right = developed(backbone, {"sets": [answered], "groups": []})
    assert right.f1 == {"sets": 1.0}
    assert right.calibration.probability(0.5) > 0.5
    mixed = developed(backbone, {"sets": [answered, [missed, *answered]]})
    assert 0.5 < mixed.f1["sets"] < 1.0


def test_guesses_that_are_too_sure_get_a_temperature_above_one() -> None:
    guesses = [Guess("a", 0.95, right=n % 2 == 0) for n in range(200)]
    found = fitted(guesses, gold=150)
    assert found.probability(0.95) == pytest.approx(0.5, abs=0.05)
    assert (found.threshold, found.thresholds) == (0.0, {})
    assert fitted([], gold=3) == Calibration() == Development().calibration
