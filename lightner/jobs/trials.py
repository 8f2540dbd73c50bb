"""Runs as trials of Ray Tune, which resumes after a kill.

A run of one worker learns in its trial's own process, which then takes the next trial; a run of several workers is a
Ray Train run, for which its trial waits. Starting a Ray Train run takes longer than few-shot training itself.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ray import cloudpickle, train, tune
from ray.exceptions import RayTaskError
from ray.tune import Callback, Stopper
from safetensors.torch import load_file
from torch import Tensor

from lightner.jobs import _usage
from lightner.jobs.keys import key_of
from lightner.jobs.on_ray import session, storage
from lightner.jobs.progress import Watch
from lightner.jobs.worker import Checkpoint, Cost, Run, work_alone, work_together
from lightner.store.card import JSON
from lightner.tuning import rules
from lightner.tuning.cross_validation import History, fold_folder, read_history
from lightner.tuning.training import PROMPT
from lightner.types import InputError

# Tune deletes a checkpoint when the trial has this many later ones, and saves the state that names the later ones
# only after that; with two, a driver killed in between left a state without its checkpoint (seen on object storage).
_CHECKPOINTS = 4
_LOST = "does not exist on storage anymore"  # Tune's message about such a checkpoint; the trial then starts again
_FETCH_S = 10.0  # a state is in the storage when it is reported; Tune only has to learn its name from the trial
_DIGITS = 8
_DRIVER_CPUS = 0.01  # the trial of a Ray Train run only waits; whole CPUs for two would starve their workers


@dataclass(frozen=True)
class Ended:
    """Result of a trial: its rounds, the seconds they took, and its last checkpoint."""

    history: History
    seconds: float
    cost: Cost
    checkpoint: Checkpoint


@dataclass(frozen=True)
class Ends:
    """Results by the names of the runs, for trials that finished a round. `errors`: why trials failed."""

    trials: Mapping[str, Ended]
    errors: Mapping[str, str]


def run_trials(
    name: str,
    runs: Sequence[Run],
    *,
    title: str,
    watch: Watch,
    at_once: int,
    budget_s: float | None = None,
) -> Ends:
    """One trial per run, `at_once` in parallel, in the storage of the first; `name` is that of the whole there.

    All runs have the same number of rounds; `title` names them in progress reports.

    After a kill the same call resumes; a call with other runs under the same name does not. After `budget_s`, and once
    one trial is in its third round, all trials are stopped; a resumed call keeps the budget that it started with,
    counted from zero again.

    Raises:
        InputError: a worker met one.
        Stopped: the job was asked to stop; the state is kept.
    """
    by_name = {run.name: run for run in runs}
    name = f"{name}-{_digest(runs)}"
    where = storage.inside(runs[0].storage, name)
    trainable = _trainable(name, by_name)
    if tune.Tuner.can_restore(where):
        tuner = tune.Tuner.restore(where, trainable=trainable, resume_unfinished=True, resume_errored=True)
    else:
        stop = None if budget_s is None else _Budget(budget_s)
        callbacks = watch.callbacks(title, planned=len(runs), rounds=runs[0].last)
        tuner = _new(name, trainable, runs, at_once=at_once, callbacks=callbacks, stop=stop)
    results = _fit(tuner)
    if any(_LOST in str(error) for error in results.errors):
        results = _fit(tune.Tuner.restore(where, trainable=trainable, resume_unfinished=True, restart_errored=True))
    ended, errors = {}, {}
    for result in results:
        run = by_name[_run_of(result, by_name)]
        if result.error:
            errors[run.name] = str(result.error).strip().splitlines()[-1]
        elif "epoch" in (result.metrics or {}) and (checkpoint := _checkpoint(name, run, result)):
            ended[run.name] = _ended(result, checkpoint)
    return Ends(ended, errors)


def _fit(tuner: tune.Tuner) -> tune.ResultGrid:
    before = signal.signal(signal.SIGINT, session.interrupt)
    try:
        with _usage.unrecorded():
            results = tuner.fit()
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)  # Tune does not remove its handler
    session.stop_if_asked()
    if results.num_terminated + results.num_errors < len(results):
        raise session.Stopped
    return results


def run_all(name: str, runs: Sequence[Run], *, title: str, watch: Watch, at_once: int) -> list[Ended]:
    """Run all trials to their end; results in the order of `runs`.

    Raises:
        InputError: a worker raised one, or failed repeatedly.
        Stopped: the job was asked to stop; the state is kept.
    """
    ends = run_trials(name, runs, title=title, watch=watch, at_once=at_once)
    ended = [ends.trials.get(run.name) for run in runs]
    complete = [end for end, run in zip(ended, runs, strict=True) if end and len(end.history) == run.last]
    if len(complete) < len(runs):
        raise InputError(f"{name}: found {len(complete)} finished runs of {len(runs)}; errors: {ends.errors}")
    return complete


def learned(end: Ended) -> dict[str, Tensor]:
    """The prompt's tensors in the last checkpoint of a run of one fold."""
    with end.checkpoint.as_directory() as folder:
        tensors: dict[str, Tensor] = load_file(fold_folder(Path(folder), 0) / PROMPT)
    return tensors


