"""The matrix of sources and targets: gains are against the same target's label words, seed by seed."""

from __future__ import annotations

from benchmarks import transfer
from lightner.tuning.training import fit
from lightner.types import LabelSet
from tests.support.eight import EIGHT
from tests.support.tiny import tiny_backbone

RUNS = [
    {"name": "b", "source": transfer.ALONE, "seed": 0, "f1": 50.0, "cross_validated": 40.0},
    {"name": "b", "source": "a", "seed": 0, "f1": 60.0, "cross_validated": 45.0},
    {"name": "b", "source": transfer.ALONE, "seed": 1, "f1": 52.0, "cross_validated": 41.0},
    {"name": "b", "source": "a", "seed": 1, "f1": 56.0, "cross_validated": 41.0},
]


def test_gains_are_over_the_label_words_alone() -> None:
    assert transfer.matrix(RUNS) == {"b": {"a": 7.0}}


def test_the_choice_is_by_cross_validation_and_the_label_words_win_ties() -> None:
    assert transfer.auto(RUNS) == {"gain": 5.0, "choices": 2}


def test_a_target_is_tuned_from_its_source() -> None:
    base = tiny_backbone()
    names = LabelSet.of(sorted({span.label for sentence in EIGHT for span in sentence.spans}))
    source = fit(base, names, EIGHT, (), transfer.plan_of(EIGHT, 0)).fold()
    found = transfer.measure(base, EIGHT[:6], EIGHT, lambda: source, seed=0)
    alone = transfer.measure(base, EIGHT[:6], EIGHT, lambda: None, seed=0)
    assert found["f1"] > alone["f1"]  # the source has learned the two sentences that are read
