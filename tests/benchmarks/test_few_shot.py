"""The benchmark of few-shot tuning: a source decides the lengths, and gives the start."""

from __future__ import annotations

from benchmarks import few_shot
from lightner.data.formats import labels_of
from lightner.tuning import rules
from lightner.tuning.training import fit
from lightner.types import LabelSet
from tests.support.eight import EIGHT
from tests.support.tiny import tiny_backbone


def test_a_source_decides_the_lengths_and_gives_the_start() -> None:
    base = tiny_backbone()
    pins = {"steps": 16, "feed_forward_slots": 3}
    plan = rules.plan(EIGHT, prompt_length=5, learning_rate=0.03, pins=pins)
    source = fit(base, LabelSet.of(labels_of(EIGHT)), EIGHT, (), plan).fold()
    plans = few_shot.plans_of(EIGHT, 0, source)
    assert {(each.prompt_length, each.feed_forward_slots) for each in plans} == {(5, 3)}
    assert [each.learning_rate for each in plans] == list(rules.LEARNING_RATES)
    run = few_shot.tune(base, EIGHT, EIGHT, 0, source=source)
    assert (run["prompt_length"], run["train_sentences"]) == (5, len(EIGHT))
    assert len(run["curves"]) == len(plans)
    assert 0 < run["test_f1"] <= 1
