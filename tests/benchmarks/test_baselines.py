"""The baselines of the benchmarks: tags and spans are inverse, and both learners learn."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import baselines
from lightner.evaluation.metrics import score
from lightner.tuning.rules import Plan, plan
from lightner.types import Sentence, Span
from tests.support.people import LABELS, TRAIN
from tests.support.tiny import tiny_backbone


def plan_of(rate: float) -> Plan:
    return plan(TRAIN, prompt_length=0, learning_rate=rate)


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["PER", "LOC", None])), min_size=1, max_size=6))
def test_tags_are_the_inverse_of_spans(parts: list[tuple[int, str | None]]) -> None:
    spans, end = [], 0
    for length, label in parts:
        if label is not None:
            spans.append(Span(end, end + length, label))
        end += length
    sentence = Sentence(("w",) * end, tuple(spans))
    assert baselines.spans_of(baselines.tags_of(sentence, LABELS), LABELS) == spans


def test_an_inside_tag_after_another_type_begins_an_entity() -> None:
    inside_place, begin_person, inside_person = 2, 3, 4
    found = baselines.spans_of([inside_person, inside_place, 0, begin_person, inside_person, begin_person], LABELS)
    assert found == [Span(0, 1, "PER"), Span(1, 2, "LOC"), Span(3, 5, "PER"), Span(5, 6, "PER")]


@pytest.mark.parametrize("learner", [baselines.fine_tune, baselines.classify_tokens])
def test_a_baseline_learns_what_it_was_shown(learner: baselines.Learner) -> None:
    scores = learner(tiny_backbone(), LABELS, TRAIN, plan_of(1e-2))(TRAIN)
    assert scores.micro.f1 > 0.9
    assert score([s.spans for s in TRAIN], [() for _ in TRAIN]).micro.f1 == 0


@pytest.mark.parametrize("learner", [baselines.adapt, baselines.prefix_tune])
def test_a_baseline_of_peft_learns_what_it_was_shown(learner: baselines.Learner) -> None:
    pytest.importorskip("peft", reason="needs peft, which only benchmarks use")
    base = tiny_backbone()
    before = {name: weight.clone() for name, weight in base.model.state_dict().items()}
    untuned = learner(tiny_backbone(), LABELS, TRAIN, plan_of(0.0))(TRAIN).micro.f1
    assert learner(base, LABELS, TRAIN, plan_of(3e-2))(TRAIN).micro.f1 > max(0.5, untuned)
    if learner is baselines.prefix_tune:
        assert all(torch.equal(before[name], weight) for name, weight in base.model.state_dict().items())
