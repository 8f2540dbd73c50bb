"""`--seeds`: measure the chosen pair again with other fold seeds, which had no part in choosing it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace

from lightner.jobs.inputs import Material
from lightner.jobs.progress import Watch
from lightner.jobs.trials import run_all
from lightner.jobs.worker import Run
from lightner.tuning.cross_validation import folds_of, trial_plan
from lightner.types import Scores


def repeat(
    task: Run, material: Material, *, last: int, seeds: Iterable[int], watch: Watch, at_once: int
) -> tuple[float, ...]:
    """Pooled F1 at round `last` with each of the `seeds` added to that of folds and plan; `task` is the final run.

    Folds, order of batches and random parts of the start differ in each repeat. A killed job resumes them
    where it stopped. Raises InputError and Stopped as `run_all` does.
    """
    runs = [_again(task, material, last=last, seed=seed) for seed in seeds]
    ends = run_all("seeds", runs, title="seeds", watch=watch, at_once=at_once)
    return tuple((end.history[-1].scores or Scores()).micro.f1 for end in ends)


def _again(task: Run, material: Material, *, last: int, seed: int) -> Run:
    count = material.scheme.folds
    folds = folds_of(material.everything, material.dev, seed=material.seed + seed, count=count)
    part = trial_plan(replace(task.plan, seed=task.plan.seed + seed), folds, of=len(material.everything))
    return replace(task, name=f"seed-{seed}", folds=folds, plan=part, last=last)


def describe(found: Sequence[float]) -> str:
    """Mean and spread of at least two repeats, as plain text."""
    mean, spread = 100 * statistics.mean(found), 100 * statistics.stdev(found)
    each = ", ".join(f"{100 * f1:.1f}" for f1 in found)
    return f"f1 over {len(found)} other seeds: mean {mean:.1f}, standard deviation {spread:.1f} ({each})"
