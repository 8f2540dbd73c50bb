"""What a run learns from: its folds, and what its teacher finds in unlabelled sentences, the same in all workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ray import tune
from torch import distributed

from lightner.data.formats import labels_of
from lightner.jobs.worker import folds_of
from lightner.tuning import rules
from lightner.tuning.cross_validation import Fold, run_folds
from lightner.tuning.training import Worker
from lightner.types import LabelSet, Sentence
from tests.support.eight import EIGHT
from tests.support.jobs import RUN
from tests.support.tiny import tiny_backbone

FOLDS = (Fold(EIGHT[:6], EIGHT[6:]),)
LABELS = LabelSet.of(labels_of(EIGHT))


@pytest.fixture
def group() -> Iterator[None]:
    """A group of one process, through which objects are sent as in one of several."""
    distributed.init_process_group("gloo", rank=0, world_size=1, store=distributed.HashStore())
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("group")
def test_workers_learn_from_what_the_first_one_finds(tmp_path: Path) -> None:
    base = tiny_backbone()
    plan = replace(rules.plan(EIGHT, prompt_length=2, learning_rate=0.03), steps=160, rounds=1)
    run_folds(base, LABELS, FOLDS, plan, last=1, on_round=lambda _, save: save(tmp_path))
    plain = replace(RUN, labels=LABELS, folds=FOLDS, plan=plan)
    assert folds_of(plain, base, Worker()) == FOLDS
    unlabelled = tuple(Sentence(sentence.words) for sentence in EIGHT)
    taught = replace(plain, unlabelled=unlabelled, teacher=tune.Checkpoint.from_directory(str(tmp_path)))
    alone = folds_of(taught, base, Worker())
    assert len(alone[0].train) > len(EIGHT[:6])
    assert alone[0].held == EIGHT[6:]
    assert folds_of(taught, base, Worker(rank=0, count=2)) == alone
