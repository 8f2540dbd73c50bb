"""The scan: Ray Tune over prompt length and learning rate, each trial a Ray Train run of all folds."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from ray import train, tune
from ray.exceptions import RayTaskError
from ray.tune import Callback
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.schedulers import ASHAScheduler

from jobs import session, storage
from jobs.worker import Run, run, so_far
from lightner.rules import Plan, best_round
from lightner.selection import History
from lightner.training import Round
from lightner.types import InputError, Scores

_DRIVER_CPUS = 0.01  # a trial's driver only waits; with a whole CPU two trials would starve each other's workers
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
    by_pair = {pair(plan): plan for plan in plans}
    trainable = tune.with_resources(_trial(base, by_pair), {"CPU": _DRIVER_CPUS})
    where = storage.inside(base.storage, base.name)
    if tune.Tuner.can_restore(where):
        tuner = tune.Tuner.restore(where, trainable=trainable, resume_unfinished=True, resume_errored=True)
    else:
        tuner = _new(base, trainable, list(by_pair), at_once=at_once)
    try:
        results = tuner.fit()
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)  # Tune leaves its handler behind
    session.stop_if_asked()
    if results.num_terminated + results.num_errors < len(results):
        raise session.Stopped
    return _trials(base, results, by_pair)


def pair(plan: Plan) -> Pair:
    """The scanned values of a plan."""
    return plan.prompt_length, plan.learning_rate


def best(trials: Sequence[Trial]) -> Trial:
    """The finished trial of the highest F1; between equals the shorter prompt, then the lower rate."""
    return min(
        (trial for trial in trials if trial.finished),
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


def _new(base: Run, trainable: Any, pairs: list[Pair], *, at_once: int) -> tune.Tuner:
    scheduler = ASHAScheduler(
        time_attr="epoch", max_t=base.last, grace_period=max(1, base.last // _GRACE), reduction_factor=2
    )
    return tune.Tuner(
        trainable,
        param_space={"pair": tune.grid_search(pairs)},
        tune_config=tune.TuneConfig(metric="f1", mode="max", max_concurrent_trials=at_once, scheduler=scheduler),
        run_config=tune.RunConfig(
            name=base.name,
            storage_path=base.storage,
            failure_config=tune.FailureConfig(max_failures=2),
            verbose=0,
            callbacks=[_Lines()],
        ),
    )


def _trial(base: Run, by_pair: Mapping[Pair, Plan]) -> Any:
    def drive(config: dict[str, Any]) -> None:
        name = _run_name(base, tune.get_context().get_trial_id())
        run(replace(base, name=name, plan=by_pair[tuple(config["pair"])]), callbacks=[TuneReportCallback()])

    return drive


def _run_name(base: Run, trial_id: str) -> str:
    return f"{base.name}-{trial_id}"


def _trials(base: Run, results: tune.ResultGrid, by_pair: Mapping[Pair, Plan]) -> tuple[Trial, ...]:
    trials = []
    for result in results:
        metrics = result.metrics or {}
        if "f1" not in metrics:
            continue
        plan = by_pair[tuple(result.config["pair"])]
        kept = train.Result.from_path(storage.inside(base.storage, _run_name(base, metrics["trial_id"])))
        history = so_far(kept)[: metrics["epoch"]]  # a run that is being stopped may be a round ahead
        trials.append(
            Trial(
                prompt_length=plan.prompt_length,
                learning_rate=plan.learning_rate,
                history=history,
                seconds=metrics["time_total_s"],
                finished=len(history) == base.last,
            )
        )
    if not any(trial.finished for trial in trials):
        reasons = sorted({str(error).strip().splitlines()[-1] for error in results.errors})
        raise InputError(f"scan: found no finished trial of {len(by_pair)}, expected at least one; errors: {reasons}")
    return tuple(trials)


class _Lines(Callback):  # type: ignore[misc] # ray.tune is untyped
    """One line per finished round, for terminals and job logs alike. A mistake in the input ends the scan at once."""

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        done = sum(other.is_finished() for other in trials)
        print(
            f"scan [{done}/{len(trials)} done] {trial.trial_id} length {result['prompt_length']:>3d}"
            f" rate {result['learning_rate']:.4g} round {result['epoch']} loss {result['loss']:.3f}"
            f" f1 {100 * result['f1']:.1f}",
            flush=True,
        )

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        error = trial.get_pickled_error()
        if isinstance(error, RayTaskError) and isinstance(error.cause, InputError):
            raise InputError(str(error.cause)) from error
