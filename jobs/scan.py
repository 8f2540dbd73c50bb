"""The scan: Ray Tune over prompt length and learning rate, each trial a Ray Train run on held-out sentences."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from ray import tune
from ray.exceptions import RayTaskError
from ray.tune import Callback
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.schedulers import ASHAScheduler

from jobs import session
from jobs.worker import Run, run
from lightner.rules import Plan
from lightner.types import Counts, InputError, Scores

_DRIVER_CPUS = 0.01  # a trial's driver only waits; with a whole CPU two trials would starve each other's workers
_GRACE_ROUNDS = 3
Pair: TypeAlias = "tuple[int, float]"
"""What is scanned: prompt length and learning rate."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One scanned pair: how far it came, and its last scores on the held-out sentences."""

    prompt_length: int
    learning_rate: float
    epoch: int
    scores: Scores
    seconds: float
    finished: bool

    @property
    def pair(self) -> Pair:
        return self.prompt_length, self.learning_rate

    @property
    def f1(self) -> float:
        return self.scores.micro.f1


def scan(base: Run, plans: Sequence[Plan], *, at_once: int) -> tuple[Trial, ...]:
    """Run one trial per plan, `at_once` in parallel; the same call goes on where a killed one stopped.

    Raises:
        InputError: a worker met one, or no trial finished.
        Stopped: the scan was interrupted; its state is kept.
    """
    by_pair = {pair(plan): plan for plan in plans}
    trainable = tune.with_resources(_trial(base, by_pair), {"CPU": _DRIVER_CPUS})
    where = f"{base.storage.rstrip('/')}/{base.name}"
    if tune.Tuner.can_restore(where):
        tuner = tune.Tuner.restore(where, trainable=trainable, resume_unfinished=True, resume_errored=True)
    else:
        tuner = _new(base, trainable, list(by_pair), rounds=plans[0].rounds, at_once=at_once)
    try:
        results = tuner.fit()
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)  # Tune leaves its handler behind
    session.stop_if_asked()
    if results.num_terminated + results.num_errors < len(results):
        raise session.Stopped
    return _trials(results, by_pair)


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
    lines = ["  length      rate  rounds  precision  recall      f1  seconds"]
    for trial in sorted(trials, key=lambda those: (-those.f1, those.prompt_length, those.learning_rate)):
        mark = "*" if trial == chosen else " "
        note = "" if trial.finished else "  (stopped early)"
        micro = trial.scores.micro
        lines.append(
            f"{mark} {trial.prompt_length:6d} {trial.learning_rate:9.4g} {trial.epoch:7d} {100 * micro.precision:10.1f}"
            f" {100 * micro.recall:7.1f} {100 * micro.f1:7.1f} {trial.seconds:8.0f}{note}"
        )
    return "\n".join(lines)


def _new(base: Run, trainable: Any, pairs: list[Pair], *, rounds: int, at_once: int) -> tune.Tuner:
    scheduler = ASHAScheduler(
        time_attr="epoch", max_t=rounds, grace_period=min(_GRACE_ROUNDS, rounds), reduction_factor=2
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
        name = f"{base.name}-{tune.get_context().get_trial_id()}"
        run(replace(base, name=name, plan=by_pair[tuple(config["pair"])]), callbacks=[TuneReportCallback()])

    return drive


def _trials(results: tune.ResultGrid, by_pair: Mapping[Pair, Plan]) -> tuple[Trial, ...]:
    trials = []
    for result in results:
        metrics = result.metrics or {}
        if "counts" not in metrics:
            continue
        plan = by_pair[tuple(result.config["pair"])]
        trials.append(
            Trial(
                prompt_length=plan.prompt_length,
                learning_rate=plan.learning_rate,
                epoch=metrics["epoch"],
                scores=Scores({name: Counts(*each) for name, each in json.loads(metrics["counts"]).items()}),
                seconds=metrics["time_total_s"],
                finished=metrics["epoch"] == plan.rounds,
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