def _new(
    name: str,
    trainable: Any,
    runs: Sequence[Run],
    *,
    at_once: int,
    callbacks: Sequence[Callback],
    stop: Stopper | None,
) -> tune.Tuner:
    alone = runs[0].workers == 1
    return tune.Tuner(
        trainable,
        param_space={"run": tune.grid_search([_shown(run) for run in runs])},
        tune_config=tune.TuneConfig(
            max_concurrent_trials=None if alone else at_once,  # trials of one worker wait for resources by themselves
            reuse_actors=alone,  # a trial that waits for a Ray Train run cannot be interrupted
            trial_dirname_creator=_folder_name,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=runs[0].storage,
            failure_config=tune.FailureConfig(max_failures=3),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=_CHECKPOINTS),
            verbose=0,
            stop=stop,
            callbacks=[_Mistakes(), *callbacks],
        ),
    )


def _trainable(name: str, by_name: Mapping[str, Run]) -> Any:
    def drive(config: Mapping[str, Any]) -> None:
        run = by_name[config["run"]["name"]]
        if run.workers == 1:
            work_alone(run)
        else:
            work_together(run, _train_name(name, tune.get_context().get_trial_id()))

    [(workers, gpu, per_gpu, cpus)] = {(run.workers, run.gpu, run.per_gpu, run.cpus) for run in by_name.values()}
    # Ray makes torch use as many threads as a process has CPUs; with a GPU they have little to do.
    alone = {"CPU": 1, "GPU": 1 / per_gpu} if gpu else {"CPU": rules.cpus_per_run(cpus, len(by_name))}
    return tune.with_resources(drive, alone if workers == 1 else {"CPU": _DRIVER_CPUS})


def _digest(runs: Sequence[Run]) -> str:
    """A hash of what is learned and how its state is kept, so that other runs are not mistaken for these."""
    described: list[JSON] = [
        {
            "name": run.name,
            "plan": run.plan.as_dict(),
            "last": run.last,
            "started_from": run.started_from,
            "several_workers": run.workers > 1,
        }
        for run in sorted(runs, key=lambda run: run.name)
    ]
    return key_of({"version": 1, "runs": described})[:_DIGITS]


def _shown(run: Run) -> dict[str, Any]:
    """A trial's parameters, as trackers show them."""
    plan = run.plan
    return {
        "name": run.name,
        "prompt_length": plan.prompt_length,
        "learning_rate": plan.learning_rate,
        "seed": plan.seed,
        "started_from": run.started_from or "label words",
    }


def _checkpoint(name: str, run: Run, result: tune.Result) -> Checkpoint | None:
    """A trial's last checkpoint; None if it was stopped while it saved its first one."""
    if run.workers == 1:
        return result.checkpoint
    where = storage.inside(run.storage, _train_name(name, result.metrics["trial_id"]))
    return train.Result.from_path(where).checkpoint


def _ended(result: tune.Result, checkpoint: Checkpoint) -> Ended:
    metrics = result.metrics
    with checkpoint.as_directory() as folder:
        history = read_history(Path(folder))[: metrics["epoch"]]  # a stopped trial's may be a round ahead
    cost = Cost(metrics["learning_s"], metrics["learning_cpu_s"])
    return Ended(history, metrics["time_total_s"], cost, checkpoint)


def _run_of(result: tune.Result, names: Iterable[str]) -> str:
    """The run of a trial, by its folder, since a trial that failed in its first round has lost its configuration.

    Ray lengthens the folder's name of a trial that started again.
    """
    folder = PurePosixPath(result.path).name
    return max((name for name in names if folder.startswith(name)), key=len)


def _folder_name(trial: Any) -> str:
    return str(trial.config["run"]["name"])


def _train_name(name: str, trial_id: str) -> str:
    return f"{name}-{trial_id}"


class _Budget(Stopper):  # type: ignore[misc] # ray.tune is untyped
    """A time budget that loses no state. Ray's own may end before any trial has a result, or between a report and the
    moment when Tune fetches its state, which is then lost.

    It takes effect once one trial is in its third round. Then a trial that reports is stopped with its state, and all
    others a little after the last report. Tune stores this object with its own state, so only Tune may change it.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: float | None = None
        self._told = False
        self._last_report = 0.0

    def __reduce__(self) -> tuple[type[_Budget], tuple[float]]:
        return _Budget, (self._seconds,)  # the clock of another process means nothing here

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        self._told |= result["epoch"] > 1  # the state of a first round has been saved by then
        self._last_report = time.monotonic()
        return self._over()

    def stop_all(self) -> bool:
        if self._until is None:
            self._until = time.monotonic() + self._seconds
        return self._over() and time.monotonic() >= self._last_report + _FETCH_S

    def _over(self) -> bool:
        return self._told and self._until is not None and time.monotonic() >= self._until


class _Mistakes(Callback):  # type: ignore[misc] # ray.tune is untyped
    """End all trials at once on a mistake in the input, instead of trying again."""

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        # Not `get_pickled_error`: it reads the copy in the storage, which may be half written (seen on a busy machine).
        file = trial.pickled_error_file
        error = cloudpickle.loads(Path(file).read_bytes()) if file else None
        if isinstance(error, RayTaskError) and isinstance(error.cause, InputError):
            raise InputError(str(error.cause)) from error
