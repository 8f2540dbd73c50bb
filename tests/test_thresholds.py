"""Thresholds: which entities are kept, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lightner.store.loading import prompt_for
from lightner.tagger import Tagger
from lightner.thresholds import TUNED, Thresholds
from lightner.types import Calibration, Entity, InputError
from tests.support.fitted import BY, with_calibration
from tests.support.tiny import tiny_artifact, tiny_backbone

FITTED = Calibration(threshold=0.5, thresholds={"dish": 0.7})


def entity(score: float, label: str = "dish") -> Entity:
    return Entity(0, 1, "a", label, score)


@pytest.mark.parametrize(
    ("threshold", "own", "dish", "price"),
    [
        (0.0, None, 0.0, 0.0),
        (0.4, None, 0.4, 0.4),
        (0.4, {"dish": 0.9}, 0.9, 0.4),
        (TUNED, None, 0.7, 0.5),
        (TUNED, {"dish": 0.1}, 0.1, 0.5),
        (1, {}, 1.0, 1.0),
    ],
)
def test_the_lowest_score_is_the_labels_own_then_that_of_all(
    threshold: Any, own: dict[str, float] | None, dish: float, price: float
) -> None:
    least = Thresholds.of(threshold, own)
    for label, bound in (("dish", dish), ("price", price)):
        assert least.keeps(entity(bound, label), FITTED), "what reaches it stays"
        assert not least.keeps(entity(bound - 1e-9, label), FITTED)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.nan, "0.5", "Tuned", None, True])
def test_only_probabilities_and_the_word_are_thresholds(wrong: object) -> None:
    with pytest.raises(InputError, match=r"threshold: found .*, expected a number from 0 to 1 or 'tuned'"):
        Thresholds.of(wrong)
    with pytest.raises(InputError, match=r"thresholds\['dish'\]: found .*, expected a number from 0 to 1$"):
        Thresholds.of(0.0, {"dish": wrong})


@pytest.mark.parametrize("wrong", [[("dish", 0.5)], {1: 0.5}, "dish=0.5"])
def test_thresholds_of_labels_are_a_mapping(wrong: object) -> None:
    with pytest.raises(InputError, match=r"thresholds: found .*, expected a mapping of labels to numbers"):
        Thresholds.of(0.0, wrong)


def test_a_tagger_leaves_out_what_is_below_them() -> None:
    base = tiny_backbone()
    made = with_calibration(tiny_artifact(base), **{**BY, "threshold": 0.2, "thresholds": {"PER": 0.3}})
    tagger = Tagger(base, prompt_for(made, base))
    texts = ["ada lives in paris and mary in rome", "emil likes soup and bread of oslo"]
    everything = [each for found in tagger.tag(texts) for each in found]
    scores = sorted(each.score for each in everything)
    assert len(scores) > 2
    middle = scores[len(scores) // 2]
    assert [each for found in tagger.tag(texts, threshold=middle) for each in found] == [
        each for each in everything if each.score >= middle
    ]
    fitted = [each for found in tagger.tag(texts, threshold="tuned") for each in found]
    assert fitted == [each for each in everything if each.score >= (0.3 if each.label == "PER" else 0.2)]
    one = everything[0].label
    kept = [each for found in tagger.tag(texts, thresholds={one: 1.0}) for each in found]
    assert kept == [each for each in everything if each.label != one or each.score == 1.0]
    with pytest.raises(InputError, match=r"thresholds: found labels \['city'\], expected some of \['LOC', 'PER'\]"):
        tagger.tag(texts, thresholds={"city": 0.5})
