"""The rules in place of knobs: everything but prompt length and learning rate, from the data and the backbone.

docs/rules.md gives the reason for each. Pure arithmetic; knows no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from statistics import median
from typing import Any, TypeVar

from lightner.types import MOST_WORDS, InputError, Reach, Sentence

PROMPT_LENGTHS = (8, 16)
LEARNING_RATES = (1e-2, 3e-2)
HELD_OUT = 0.25
_PASSES, _PASSES_OF_MANY = 32, 16
_ENOUGH = 400  # steps up to which there are _PASSES
_SLOTS_PER_PLACE, _SLOTS_OF_MANY = 4, 128
_MANY = 128  # sentences from which there are _SLOTS_OF_MANY
_ROUNDS = 8
_FOLDS = ((100, 3), (1000, 2))  # below so many sentences, so many folds; from the last number on a hold-out
_SMOOTHED = 1  # rounds on either side
_COMPARED = (4, 2)  # after these parts of the rounds
_MOST_CPUS = 4
_USUAL, _FEWEST_WORDS, _FEWEST_OF_A_WINDOW = 0.95, 20, 10
_SHARE_A_GPU = ((250_000_000, 4), (500_000_000, 2))  # below so many parameters, so many runs
_AT_LEAST = {"batch_size": 1, "steps": 1, "rounds": 1, "folds": 1, "workers": 1}
_BELOW = {"dropout": 1}


@dataclass(frozen=True, slots=True)
class Plan:
    """One tuning run, fixed before it starts.

    `prompt_length` free slots follow one slot per label; `feed_forward_slots` rows join each feed-forward block
    and learn at `slot_rate` times the rate, label residuals at `residual_rate` times it; a run of `steps` is reported
    in `rounds`. `bf16`: compute in bfloat16 on devices made for it; what is learned stays in float32.
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
    residual_rate: float
    reparametrisation_width: int
    dropout: float
    bf16: bool
    seed: int

    def with_pins(self, pins: Mapping[str, Any]) -> Plan:
        """The plan with an expert's values in place of the rules'.

        Raises:
            InputError: an unknown name, a value of another type than the rule's, or one that no run can have.
        """
        pinned = _pinned(self, pins)
        if pinned.rounds > pinned.steps:
            raise InputError(f"pinned settings: found {pinned.rounds} rounds of {pinned.steps} steps, expected fewer")
        return pinned

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Scheme:
    """How the trials of a scan are measured and run, beside the plan of each.

    `folds` of a cross-validation; 1 means a single split. `early_stopping`: the worse half of the trials ends at
    each of the `milestones`. `workers`: how many share a run's batches.
    """

    folds: int
    early_stopping: bool
    workers: int

    def with_pins(self, pins: Mapping[str, Any]) -> Scheme:
        """The scheme with an expert's values in place of the rules'. Raises InputError as `Plan.with_pins` does."""
        return _pinned(self, pins)


_Settings = TypeVar("_Settings", Plan, Scheme)


def _pinned(own: _Settings, pins: Mapping[str, Any]) -> _Settings:
    known = {field.name for field in fields(own)}
    for name in pins:
        if name not in known:
            raise InputError(f"pinned setting: found {name!r}, expected one of {sorted(known)}")
    return replace(own, **{name: _checked(name, value, getattr(own, name)) for name, value in pins.items()})


_Value = TypeVar("_Value", bound=float)


def _checked(name: str, value: Any, rule: _Value) -> _Value:
    """The pin as the rule's type. A float's pin may be a whole number; truth is no number."""
    accepted = (int, float) if isinstance(rule, float) else int
    if isinstance(value, bool) != isinstance(rule, bool) or not isinstance(value, accepted):
        raise InputError(f"pinned setting {name!r}: found {value!r}, expected a {type(rule).__name__}")
    if not _AT_LEAST.get(name, 0) <= value < _BELOW.get(name, math.inf):
        raise InputError(
            f"pinned setting {name!r}: found {value!r}, expected at least {_AT_LEAST.get(name, 0)}"
            + (f" and below {_BELOW[name]}" if name in _BELOW else "")
        )
    return type(rule)(value)


