"""Successive halving in step (Jamieson and Talwalkar, 2016): the better half of equally long trials goes on.

Asynchronous halving, as Ray Tune has it, stops whoever is behind those that came by before; the same seed would then
choose another winner on a busier machine. docs/decisions/0006-halving-in-step.md.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from jobs.trials import Ended, run_trials
from jobs.watch import Watch
from jobs.worker import Cost, Run


@dataclass(frozen=True, slots=True)
class Halved:
    """What trials left, by the names of their runs. `cut_short`: no comparison ended these, but the budget."""

    ended: Mapping[str, Ended]
    cut_short: frozenset[str]
    errors: tuple[str, ...]


def run_halving(
    name: str,
    runs: Sequence[Run],
    *,
    milestones: Sequence[int],
    title: str,
    watch: Watch,
    at_once: int,
    budget_s: float | None,
) -> Halved:
    """Run all to the first milestone, then the better half by F1 to the next one; of equals the earlier of `runs`.

    After `budget_s` all are stopped where they are, as `run_trials` does it; raises InputError and Stopped as that.
    """
    until = math.inf if budget_s is None else time.monotonic() + budget_s
    ended: dict[str, Ended] = {}
    errors: tuple[str, ...] = ()
    alive, rounds = list(runs), runs[0].last
    for last in milestones:
        left = until - time.monotonic()
        if left <= 0:
            break
        stage = [_part(run, last, ended.get(run.name)) for run in alive]
        stage_name = name if last == rounds else f"{name}-to-{last}"
        found = run_trials(
            stage_name, stage, title=title, watch=watch, at_once=at_once, budget_s=left if math.isfinite(left) else None
        )
        ended |= {key: _joined(ended.get(key), end) for key, end in found.trials.items()}
        errors += found.errors
        complete = [run for run in alive if run.name in found.trials and len(ended[run.name].history) == last]
        if last == rounds or len(complete) + len(found.errors) < len(stage):
            break
        alive = sorted(complete, key=lambda run: -_f1(ended[run.name]))[: math.ceil(len(stage) / 2)]
    cut_short = {run.name for run in alive if run.name in ended and len(ended[run.name].history) < rounds}
    return Halved(ended, frozenset(cut_short), errors)


def _part(run: Run, last: int, earlier: Ended | None) -> Run:
    return replace(run, last=last, begun=earlier.checkpoint if earlier else None)


def _joined(earlier: Ended | None, end: Ended) -> Ended:
    """A trial as one, whose history is whole and whose time is still in pieces."""
    if earlier is None:
        return end
    cost = Cost(earlier.cost.clock_s + end.cost.clock_s, earlier.cost.cpu_s + end.cost.cpu_s)
    return replace(end, seconds=earlier.seconds + end.seconds, cost=cost)


def _f1(end: Ended) -> float:
    scores = end.history[-1].scores
    return 0.0 if scores is None else scores.micro.f1
