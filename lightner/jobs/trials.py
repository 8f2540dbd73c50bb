"""Runs as trials of Ray Tune, which goes on where a killed job stopped.

A run of one worker learns in its trial's own process, which then takes up the next one; a run of several workers is a
Ray Train run, for which its trial waits. Starting one costs more than a few-shot run learns for.
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

from lightner.jobs.keys import key_of
from lightner.jobs.on_ray import session, storage
from lightner.jobs.progress import Watch
from lightner.jobs.worker import Cost, Run, work_alone, work_together
from lightner.store.card import JSON
from lightner.tuning import rules
from lightner.tuning.cross_validation import History, fold_folder, read_history
from lightner.tuning.training import PROMPT
from lightner.types import InputError

# Tune deletes a checkpoint when the trial has so many later ones, and only then begins to keep the state that names
# those; with two, a driver killed in between left a state whose checkpoint was gone (seen on object storage).
_CHECKPOINTS = 4
_LOST = "does not exist on storage anymore"  # what Tune says of such a checkpoint; the trial then begins anew
_FETCH_S = 10.0  # a state is on the storage when it is reported; Tune only has to hear its name from the trial
_DIGITS = 8
_DRIVER_CPUS = 0.01  # the trial of a Ray Train run only waits; with a whole CPU two would starve each other's workers


@dataclass(frozen=True)
class Ended:
    """What a trial left: its rounds, in how many seconds, and its last checkpoint."""

    history: History
    seconds: float
    cost: Cost
    checkpoint: train.Checkpoint | tune.Checkpoint


@dataclass(frozen=True)
class Ends:
    """Trials by the names of their runs, without those that finished no round. `errors` are of those that failed."""

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

    All runs have as many rounds; `title` says what they are to who watches.

    The same call goes on where a killed one stopped; one of other runs under the same name does not. After `budget_s`,
    but not before one is in its third round, all trials are stopped where they are; what is gone on with keeps the
    budget that it began with, counted anew.

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
        results = tuner.fit()
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)  # Tune leaves its handler behind
    session.stop_if_asked()
    if results.num_terminated + results.num_errors < len(results):
        raise session.Stopped
    return results


def run_all(name: str, runs: Sequence[Run], *, title: str, watch: Watch, at_once: int) -> list[Ended]:
    """Trials that all come to their end, in the order of `runs`.

    Raises:
        InputError: a worker met one, or failed again and again.
        Stopped: the job was asked to stop; the state is kept.
    """
    ends = run_trials(name, runs, title=title, watch=watch, at_once=at_once)
    ended = [ends.trials.get(run.name) for run in runs]
    complete = [end for end, run in zip(ended, runs, strict=True) if end and len(end.history) == run.last]
    if len(complete) < len(runs):
        raise InputError(f"{name}: found {len(complete)} finished runs of {len(runs)}; errors: {ends.errors}")
    return complete


def learned(end: Ended) -> dict[str, Tensor]:
    """The tensors of the prompt that a run of one fold left in its last checkpoint."""
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
            max_concurrent_trials=None if alone else at_once,  # those of one worker wait for room by themselves
            reuse_actors=alone,  # what waits for a Ray Train run cannot be called back from it
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
    # Ray tells torch to use as many threads as a process has CPUs; with a GPU there is little for them to do.
    alone = {"CPU": 1, "GPU": 1 / per_gpu} if gpu else {"CPU": rules.cpus_per_run(cpus, len(by_name))}
    return tune.with_resources(drive, alone if workers == 1 else {"CPU": _DRIVER_CPUS})


def _digest(runs: Sequence[Run]) -> str:
    """Of what is learned and how its state is kept: other runs must not be mistaken for these."""
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
    """What trackers show as a trial's parameters."""
    plan = run.plan
    return {
        "name": run.name,
        "prompt_length": plan.prompt_length,
        "learning_rate": plan.learning_rate,
        "seed": plan.seed,
        "started_from": run.started_from or "label words",
    }


def _checkpoint(name: str, run: Run, result: tune.Result) -> train.Checkpoint | tune.Checkpoint | None:
    """The last one; none of a trial that was stopped while its first one was being kept."""
    if run.workers == 1:
        return result.checkpoint
    where = storage.inside(run.storage, _train_name(name, result.metrics["trial_id"]))
    return train.Result.from_path(where).checkpoint


def _ended(result: tune.Result, checkpoint: train.Checkpoint | tune.Checkpoint) -> Ended:
    metrics = result.metrics
    with checkpoint.as_directory() as folder:
        history = read_history(Path(folder))[: metrics["epoch"]]  # one that is being stopped may be a round ahead
    cost = Cost(metrics["learning_s"], metrics["learning_cpu_s"])
    return Ended(history, metrics["time_total_s"], cost, checkpoint)


def _run_of(result: tune.Result, names: Iterable[str]) -> str:
    """By its folder, since the configuration is lost of a trial that failed in its first round.

    Of one that began anew Ray has lengthened the name.
    """
    folder = PurePosixPath(result.path).name
    return max((name for name in names if folder.startswith(name)), key=len)


def _folder_name(trial: Any) -> str:
    return str(trial.config["run"]["name"])


def _train_name(name: str, trial_id: str) -> str:
    return f"{name}-{trial_id}"


class _Budget(Stopper):  # type: ignore[misc] # ray.tune is untyped
    """Ray's own time budget may end before there is anything to choose from, or behind a report and before Tune has
    fetched its state, which would be lost.

    Time is over when one trial is in its third round. Then a trial that reports is stopped with its state, all others a
    little after the last report. Tune keeps this object with its own state: nothing but Tune may tell it anything.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: float | None = None
        self._told = False
        self._last_report = 0.0

    def __reduce__(self) -> tuple[type[_Budget], tuple[float]]:
        return _Budget, (self._seconds,)  # the clock of another process says nothing

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        self._told |= result["epoch"] > 1  # the state of a first round is kept by then
        self._last_report = time.monotonic()
        return self._over()

    def stop_all(self) -> bool:
        if self._until is None:
            self._until = time.monotonic() + self._seconds
        return self._over() and time.monotonic() >= self._last_report + _FETCH_S

    def _over(self) -> bool:
        return self._told and self._until is not None and time.monotonic() >= self._until


class _Mistakes(Callback):  # type: ignore[misc] # ray.tune is untyped
    """A mistake in the input ends the whole at once instead of being tried again."""

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        # Not `get_pickled_error`: it reads the copy on the storage, which may be half written (seen on a busy machine).
        file = trial.pickled_error_file
        error = cloudpickle.loads(Path(file).read_bytes()) if file else None
        if isinstance(error, RayTaskError) and isinstance(error.cause, InputError):
            raise InputError(str(error.cause)) from error
