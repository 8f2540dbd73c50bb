"""The benchmark of large sets: which runs there are, and what each of them measures."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import full_data
from lightner.tuning import rules
from tests.support.people import LABELS, TRAIN
from tests.support.tiny import save, tiny_backbone


def test_only_prompts_have_lengths_and_each_method_its_own_rates() -> None:
    found = list(full_data.ways(["prompt", "fine_tuning"], [8, 64], [1, 4], None, 1))
    assert len(found) == 2 * 2 * 2 + 2 * 2
    assert {run["length"] for run in found if run["method"] == "fine_tuning"} == {0}
    assert {run["rate"] for run in found if run["method"] == "prompt"} == set(rules.LEARNING_RATES)
    given = list(full_data.ways(["fine_tuning"], [8], [1], [0.5], 2))
    assert [(run["rate"], run["seed"]) for run in given] == [(0.5, 0), (0.5, 1)]


@pytest.mark.parametrize("method", ["prompt", "fine_tuning"])
def test_a_run_learns_in_a_process_of_its_own(method: str, tmp_path: Path) -> None:
    save(tiny_backbone(), tmp_path)
    files = (TRAIN, TRAIN[:3], TRAIN[3:])
    row = full_data.alone(str(tmp_path), files, method=method, length=2, passes=48, rate=1e-2, seed=0)
    assert rules.plan(TRAIN, prompt_length=2, learning_rate=1e-2).batch_size == 4
    assert row["steps"] == 48 * len(TRAIN) / 4
    assert row["dev_f1"] > 0.5
    assert row["test_f1"] > 0.5
    assert set(row["test_classes"]) == set(LABELS.names), "each class apart"
    assert min(row["clock_s"], row["processor_s"]) > 0
    assert row["memory_bytes"] >= 0, "a tiny model needs no more than loading it took"


def test_a_prompt_learns_what_it_was_shown() -> None:
    plan = rules.plan(TRAIN, prompt_length=2, learning_rate=3e-2)
    assert full_data.tune_prompt(tiny_backbone(), LABELS, TRAIN, plan)(TRAIN).micro.f1 > 0.5
