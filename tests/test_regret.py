"""The regret benchmark: its sweep varies what the rules fix, and its regrets are differences of means."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import regret
from lightner.types import Sentence, Span
from tests.tiny import tiny_backbone

TRAIN = tuple(
    Sentence((who, "lives", "in", where), (Span(0, 1, "PER"), Span(3, 4, "LOC")))
    for who in ("ada", "emil", "mary")
    for where in ("paris", "rome", "oslo")
)


def test_a_configuration_is_the_same_for_every_seed_but_for_the_seed() -> None:
    first, second = (regret.configuration(TRAIN, 3, seed) for seed in (0, 1))
    assert {**first.as_dict(), "seed": 1} == second.as_dict()


def test_the_sweep_varies_what_the_rules_fix() -> None:
    plans = [regret.configuration(TRAIN, number, 0).as_dict() for number in range(30)]
    varied = {name for name in plans[0] if len({plan[name] for plan in plans}) > 1}
    assert varied >= {"prompt_length", "learning_rate", "batch_size", "steps", "warm_up_steps", "weight_decay"}
    assert all(plan["steps"] >= plan["rounds"] > 0 and plan["warm_up_steps"] < plan["steps"] for plan in plans)


def test_a_run_is_scored_on_both_files() -> None:
    row = regret.measure(tiny_backbone(), regret.Task("people", TRAIN, TRAIN[:4], TRAIN[4:]), 0, 0)
    assert (row["name"], row["configuration"], row["seed"]) == ("people", 0, 0)
    assert 0 <= row["dev_f1"] <= 1
    assert 0 <= row["test_f1"] <= 1


def test_the_expert_is_chosen_on_development_data_and_the_oracle_on_the_test() -> None:
    def row(number: int, seed: int, dev: float, test: float) -> dict[str, Any]:
        return {"configuration": number, "seed": seed, "dev_f1": dev, "test_f1": test, "settings": {"number": number}}

    rows = [
        {"configuration": regret.RULES, "seed": 0, "test_f1": 0.5},
        {"configuration": regret.RULES, "seed": 1, "test_f1": 0.7},
        row(0, 0, 0.9, 0.6),
        row(0, 1, 0.7, 0.66),
        row(1, 0, 0.6, 0.7),
        row(1, 1, 0.6, 0.8),
    ]
    found = regret.regret(rows)
    assert found["expert_settings"] == {"number": 0}
    assert found["regret_to_expert"] == pytest.approx(0.03)
    assert found["regret_to_oracle"] == pytest.approx(0.15)
    assert (found["configurations"], found["seeds"]) == (2, 2)
