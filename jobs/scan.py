"""The scan: Ray Tune over prompt length and learning rate, each trial a run of all folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from ray.tune import Callback
from ray.tune.schedulers import ASHAScheduler

from jobs.trials import run_trials
from jobs.worker import Run
from lightner.rules import Plan, best_round
from lightner.selection import History
from lightner.training import Round
from lightner.types import InputError, Scores

_GRACE = 4  # trials are compared for the first time after this part of their rounds
Pair: TypeAlias = "tuple[int, float]"
"""What is scanned: prompt length and learning rate."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One scanned pair, and its rounds with their scores pooled over the folds."""

    prompt_length: int
    learning_rate: float
    history: History
    seconds: float
    finished: bool
    learning_s: float = 0.0

    @property
    def pair(self) -> Pair:
        return self.prompt_length, self.learning_rate

    @property
    def curve(self) -> tuple[float, ...]:
        """F1 by round."""
        return tuple(0.0 if done.scores is None else done.scores.micro.f1 for done in self.history)

    @property
    def rounds(self) -> int:
        """After how many rounds a run with this pair should end; all that there are of a trial stopped early."""
        return best_round(self.curve) if self.finished else len(self.history)

    @property
    def chosen(self) -> Round:
        """The round at which the run should end."""
        return self.history[self.rounds - 1]

    @property
    def f1(self) -> float:
        return self.curve[self.rounds - 1]


def scan(base: Run, plans: Sequence[Plan], *, at_once: int) -> tuple[Trial, ...]:
    """Run one trial per plan, `at_once` in parallel; the same call goes on where a killed one stopped.

    Raises:
        InputError: a worker met one, or no trial finished.
        Stopped: the scan was interrupted; its state is kept.
    """
    runs = [replace(base, name=_name(plan), plan=plan) for plan in plans]
    scheduler = ASHAScheduler(
        time_attr="epoch", max_t=base.last, grace_period=max(1, base.last // _GRACE), reduction_factor=2
    )
    ends = run_trials(base.name, runs, at_once=at_once, callbacks=[_Lines()], scheduler=scheduler)
    trials = tuple(
        Trial(
            prompt_length=run.plan.prompt_length,
            learning_rate=run.plan.learning_rate,
            history=end.history,
            seconds=end.seconds,
            learning_s=end.learning_s,
            finished=len(end.history) == base.last,
        )
        for run in runs
        if (end := ends.trials.get(run.name))
    )
    if not any(trial.finished for trial in trials):
        raise InputError(
            f"scan: found no finished trial of {len(runs)}, expected at least one; errors: {list(ends.errors)}"
        )
    return trials


def pair(plan: Plan) -> Pair:
    """The scanned values of a plan."""
    return plan.prompt_length, plan.learning_rate


def best(trials: Sequence[Trial]) -> Trial:
    """Of those that came furthest (to the end, if any did) the trial of the highest F1; between equals the shorter
    prompt, then the lower rate."""
    furthest = max(len(trial.history) for trial in trials)
    return min(
        (trial for trial in trials if len(trial.history) == furthest),
        key=lambda trial: (-trial.f1, trial.prompt_length, trial.learning_rate),
    )


def table(trials: Sequence[Trial], chosen: Trial) -> str:
    """The scan as plain text, best first; the chosen trial is marked."""
    lines = ["  length      rate  rounds  best  precision  recall      f1  seconds"]
    for trial in sorted(trials, key=lambda those: (-those.f1, those.prompt_length, those.learning_rate)):
        mark = "*" if trial == chosen else " "
        note = "" if trial.finished else "  (stopped early)"
        micro = (trial.chosen.scores or Scores()).micro
        lines.append(
            f"{mark} {trial.prompt_length:6d} {trial.learning_rate:9.4g} {len(trial.history):7d} {trial.rounds:5d}"
            f" {100 * micro.precision:10.1f} {100 * micro.recall:7.1f} {100 * micro.f1:7.1f}"
            f" {trial.seconds:8.0f}{note}"
        )
    return "\n".join(lines)


def _name(plan: Plan) -> str:
    return f"length-{plan.prompt_length}-rate-{plan.learning_rate}"


class _Lines(Callback):  # type: ignore[misc] # ray.tune is untyped
    """One line per finished round, for terminals and job logs alike."""

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        done = sum(other.is_finished() for other in trials)
        print(
            f"scan [{done}/{len(trials)} done] length {result['prompt_length']:>3d} rate {result['learning_rate']:.4g}"
            f" round {result['epoch']} loss {result['loss']:.3f} f1 {100 * result['f1']:.1f}",
            flush=True,
        )
