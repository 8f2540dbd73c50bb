"""The rules in place of knobs: everything but prompt length and learning rate, from the data and the backbone.

docs/rules.md gives the reason for each. Pure arithmetic; knows no torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from lightner.types import InputError, Sentence

PROMPT_LENGTHS = (8, 16)
LEARNING_RATES = (1e-2, 3e-2)
HELD_OUT = 0.25
_PASSES = 32
_ROUNDS = 8
_AT_LEAST = {"batch_size": 1, "steps": 1, "rounds": 1}
_BELOW = {"dropout": 1}


@dataclass(frozen=True, slots=True)
class Plan:
    """One tuning run, fixed before it starts.

    `prompt_length` free slots stand behind one slot per label; `feed_forward_slots` rows join each feed-forward block
    and learn at `slot_rate` times the rate; a run of `steps` is reported in `rounds`. `bf16`: compute in bfloat16 on
    devices made for it; what is learned stays in float32.
    """

    prompt_length: int
    learning_rate: float
    batch_size: int
    steps: int
    rounds: int
    warm_up_steps: int
    weight_decay: float
    feed_forward_slots: int
    slot_rate: float
    reparametrisation_width: int
    dropout: float
    bf16: bool
    seed: int

    def with_pins(self, pins: dict[str, Any]) -> Plan:
        """The plan with an expert's values in place of the rules'.

        Raises:
            InputError: an unknown name, a value of another type than the rule's, or one that no run can have.
        """
        known = {field.name for field in fields(self)}
        for name, value in pins.items():
            if name not in known:
                raise InputError(f"pinned setting: found {name!r}, expected one of {sorted(known)}")
            _check_type(name, value, getattr(self, name))
            if not _AT_LEAST.get(name, 0) <= value < _BELOW.get(name, math.inf):
                raise InputError(
                    f"pinned setting {name!r}: found {value!r}, expected at least {_AT_LEAST.get(name, 0)}"
                    + (f" and below {_BELOW[name]}" if name in _BELOW else "")
                )
        pinned = replace(self, **{name: type(getattr(self, name))(value) for name, value in pins.items()})
        if pinned.rounds > pinned.steps:
            raise InputError(f"pinned settings: found {pinned.rounds} rounds of {pinned.steps} steps, expected fewer")
        return pinned

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _check_type(name: str, value: object, own: float) -> None:
    """A float's pin may be a whole number; truth is no number."""
    accepted = (int, float) if isinstance(own, float) else int
    if isinstance(value, bool) != isinstance(own, bool) or not isinstance(value, accepted):
        raise InputError(f"pinned setting {name!r}: found {value!r}, expected a {type(own).__name__}")


def plan(sentences: Sequence[Sentence], *, prompt_length: int, learning_rate: float, seed: int = 0) -> Plan:
    """The plan for tuning on `sentences` with the two scanned values."""
    count = len(sentences)
    batch_size = min(16, max(4, count // 8))
    steps = min(1200, max(120, _PASSES * count // batch_size)) // _ROUNDS * _ROUNDS
    return Plan(
        prompt_length=prompt_length,
        learning_rate=learning_rate,
        batch_size=batch_size,
        steps=steps,
        rounds=_ROUNDS,
        warm_up_steps=math.ceil(0.06 * steps),
        weight_decay=0.01,
        feed_forward_slots=4 * prompt_length,
        slot_rate=0.1,
        reparametrisation_width=0,
        dropout=0.1,
        bf16=True,
        seed=seed,
    )
