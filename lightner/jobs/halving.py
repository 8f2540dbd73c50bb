"""Synchronous successive halving (Jamieson and Talwalkar, 2016): of equally long trials the better half continues.

Asynchronous halving, as in Ray Tune, compares a trial with those that arrived earlier; the same seed could then choose
another winner on a busier machine. docs/decisions/0006-halving-in-step.md.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lightner.jobs.progress import Watch
from lightner.jobs.trials import Ended, run_trials
from lightner.jobs.worker import Cost, Run
from lightner.tuning import rules
from lightner.types import InputError


@dataclass(frozen=True, slots=True)
class Halved:
    """Results of trials, by the names of their runs. `cut_short`: trials that the budget ended, not a comparison.

    `errors` has the trials that failed repeatedly, including those that had passed an earlier milestone.
    """

    ended: Mapping[str, Ended]
    cut_short: frozenset[str]
    errors: Mapping[str, str]


def run_halving(
    name: str,
    runs: Sequence[Run],
    *,
    milestones: Sequence[int],
    watch: Watch,
    at_once: int,
    budget_s: float | None,
) -> Halved:
    """Run all to the first milestone, then the better half by F1 to the next; of equals the earlier in `runs`.

    A trial that fails repeatedly is dropped. After `budget_s` all are stopped as `run_trials` does it.

    Raises:
        InputError: a worker raised one, or all remaining trials failed.
        Stopped: as `run_trials`.
    """
    until = math.inf if budget_s is None else time.monotonic() + budget_s
    part = name if budget_s is None else f"{name}-within-{budget_s:g}s"
    ended: dict[str, Ended] = {}
    errors: dict[str, str] = {}
    alive, rounds = list(runs), runs[0].last
    for last in milestones:
        left = until - time.monotonic()
        if left <= 0:
            break
        stage = [_part(run, last, ended.get(run.name)) for run in alive]
        budget = left if math.isfinite(left) else None
        found = run_trials(f"{part}-to-{last}", stage, title=name, watch=watch, at_once=at_once, budget_s=budget)
        ended |= {key: _joined(ended.get(key), end) for key, end in found.trials.items()}
        errors |= found.errors
        alive = [run for run in alive if run.name not in errors]
        if not alive:
            raise InputError(f"{name}: found {len(errors)} failed trials of {len(runs)}, none left; errors: {errors}")
        complete = [run for run in alive if run.name in found.trials and len(ended[run.name].history) == last]
        if last == rounds or len(complete) < len(alive):
            break
        alive = [complete[place] for place in rules.better_half([_f1(ended[run.name]) for run in complete])]
    cut_short = {run.name for run in alive if run.name in ended and len(ended[run.name].history) < rounds}
    return Halved(ended, frozenset(cut_short), errors)


def _part(run: Run, last: int, earlier: Ended | None) -> Run:
    return replace(run, last=last, begun=earlier.checkpoint if earlier else None)


def _joined(earlier: Ended | None, end: Ended) -> Ended:
    """Add up the times of a trial that ran in parts; its history is already complete."""
    if earlier is None:
        return end
    cost = Cost(earlier.cost.clock_s + end.cost.clock_s, earlier.cost.cpu_s + end.cost.cpu_s)
    return replace(end, seconds=earlier.seconds + end.seconds, cost=cost)


def _f1(end: Ended) -> float:
    scores = end.history[-1].scores
    return 0.0 if scores is None else scores.micro.f1
