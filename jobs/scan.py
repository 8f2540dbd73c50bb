"""The scan: Ray Tune over prompt length and learning rate, each trial a Ray Train run on held-out sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ray import tune
from ray.tune import Callback
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.schedulers import ASHAScheduler

from jobs.worker import Run, run
from lightner.rules import Plan
from lightner.types import InputError

_DRIVER_CPUS = 0.01  # a trial's driver only waits; with a whole CPU two trials would starve each other's workers
_GRACE_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Trial:
    """One scanned pair: how far it came, and its last scores on the held-out sentences."""

    prompt_length: int
    learning_rate: float
    epoch: int
    f1: float
    precision: float
    recall: float
    seconds: float
    finished: bool


def scan(base: Run, plans: Sequence[Plan], *, at_once: int) -> tuple[Trial, ...]:
    """Run one trial per plan, `at_once` in parallel; the same call goes on where a killed one stopped.

    Raises:
        InputError: no trial finished.
    """
    by_pair = {(plan.prompt_length, plan.learning_rate): plan for plan in plans}
    trainable = tune.with_resources(_trial(base, by_pair), {"CPU": _DRIVER_CPUS})
    where = f"{base.storage.rstrip('/')}/{base.name}"
    if tune.Tuner.can_restore(where):
        tuner = tune.Tuner.restore(where, trainable=trainable, resume_unfinished=True, resume_errored=True)
    else:
        tuner = tune.Tuner(
            trainable,
            param_space={"pair": tune.grid_search(list(by_pair))},
            tune_config=tune.TuneConfig(
                metric="f1",
                mode="max",
                max_concurrent_trials=at_once,
                scheduler=ASHAScheduler(
                    time_attr="epoch",
                    max_t=plans[0].rounds,
                    grace_period=_GRACE_ROUNDS,
                    reduction_factor=2,
                ),
            ),
            run_config=tune.RunConfig(
                name=base.name,
                storage_path=base.storage,
                failure_config=tune.FailureConfig(max_failures=2),
                verbose=0,
                callbacks=[_Lines()],
            ),
        )
    return _trials(tuner.fit(), by_pair)


def best(trials: Sequence[Trial]) -> Trial:
    """The finished trial of the highest F1; between equals the shorter prompt, then the lower rate."""
    return min(
        (trial for trial in trials if trial.finished),
        key=lambda trial: (-trial.f1, trial.prompt_length, trial.learning_rate),
    )


def table(trials: Sequence[Trial], chosen: Trial) -> str:
    """The scan as plain text, best first; the chosen trial is marked."""
    lines = ["  length      rate  rounds  precision  recall      f1  seconds"]
    for trial in sorted(trials, key=lambda those: (-those.f1, those.prompt_length)):
        mark = "*" if trial == chosen else " "
        note = "" if trial.finished else "  (stopped early)"
        lines.append(
            f"{mark} {trial.prompt_length:6d} {trial.learning_rate:9.4g} {trial.epoch:7d} {100 * trial.precision:10.1f}"
            f" {100 * trial.recall:7.1f} {100 * trial.f1:7.1f} {trial.seconds:8.0f}{note}"
        )
    return "\n".join(lines)


def _trial(base: Run, by_pair: dict[tuple[int, float], Plan]) -> Any:
    def drive(config: dict[str, Any]) -> None:
        name = f"{base.name}-{tune.get_context().get_trial_id()}"
        run(replace(base, name=name, plan=by_pair[tuple(config["pair"])]), callbacks=[TuneReportCallback()])

    return drive


def _trials(results: tune.ResultGrid, by_pair: dict[tuple[int, float], Plan]) -> tuple[Trial, ...]:
    trials = []
    for result in results:
        metrics = result.metrics or {}
        if "f1" not in metrics:
            continue
        plan = by_pair[tuple(result.config["pair"])]
        trials.append(
            Trial(
                prompt_length=plan.prompt_length,
                learning_rate=plan.learning_rate,
                epoch=metrics["epoch"],
                f1=metrics["f1"],
                precision=metrics["precision"],
                recall=metrics["recall"],
                seconds=metrics["time_total_s"],
                finished=metrics["epoch"] == plan.rounds,
            )
        )
    if not any(trial.finished for trial in trials):
        reasons = sorted({str(error).strip().splitlines()[-1] for error in results.errors})
        raise InputError(f"scan: found no finished trial of {len(by_pair)}, expected at least one; errors: {reasons}")
    return tuple(trials)


class _Lines(Callback):  # type: ignore[misc] # ray.tune is untyped
    """One line per finished round, for terminals and job logs alike."""

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        done = sum(other.is_finished() for other in trials)
        print(
            f"scan [{done}/{len(trials)} done] {trial.trial_id} length {result['prompt_length']:>3d}"
            f" rate {result['learning_rate']:.4g} round {result['epoch']} loss {result['loss']:.3f}"
            f" f1 {100 * result['f1']:.1f}",
            flush=True,
        )
