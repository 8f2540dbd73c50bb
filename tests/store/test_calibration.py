"""The calibration on a card: what is read is what was fitted, and a prompt's scores follow it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lightner.evaluation.calibration import Guess, calibrate
from lightner.store.artifact import PromptArtifact, from_files, to_files
from lightner.store.calibration import calibration_json
from lightner.store.card import from_json, readme, to_json
from lightner.store.loading import prompt_for
from lightner.tagger import tag_texts
from lightner.types import Calibration, InputError
from tests.support.fitted import BY
from tests.support.tiny import tiny_artifact, tiny_backbone

BACKBONE = tiny_backbone()
MADE = tiny_artifact(BACKBONE)
TEXTS = ("ada lives in paris and mary in rome", "emil likes soup and bread of oslo", "the group on monday")


def calibrated(found: object) -> PromptArtifact:
    return replace(MADE, card=replace(MADE.card, metrics={"f1": 0.5, "calibration": found}))  # type: ignore[dict-item]


def test_scores_of_a_stored_prompt_are_calibrated_and_nothing_else_changes() -> None:
    stored = from_files(to_files(calibrated(BY)), where="here")
    assert stored.card.calibration == Calibration(2.5, -0.5, 0.3, {"PER": 0.4})
    plain, own = prompt_for(MADE, BACKBONE), prompt_for(stored, BACKBONE)
    assert plain.calibration == Calibration()
    before = tag_texts(BACKBONE, [(plain, text) for text in TEXTS])
    after = tag_texts(BACKBONE, [(own, text) for text in TEXTS])
    assert sum(len(tagged.entities) for tagged in before) > 2
    for one, other in zip(before, after, strict=True):
        expected = [replace(each, score=own.calibration.probability(each.score)) for each in one.entities]
        assert list(other.entities) == expected
    mixed = tag_texts(BACKBONE, [(plain, TEXTS[0]), (own, TEXTS[0])])
    for one, other in zip(mixed, (before[0], after[0]), strict=True):
        assert [each.score for each in one.entities] == pytest.approx([each.score for each in other.entities], abs=1e-4)


def test_a_card_without_one_calibrates_nothing_and_says_nothing_of_it() -> None:
    assert MADE.card.calibration == Calibration()
    assert "Calibration" not in readme(MADE.card)


def test_what_was_fitted_is_read_back_with_its_figures() -> None:
    guesses = [Guess("L|O<b>C", 0.9, number % 3 > 0) for number in range(30)]
    guesses += [Guess("PER", 0.6, number % 2 > 0) for number in range(30)]
    found = calibrate(guesses, gold=70)
    assert found is not None
    card = calibrated(calibration_json(found)).card
    assert from_json(to_json(card)).calibration == found.calibration
    stored: Any = json.loads(to_json(card))["metrics"]["calibration"]
    assert stored["expected_calibration_error"] == {
        "before": pytest.approx(found.error_before, abs=1e-4), "after": pytest.approx(found.error_after, abs=1e-4)
    }  # fmt: skip
    assert [row["count"] for row in stored["reliability"]["after"]] == [each.count for each in found.bins_after]
    assert [row["recall"] for row in stored["by_threshold"]] == pytest.approx([p.recall for p in found.curve], abs=1e-4)
    text = readme(card)
    assert "## Calibration" in text
    assert f"{found.error_before:.4f}, {found.error_after:.4f}" in text
    assert "L\\|O&lt;b>C" in text.split("## Calibration")[1]
    assert "| threshold | precision | recall |" in text


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        {},
        {**BY, "temperature": 0},
        {**BY, "temperature": True},
        {**BY, "offset": "1"},
        {**BY, "threshold": 2},
        {**BY, "thresholds": [0.5]},
        {**BY, "thresholds": {"PER": None}},
    ],
)
def test_anything_else_in_its_place_is_refused(wrong: object) -> None:
    with pytest.raises(InputError, match="calibration: found"):
        calibrated(wrong)
