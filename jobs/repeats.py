"""`--seeds`: the chosen pair measured again with other fold seeds, which had no part in choosing it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

from jobs.material import Material
from jobs.worker import Run, measured, run
from lightner.rules import Plan
from lightner.selection import folds_of, trial_plan
from lightner.types import Scores


def repeat(task: Run, plan: Plan, material: Material, *, last: int, number: int) -> float:
    """Pooled F1 of repeat `number`, from 1 on, at round `last`; `plan` is that of the final run of the chosen pair.

    Folds, order of batches and random parts of the start are others in each repeat; all folds learn in one Ray Train
    run, which goes on where a killed one of the same name and storage stopped.
    """
    folds = folds_of(material.everything, material.dev, seed=material.seed + number)
    part = trial_plan(replace(plan, seed=plan.seed + number), folds, of=len(material.everything))
    again = replace(task, name=f"{task.name}-seed-{number}", folds=folds, plan=part, last=last)
    return (measured(run(again), again)[-1].scores or Scores()).micro.f1


def describe(found: Sequence[float]) -> str:
    """Mean and spread of at least two repeats, as plain text."""
    mean, spread = 100 * statistics.mean(found), 100 * statistics.stdev(found)
    each = ", ".join(f"{100 * f1:.1f}" for f1 in found)
    return f"f1 over {len(found)} other seeds: mean {mean:.1f}, standard deviation {spread:.1f} ({each})"
