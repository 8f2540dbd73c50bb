"""The regret benchmark: its sweep varies what the rules fix, and its regrets are differences of means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import regret
from lightner.tuning import rules
from tests.support.people import TRAIN
from tests.support.tiny import save, tiny_backbone


def test_a_configuration_is_the_same_for_every_seed_but_for_the_seed() -> None:
    first, second = (regret.configuration(TRAIN, 3, seed) for seed in (0, 1))
    assert {**first.as_dict(), "seed": 1} == second.as_dict()


def test_the_sweep_varies_what_the_rules_fix() -> None:
    plans = [regret.configuration(TRAIN, number, 0).as_dict() for number in range(30)]
    varied = {name for name in plans[0] if len({plan[name] for plan in plans}) > 1}
    assert varied >= {"prompt_length", "learning_rate", "batch_size", "steps", "warm_up_steps", "weight_decay"}
    assert all(plan["steps"] >= plan["rounds"] > 0 and plan["warm_up_steps"] < plan["steps"] for plan in plans)


def test_sentences_to_choose_on_are_not_learned_from(tmp_path: Path) -> None:
    for name, words in (("train", "ab"), ("dev", "abcd"), ("test", "e")):
        (tmp_path / name).write_text("".join(f"{word}\tO\n\n" for word in words), "utf-8")
    task = regret.task_of(f"letters={tmp_path / 'train'}:{tmp_path / 'dev'}:{tmp_path / 'test'}")
    assert sorted(sentence.words for sentence in task.dev) == [("c",), ("d",)]


def test_the_best_of_the_first_seed_get_all_seeds_and_only_expert_and_rules_see_the_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[tuple[int, int, str]] = []
    real = regret.measure

    def noted(*args: Any) -> regret.Row:
        scored.append(args[2:])
        return real(*args)

    monkeypatch.setattr(regret, "measure", noted)
    monkeypatch.setattr(rules, "PROMPT_LENGTHS", (2,))
    monkeypatch.setattr(rules, "LEARNING_RATES", (1e-2,))
    tiny = tiny_backbone()
    monkeypatch.setattr(regret, "_loaded", lambda *_: tiny)
    runs = regret.Runs(tmp_path / "runs.jsonl")
    task = regret.Task("people", TRAIN, TRAIN[:4], TRAIN[4:])
    found = regret.compare(runs, task, 2, 1, 2)
    expert = scored[-1][0]
    assert scored == [
        *((regret.RULES, seed, "test") for seed in (0, 1)),
        (0, 0, "dev"),
        (1, 0, "dev"),
        (expert, 1, "dev"),
        *((expert, seed, "test") for seed in (0, 1)),
    ]
    assert expert in (0, 1)
    assert regret.compare(runs, task, 2, 1, 2) == found
    assert len(scored) == len(runs.rows("people")) == 7


def test_the_expert_is_the_best_mean_of_all_seeds_and_regret_a_difference_of_means() -> None:
    def row(number: int, seed: int, dev: float) -> regret.Row:
        return {"name": "x", "configuration": number, "seed": seed, "scored": "dev", "dev_f1": dev}

    rows = [row(0, 0, 0.9), row(0, 1, 0.5), row(1, 0, 0.8), row(1, 1, 0.7), row(2, 0, 0.95)]
    assert regret.best(rows, seeds=1) == [2, 0, 1]
    assert regret.best(rows, seeds=2) == [1, 0]
    tested = [
        {**row(number, seed, 0), "scored": "test", "test_f1": f1, "settings": {"number": number}}
        for number, seed, f1 in ((regret.RULES, 0, 0.5), (regret.RULES, 1, 0.7), (1, 0, 0.6), (1, 1, 0.66))
    ]
    found = regret.regret(tested, 1, 2)
    assert found["regret"] == pytest.approx(0.03)
    assert found["expert_settings"] == {"number": 1}


def test_runs_of_several_processes_are_those_of_one(tmp_path: Path) -> None:
    tiny = tiny_backbone()
    save(tiny, tmp_path / "tiny")
    task = regret.Task("people", TRAIN, TRAIN[:4], TRAIN[4:])
    wanted = [(0, 0, "dev"), (1, 0, "dev"), (1, 1, "dev")]
    rows = {}
    for processes in (1, 2):
        runs = regret.Runs(tmp_path / f"{processes}.jsonl", str(tmp_path / "tiny"), processes=processes)
        runs.add(task, wanted)
        runs.add(task, wanted)
        rows[processes] = sorted(runs.rows("people"), key=regret.key_of)
    assert rows[1] == rows[2]
    assert [regret.key_of(row)[1:] for row in rows[1]] == wanted
