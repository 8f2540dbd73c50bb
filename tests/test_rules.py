"""The rules in place of knobs, and an expert's pins."""

from __future__ import annotations

from typing import Any

import pytest

from lightner.rules import Plan, plan
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


def test_pins_replace_the_rules_values_in_the_rules_types() -> None:
    pinned = planned(10).with_pins({"steps": 24, "slot_rate": 1, "dropout": 0.0})
    assert (pinned.steps, pinned.slot_rate, pinned.dropout) == (24, 1.0, 0.0)
    assert isinstance(pinned.slot_rate, float)
    assert pinned.as_dict() == {**planned(10).as_dict(), "steps": 24, "slot_rate": 1.0, "dropout": 0.0}
    assert planned(10).with_pins({}) == planned(10)
    assert planned(10).with_pins({"bf16": False}).bf16 is False


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