def plan(
    sentences: Sequence[Sentence],
    *,
    prompt_length: int,
    learning_rate: float,
    seed: int = 0,
    pins: Mapping[str, Any] | None = None,
) -> Plan:
    """The plan for tuning on `sentences` with the two scanned values.

    An expert's `pins` replace any of them, and what a rule derives from a pinned setting follows it. Raises
    InputError as `Plan.with_pins` does.
    """
    pins = pins or {}

    def pinned(name: str, rule: int) -> int:
        return _checked(name, pins[name], rule) if name in pins else rule

    count, prompt_length = len(sentences), pinned("prompt_length", prompt_length)
    batch_size = pinned("batch_size", min(16, max(4, count // 8)))
    wanted = max(min(_PASSES * count // batch_size, _ENOUGH), _PASSES_OF_MANY * count // batch_size)
    steps = pinned("steps", min(1200, max(120, wanted)) // _ROUNDS * _ROUNDS)
    own = Plan(
        prompt_length=prompt_length,
        learning_rate=learning_rate,
        batch_size=batch_size,
        steps=steps,
        rounds=_ROUNDS,
        warm_up_steps=math.ceil(0.06 * steps),
        weight_decay=0.01,
        feed_forward_slots=max(_SLOTS_PER_PLACE * prompt_length, _SLOTS_OF_MANY if count >= _MANY else 0),
        slot_rate=0.1,
        residual_rate=0.1,
        reparametrisation_width=0,
        dropout=0.1,
        bf16=True,
        seed=seed,
    )
    return own.with_pins(pins)


def scheme(different: int, *, dev: bool) -> Scheme:
    """The scheme for so many different sentences, where `dev` says whether there are others to measure on.

    Raises InputError as `fold_count` does.
    """
    return Scheme(folds=1 if dev else fold_count(different), early_stopping=True, workers=1)


def fold_count(sentences: int) -> int:
    """Folds of a cross-validation on so many different sentences; 1 means a hold-out of the share HELD_OUT.

    Raises:
        InputError: there are fewer than two.
    """
    if sentences < 2:
        raise InputError(f"selection: found {sentences} different sentences, expected at least 2, or --dev")
    return min(sentences, next((folds for below, folds in _FOLDS if sentences < below), 1))


def milestones(rounds: int, trials: int) -> tuple[int, ...]:
    """Rounds at which surviving trials are compared; the last entry is the final round.

    After each but the last the better half of the surviving trials continues (lightner/jobs/halving.py).
    """
    needed = min(len(_COMPARED), math.ceil(math.log2(trials)))
    compared = {rounds // part for part in _COMPARED[len(_COMPARED) - needed :]}
    return tuple(sorted(compared - {0} | {rounds}))


def better_half(f1: Sequence[float]) -> tuple[int, ...]:
    """Places of the trials, by F1, that survive a comparison, in order; of equals the earlier one survives."""
    best = sorted(range(len(f1)), key=lambda place: -f1[place])
    return tuple(sorted(best[: math.ceil(len(f1) / 2)]))


def rounds_of_scan(milestones: Sequence[int], trials: int) -> int:
    """The rounds that so many trials run together if half of them end at each milestone."""
    total, done = 0, 0
    for last in milestones:
        total, done, trials = total + trials * (last - done), last, math.ceil(trials / 2)
    return total


def reach(words: Sequence[int], sentences: Sequence[int]) -> Reach:
    """How much text a prompt reads at once, by how many words and sentences each of its training texts has.

    As many words as the longest has, as many sentences as 19 in 20 have at most: a prompt that learned single sentences
    is asked for single sentences. Windows of a longer sentence have as many words as half of the texts have at most.
    """
    most = sorted(sentences)[math.ceil(_USUAL * len(sentences)) - 1]
    longest = min(MOST_WORDS, max(_FEWEST_WORDS, *words))
    return Reach(longest, max(1, most), min(longest, max(_FEWEST_OF_A_WINDOW, math.ceil(median(words)))))


def runs_per_gpu(parameters: int) -> int:
    """How many runs of one worker share a GPU, by the backbone's number of parameters."""
    return next((runs for below, runs in _SHARE_A_GPU if parameters < below), 1)


def cpus_per_run(cpus: int, runs: int) -> int:
    """How many CPUs each of so many runs has, side by side on a machine that only this job uses."""
    return max(1, min(_MOST_CPUS, cpus // runs))


def in_proportion(whole: Plan, *, learned: float, of: int) -> Plan:
    """The plan of a trial that learns `learned` of the `of` sentences: as many passes over them as `whole` makes."""
    steps = max(whole.rounds, round(whole.steps * learned / of))
    return replace(whole, steps=steps, warm_up_steps=math.ceil(whole.warm_up_steps * steps / max(1, whole.steps)))


def round_end(plan: Plan, number: int) -> int:
    """The step after which round `number`, from 1 on, of a plan ends."""
    return plan.steps * number // plan.rounds


def rate_share(plan: Plan, step: int) -> float:
    """The share of its rate that a step, from 1 on, takes: linear warm-up, then linear decay to zero after the end."""
    rising = step / max(1, plan.warm_up_steps)
    falling = (plan.steps - step + 1) / max(1, plan.steps - plan.warm_up_steps)
    return min(1.0, rising, falling)


def best_round(curve: Sequence[float]) -> int:
    """The round, from 1 on, at which a run with these scores by round should have ended.

    The highest of the curve smoothed over neighbours, the earlier of equals, and never before half of the rounds.
    """
    count = len(curve)
    smooth = {}
    for number in range((count + 1) // 2, count + 1):
        near = curve[max(0, number - 1 - _SMOOTHED) : number + _SMOOTHED]
        smooth[number] = round(sum(near) / len(near), 9)  # equals are equal whatever the order of their sum
    return max(smooth, key=lambda number: (smooth[number], -number))
