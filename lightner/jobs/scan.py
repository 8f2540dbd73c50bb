"""The scan: Ray Tune over prompt length, learning rate and, if asked for, sources; each trial a run of all folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from lightner.jobs.choices import Choice
from lightner.jobs.halving import run_halving
from lightner.jobs.progress import Watch
from lightner.jobs.trials import Ended
from lightner.jobs.worker import Checkpoint, Cost, Run
from lightner.tuning.cross_validation import History
from lightner.tuning.rules import best_round
from lightner.tuning.training import Round
from lightner.types import InputError, Scores

Key: TypeAlias = "tuple[int, float, str | None]"
"""What is scanned: prompt length and learning rate, and which prompt to start from if that was asked for."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One scanned choice, and its rounds with scores pooled over the folds."""

    prompt_length: int
    learning_rate: float
    history: History
    seconds: float
    finished: bool
    cost: Cost = Cost(0.0, 0.0)  # noqa: RUF009 a frozen value
    cut_short: bool = False
    failed: bool = False
    started_from: str | None = None
    state: Checkpoint | None = None
    """Its last checkpoint, with the prompt of each fold."""

    @property
    def key(self) -> Key:
        return self.prompt_length, self.learning_rate, self.started_from

    @property
    def unfinished(self) -> str:
        """Why it has not finished, in words."""
        return "cut short" if self.cut_short else "failed" if self.failed else "stopped early"

    @property
    def curve(self) -> tuple[float, ...]:
        """F1 by round."""
        return tuple(0.0 if done.scores is None else done.scores.micro.f1 for done in self.history)

    @property
    def rounds(self) -> int:
        """How many rounds a run with this choice should have; all rounds so far if the trial has not finished."""
        return best_round(self.curve) if self.finished else len(self.history)

    @property
    def chosen(self) -> Round:
        """The round at which the run should end."""
        return self.history[self.rounds - 1]

    @property
    def f1(self) -> float:
        return self.curve[self.rounds - 1]


@dataclass(frozen=True, slots=True)
class Scan:
    """Trials that finished a round, of `planned` ones. `cut_short`: the budget ended some, or kept some from starting.

    `errors`: why trials failed, by name.
    """

    trials: tuple[Trial, ...]
    planned: int
    cut_short: bool
    errors: Mapping[str, str]


def scan(
    base: Run,
    choices: Sequence[Choice],
    *,
    milestones: Sequence[int],
    watch: Watch,
    at_once: int,
    budget_s: float | None = None,
) -> Scan:
    """Run one trial per choice, `at_once` in parallel; the same call resumes where a killed one stopped.

    After each of the `milestones` except the last (the final round), only the better half continues.

    After `budget_s`, and once one trial is in its third round, all trials are stopped; a resumed scan has its whole
    budget again.

    Raises:
        InputError: a worker raised one, or no trial finished.
        Stopped: the scan was interrupted; its state is kept.
    """
    runs = [run_of(base, choice, name=_name(choice)) for choice in choices]
    runs.sort(key=lambda run: _rank(run.started_from, run.plan.prompt_length, run.plan.learning_rate))
    found = run_halving("scan", runs, milestones=milestones, watch=watch, at_once=at_once, budget_s=budget_s)
    trials = tuple(
        replace(trial_of(run, end), cut_short=run.name in found.cut_short, failed=run.name in found.errors)
        for run in runs
        if (end := found.ended.get(run.name))
    )
    if not any(trial.finished or trial.cut_short for trial in trials):
        raise InputError(
            f"scan: found no trial of {len(runs)} with a finished round, expected at least one; errors: {found.errors}"
        )
    begun = {*found.ended, *found.errors}
    return Scan(trials, len(runs), bool(found.cut_short) or len(begun) < len(runs), found.errors)


def run_of(base: Run, choice: Choice, *, name: str) -> Run:
    """The run of `base` with a choice."""
    source = choice.source
    prompt = source.prompt if source else None
    return replace(base, name=name, plan=choice.plan, source=prompt, started_from=choice.started_from)


def trial_of(run: Run, end: Ended) -> Trial:
    """What came of a run."""
    return Trial(
        prompt_length=run.plan.prompt_length,
        learning_rate=run.plan.learning_rate,
        history=end.history,
        seconds=end.seconds,
        finished=len(end.history) == run.last,
        cost=end.cost,
        started_from=run.started_from,
        state=end.checkpoint,
    )


def key(choice: Choice) -> Key:
    """The scanned values of a choice."""
    return choice.plan.prompt_length, choice.plan.learning_rate, choice.started_from


def best(trials: Sequence[Trial]) -> Trial:
    """Of the trials with the most rounds (finished ones, if any) the one with the highest F1; of equals one without
    a source, then the shorter prompt, then the lower rate."""
    furthest = max((trial.finished, len(trial.history)) for trial in trials)
    return min((trial for trial in trials if (trial.finished, len(trial.history)) == furthest), key=_order)


def table(trials: Sequence[Trial], chosen: Trial) -> str:
    """The scan as plain text, best first; the chosen trial is marked."""
    lines = ["  length      rate  rounds  best  precision  recall      f1  seconds"]
    for trial in sorted(trials, key=_order):
        mark = "*" if trial == chosen else " "
        note = f"  from {trial.started_from}" if trial.started_from else ""
        note += "" if trial.finished else f"  ({trial.unfinished})"
        micro = (trial.chosen.scores or Scores()).micro
        lines.append(
            f"{mark} {trial.prompt_length:6d} {trial.learning_rate:9.4g} {len(trial.history):7d} {trial.rounds:5d}"
            f" {100 * micro.precision:10.1f} {100 * micro.recall:7.1f} {100 * micro.f1:7.1f}"
            f" {trial.seconds:8.0f}{note}"
        )
    return "\n".join(lines)


def _name(choice: Choice) -> str:
    plan = choice.plan
    name = f"length-{plan.prompt_length}-rate-{plan.learning_rate}"
    return name + (f"-from-{choice.started_from}" if choice.started_from else "")


def _order(trial: Trial) -> tuple[float, tuple[str, int, float]]:
    """The trials, best first."""
    return -trial.f1, _rank(trial.started_from, trial.prompt_length, trial.learning_rate)


def _rank(started_from: str | None, prompt_length: int, learning_rate: float) -> tuple[str, int, float]:
    """Sort key that decides between equally good choices."""
    return started_from or "", prompt_length, learning_rate
