"""`--dry-run`: report what a tuning job would do with its data and how long that would take here.

Knows no Ray and no registry.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from lightner.data import inspection
from lightner.evaluation.scoring import evaluate_each
from lightner.jobs.choices import milestones_of
from lightner.jobs.inputs import Material
from lightner.model.backbone import Backbone
from lightner.tuning import rules
from lightner.tuning.cross_validation import held_in, measured_on, trial_plan
from lightner.tuning.rules import Plan, Scheme
from lightner.tuning.self_training import MORE_STEPS
from lightner.tuning.training import Tuning

_STEPS = 3
_SENTENCES = 16
_SCANNED = ("prompt_length", "learning_rate")


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds that one worker on this machine takes for a training step, and for tagging a sentence."""

    step_s: float
    sentence_s: float


def describe(material: Material, plans: Sequence[Plan], pace: Pace) -> str:
    """The data, the rules' values, folds, trials and an estimate of time, as plain text."""
    folds, count = material.folds, len(material.everything)
    part = trial_plan(plans[0], folds, of=count)
    tagged = part.rounds * len(held_in(folds))
    trial_s = len(folds) * part.steps * pace.step_s + tagged * pace.sentence_s
    final_s = plans[0].steps * pace.step_s
    scanned = rules.rounds_of_scan(milestones_of(material, plans), len(plans))
    rows = [f"  {each.name:<24s} {_values(each.name, plans)}" for each in fields(Plan)]
    rows += [f"  {each.name:<24s} {_values(each.name, [material.scheme])}" for each in fields(Scheme)]
    return "\n".join(
        [
            inspection.describe(material.report),
            "settings by the rules (docs/rules.md)",
            *rows,
            f"{len(plans)} trials, each measured on {measured_on(folds)}",
            f"a trial: {part.steps} steps for each of {len(folds)} folds, scored after each of {part.rounds} rounds",
            f"measured here: {pace.step_s:.2f} s a step, {pace.sentence_s:.3f} s a sentence to score",
            f"at most {_minutes(scanned / part.rounds * trial_s)} for the scan, {scanned} of"
            f" {len(plans) * part.rounds} rounds, one after the other",
            f"{_minutes(trial_s)} for each further seed (--seeds)",
            *_self_training(material, trial_s=trial_s, final_s=final_s, pace=pace),
            f"at most {_minutes(final_s)} for the final run; starting Ray comes on top",
        ]
    )


def _self_training(material: Material, *, trial_s: float, final_s: float, pace: Pace) -> list[str]:
    """The line about unlabelled sentences, if there are any."""
    count = len(material.unlabelled)
    if not count:
        return []
    reading_s = (len(material.folds) + 1) * count * pace.sentence_s
    more_s = MORE_STEPS * (trial_s + final_s) + reading_s
    return [f"at most {_minutes(more_s)} for {count} unlabelled sentences: a trial and a final run more, and reading"]


def measure(base: Backbone, material: Material, plans: Sequence[Plan]) -> Pace:
    """Time a few real steps with the plan of the longest prompt, and the tagging of a few sentences."""
    longest = max(plans, key=lambda plan: plan.prompt_length)
    # One step a round, and one extra step that is not timed, to warm up.
    short = replace(longest, steps=_STEPS + 1, rounds=_STEPS + 1, warm_up_steps=0)
    run = Tuning(base, material.labels, material.everything, (), short)
    rounds = run.rounds()
    next(rounds)
    began = time.perf_counter()
    done = sum(1 for _ in rounds)
    learned = time.perf_counter()
    sample = held_in(material.folds)[:_SENTENCES]
    evaluate_each(base, run.tuned.fold(), sample)
    return Pace((learned - began) / done, (time.perf_counter() - learned) / len(sample))


def _values(name: str, plans: Sequence[Plan | Scheme]) -> str:
    """One value if all plans agree, otherwise all values that occur."""
    found = dict.fromkeys(getattr(plan, name) for plan in plans)
    note = "  (scanned)" if name in _SCANNED and len(found) > 1 else ""
    return ", ".join(str(value) if isinstance(value, bool) else f"{value:g}" for value in found) + note


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
