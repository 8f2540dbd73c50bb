"""`--unlabelled`: self-training after the scan, kept only where cross-validation says that it helps."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lightner.jobs import scan
from lightner.jobs.inputs import Material
from lightner.jobs.progress import Watch
from lightner.jobs.scan import Trial
from lightner.jobs.trials import Ended, run_all
from lightner.jobs.worker import Run
from lightner.tuning.cross_validation import Fold, trial_plan
from lightner.tuning.self_training import longer


@dataclass(frozen=True, slots=True)
class SelfTrained:
    """The trial of the scan's winner with unlabelled sentences, and F1 of both on the same held-out ones."""

    trial: Trial
    sentences: int
    f1_without: float

    @property
    def helps(self) -> bool:
        return self.trial.f1 > self.f1_without

    def describe(self) -> str:
        """What came of it, as plain text."""
        kept = "and are learned from" if self.helps else "and are left out"
        return (
            f"f1 {100 * self.f1_without:.1f} without, {100 * self.trial.f1:.1f} with {self.sentences} unlabelled"
            f" sentences, which {'help' if self.helps else 'do not help'} {kept}"
        )


def try_it(task: Run, material: Material, chosen: Trial, *, watch: Watch) -> SelfTrained | None:
    """Measure the winner again with what each fold's prompt finds in unlabelled sentences, if there are any.

    `task` is the final run. A killed job resumes it where it stopped. Raises InputError and Stopped as `run_all` does.
    """
    if not material.unlabelled:
        return None
    plan = longer(trial_plan(task.plan, material.folds, of=len(material.everything)))
    run = replace(
        task,
        name="self-training",
        plan=plan,
        folds=material.folds,
        last=plan.rounds,
        unlabelled=material.unlabelled,
        teacher=chosen.state,
    )
    [end] = run_all("self-training", [run], title="self-training", watch=watch, at_once=1)
    return SelfTrained(scan.trial_of(run, end), len(material.unlabelled), chosen.f1)


def final(task: Run, material: Material, teacher: Ended, *, last: int, watch: Watch) -> tuple[Run, Ended]:
    """The final run with what the prompt of the `teacher`, that without them, finds in the unlabelled sentences."""
    run = replace(
        task,
        name="everything-self-trained",
        plan=longer(task.plan),
        folds=(Fold(material.everything, ()),),
        last=last,
        unlabelled=material.unlabelled,
        teacher=teacher.checkpoint,
    )
    [end] = run_all("final-self-trained", [run], title="final run, self-trained", watch=watch, at_once=1)
    return run, end
