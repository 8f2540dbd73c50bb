"""The rules in place of hyperparameters, and an expert's pins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lightner.tuning.rules import (
    LEARNING_RATES,
    PROMPT_LENGTHS,
    Plan,
    Scheme,
    best_round,
    fold_count,
    in_proportion,
    milestones,
    plan,
    rate_share,
    round_end,
    rounds_of_scan,
    runs_per_gpu,
    scheme,
)
from lightner.types import InputError, Sentence


def planned(count: int) -> Plan:
    return plan([Sentence(("ada",))] * count, prompt_length=8, learning_rate=2e-3)


@pytest.mark.parametrize("count", [1, 7, 39, 40, 200, 5000])
def test_every_plan_has_whole_rounds_and_warms_up_before_it_ends(count: int) -> None:
    found = planned(count)
    assert found.steps % found.rounds == 0
    assert 0 < found.warm_up_steps < found.steps
    assert 4 <= found.batch_size <= 16
    assert 120 <= found.steps <= 1200


def test_many_sentences_get_fewer_passes() -> None:
    passes = {count: planned(count).steps * planned(count).batch_size / count for count in (64, 200, 300, 600)}
    assert passes[64] == pytest.approx(32, abs=0.5)
    assert passes[200] == pytest.approx(32, abs=0.5)
    assert passes[300] == pytest.approx(21, abs=0.5)
    assert passes[600] == pytest.approx(16, abs=0.5)


def test_many_sentences_get_more_feed_forward_slots() -> None:
    assert {count: planned(count).feed_forward_slots for count in (2, 127, 128, 5000)} == {
        2: 32,
        127: 32,
        128: 128,
        5000: 128,
    }
    sentences = [Sentence(("ada",))] * 128
    assert plan(sentences, prompt_length=64, learning_rate=2e-3).feed_forward_slots == 256
    assert plan(sentences, prompt_length=0, learning_rate=2e-3, pins={"feed_forward_slots": 0}).feed_forward_slots == 0


def test_pins_replace_the_rules_values_in_the_rules_types() -> None:
    pinned = planned(10).with_pins({"steps": 24, "slot_rate": 1, "dropout": 0.0})
    assert (pinned.steps, pinned.slot_rate, pinned.dropout) == (24, 1.0, 0.0)
    assert isinstance(pinned.slot_rate, float)
    assert pinned.as_dict() == {**planned(10).as_dict(), "steps": 24, "slot_rate": 1.0, "dropout": 0.0}
    assert planned(10).with_pins({}) == planned(10)
    assert planned(10).with_pins({"bf16": False}).bf16 is False


@pytest.mark.parametrize(
    ("pins", "name", "value"),
    [
        ({"steps": 50}, "warm_up_steps", 3),
        ({"batch_size": 2}, "steps", 160),
        ({"batch_size": 2}, "warm_up_steps", 10),
        ({"prompt_length": 3}, "feed_forward_slots", 12),
        ({"prompt_length": 3, "feed_forward_slots": 5}, "feed_forward_slots", 5),
        ({"batch_size": 2, "steps": 50}, "steps", 50),
        ({"rounds": 150, "batch_size": 2}, "rounds", 150),
    ],
)
def test_settings_derived_from_a_pinned_one_follow_the_pin(pins: dict[str, Any], name: str, value: int) -> None:
    made = plan([Sentence(("ada",))] * 10, prompt_length=8, learning_rate=2e-3, pins=pins)
    assert getattr(made, name) == value
    assert {key: getattr(made, key) for key in pins} == pins


def test_a_pin_is_checked_before_anything_follows_from_it() -> None:
    with pytest.raises(InputError, match="'batch_size': found 0, expected at least 1"):
        plan([Sentence(("ada",))] * 10, prompt_length=8, learning_rate=2e-3, pins={"batch_size": 0})


@pytest.mark.parametrize(
    ("pins", "message"),
    [
        ({"step": 24}, r"found 'step', expected one of \['batch_size'"),
        ({"steps": 24.0}, r"'steps': found 24.0, expected a int"),
        ({"steps": True}, r"'steps': found True, expected a int"),
        ({"dropout": "0.1"}, r"'dropout': found '0.1', expected a float"),
        ({"dropout": True}, r"'dropout': found True, expected a float"),
        ({"dropout": 1.0}, r"'dropout': found 1.0, expected at least 0 and below 1"),
        ({"learning_rate": float("nan")}, r"'learning_rate': found nan, expected at least 0"),
        ({"learning_rate": float("inf")}, r"'learning_rate': found inf"),
        ({"bf16": 1}, r"'bf16': found 1, expected a bool"),
        ({"batch_size": 0}, r"'batch_size': found 0, expected at least 1"),
        ({"prompt_length": -1}, r"'prompt_length': found -1, expected at least 0"),
        ({"steps": 4}, r"found 8 rounds of 4 steps"),
    ],
)
def test_a_pin_that_no_run_can_have_is_refused(pins: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        planned(10).with_pins(pins)


@pytest.mark.parametrize(
    ("sentences", "count"), [(2, 2), (3, 3), (50, 3), (99, 3), (100, 2), (999, 2), (1000, 1), (9999, 1)]
)
def test_fewer_sentences_have_more_folds(sentences: int, count: int) -> None:
    assert fold_count(sentences) == count


@pytest.mark.parametrize("sentences", [50, 200])
def test_a_whole_scan_of_which_half_is_stopped_costs_at_most_four_full_runs(sentences: int) -> None:
    whole, folds = planned(sentences), fold_count(sentences)
    part = in_proportion(whole, learned=sentences * (folds - 1) / folds, of=sentences)
    trials = len(PROMPT_LENGTHS) * len(LEARNING_RATES)
    scanned = rounds_of_scan(milestones(whole.rounds, trials), trials)
    assert scanned == trials * whole.rounds / 2
    assert scanned / whole.rounds * folds * part.steps <= 4.05 * whole.steps


def test_a_scheme_follows_from_the_sentences_unless_it_is_pinned() -> None:
    assert scheme(50, dev=False) == Scheme(folds=3, early_stopping=True, workers=1)
    assert scheme(1, dev=True).folds == 1
    assert scheme(50, dev=False).with_pins({"folds": 5, "workers": 2}) == Scheme(5, True, 2)
    with pytest.raises(InputError, match="'folds': found 0, expected at least 1"):
        scheme(50, dev=False).with_pins({"folds": 0})
    with pytest.raises(InputError, match="'workers': found True, expected a int"):
        scheme(50, dev=False).with_pins({"workers": True})


def test_a_trials_plan_makes_as_many_passes_over_fewer_sentences() -> None:
    whole = replace(planned(60), steps=240, rounds=8, warm_up_steps=15)
    part = in_proportion(whole, learned=40, of=60)
    assert (part.steps, part.warm_up_steps) == (160, 10)
    assert replace(part, steps=240, warm_up_steps=15) == whole
    assert in_proportion(whole, learned=60, of=60) == whole
    assert in_proportion(replace(whole, steps=8), learned=30, of=60).steps == 8, "a step for every round"


def test_the_last_round_ends_with_the_plan() -> None:
    plan = replace(planned(10), steps=11, rounds=4)
    assert [round_end(plan, number) for number in range(1, 5)] == [2, 5, 8, 11]


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([0.5], 1),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], 8),
        ([0.1, 0.9, 0.9, 0.5, 0.5, 0.5, 0.5, 0.5], 4),  # what falls early is not cut off early
        ([0.1, 0.2, 0.3, 0.6, 0.7, 0.6, 0.3, 0.2], 5),
        ([0.1, 0.2, 0.3, 0.5, 0.9, 0.5, 0.7, 0.75], 8),  # one lucky round does not count for much
        ([0.0, 0.0, 0.0, 0.0], 2),
        ([0.2, 0.4, 0.6, 0.6, 0.6, 0.6], 4),
    ],
)
def test_a_run_ends_at_the_best_round_of_its_smoothed_curve(curve: list[float], expected: int) -> None:
    assert best_round(curve) == expected


def test_rate_rises_to_all_of_itself_and_falls_to_almost_nothing() -> None:
    whole = replace(planned(10), steps=100, warm_up_steps=10)
    shares = [rate_share(whole, step) for step in range(1, 101)]
    assert shares[0] == pytest.approx(0.1)
    assert shares[9] == max(shares) == 1.0
    assert shares[99] == pytest.approx(1 / 90)
    assert shares[:10] == sorted(shares[:10])
    assert shares[9:] == sorted(shares[9:], reverse=True)


@pytest.mark.parametrize(("parameters", "runs"), [(139_000_000, 4), (406_000_000, 2), (611_000_000, 1)])
def test_fewer_runs_share_a_gpu_the_larger_the_backbone(parameters: int, runs: int) -> None:
    assert runs_per_gpu(parameters) == runs
