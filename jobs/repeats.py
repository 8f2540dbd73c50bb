"""`--seeds`: the chosen pair measured again with other fold seeds, which had no part in choosing it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

from jobs.material import Material
from jobs.trials import run_all
from jobs.worker import Run
from lightner.rules import Plan
from lightner.selection import folds_of, trial_plan
from lightner.types import Scores


def repeat(task: Run, plan: Plan, material: Material, *, last: int, seeds: int, at_once: int) -> tuple[float, ...]:
    """Pooled F1 of so many repeats at round `last`; `plan` is that of the final run of the chosen pair.

    Folds, order of batches and random parts of the start are others in each repeat. A killed job goes on with them
    where it stopped. Raises InputError and Stopped as `run_all` does.
    """
    runs = [_again(task, plan, material, last=last, number=number) for number in range(1, seeds + 1)]
    ends = run_all(f"{task.name}-seeds", runs, at_once=at_once)
    return tuple((end.history[-1].scores or Scores()).micro.f1 for end in ends)


def _again(task: Run, plan: Plan, material: Material, *, last: int, number: int) -> Run:
    folds = folds_of(material.everything, material.dev, seed=material.seed + number)
    part = trial_plan(replace(plan, seed=plan.seed + number), folds, of=len(material.everything))
    return replace(task, name=f"seed-{number}", folds=folds, plan=part, last=last)


def describe(found: Sequence[float]) -> str:
    """Mean and spread of at least two repeats, as plain text."""
    mean, spread = 100 * statistics.mean(found), 100 * statistics.stdev(found)
    each = ", ".join(f"{100 * f1:.1f}" for f1 in found)
    return f"f1 over {len(found)} other seeds: mean {mean:.1f}, standard deviation {spread:.1f} ({each})"
