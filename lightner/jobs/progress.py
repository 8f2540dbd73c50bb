"""Progress of trials: a bar with the time left in a terminal, lines elsewhere; trackers through Ray's callbacks."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray.tune import Callback
from ray.tune.logger import TBXLoggerCallback
from tqdm import tqdm

from lightner.jobs.options import MLFLOW, TRACKERS, WANDB
from lightner.jobs.recording import Recorded, Recorder
from lightner.types import InputError

_OFFLINE = ("offline", "disabled")


def check(names: Sequence[str]) -> None:
    """Raise InputError if a tracker's package is missing, or W&B has no API key."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise InputError(f"--log {name}: found no package {name}, expected one: pip install {TRACKERS[name]}")
    if WANDB in names and os.environ.get("WANDB_MODE") not in _OFFLINE and not _logged_in():
        raise InputError(
            f"--log {WANDB}: found no API key, expected WANDB_API_KEY, `wandb login` or WANDB_MODE=offline"
        )


@dataclass(frozen=True, slots=True)
class Watch:
    """The recorder and trackers that a job writes to, besides TensorBoard event files among each trial's checkpoints.

    Their own environment variables (MLFLOW_TRACKING_URI, WANDB_PROJECT, WANDB_MODE) set where they keep it.
    """

    domain: str
    trackers: tuple[str, ...] = ()
    recorder: Recorder | None = None

    def callbacks(self, title: str, *, planned: int, rounds: int) -> list[Callback]:
        """Callbacks for Ray Tune; each group of trials needs new ones, since they keep state."""
        found: list[Callback] = [Progress(title, planned=planned, rounds=rounds), TBXLoggerCallback()]
        if self.recorder is not None:
            found.append(Recorded(self.recorder))
        if MLFLOW in self.trackers:
            mlflow = _imported("ray.air.integrations.mlflow")
            found.append(
                mlflow.MLflowLoggerCallback(os.environ.get("MLFLOW_TRACKING_URI"), experiment_name=self.domain)
            )
        if WANDB in self.trackers:
            project = os.environ.get("WANDB_PROJECT", "lightner")
            wandb = _imported("lightner.jobs._wandb")
            found.append(wandb.WandbCallback(project=project, group=f"{self.domain} {title}"))
        return found


class Progress(Callback):  # type: ignore[misc] # ray.tune is untyped
    """Rounds done of `planned` trials of at most `rounds` each. The bar appears only if stderr is a terminal."""

    def __init__(self, title: str, *, planned: int, rounds: int) -> None:
        self._title, self._planned, self._rounds = title, planned, rounds
        self._best = 0.0
        self._bar: Any = None

    def setup(self, **_: Any) -> None:
        if sys.stderr.isatty():
            self._bar = tqdm(total=self._planned * self._rounds, desc=self._title, unit="round", dynamic_ncols=True)

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        self._best = max(self._best, result.get("f1", 0.0))
        if self._bar is None:
            print(self._line(trials, trial, result), flush=True)
        else:
            self._move({**_rounds_done(trials), trial: result["epoch"]})

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        if self._bar is not None:
            self._move(_rounds_done(trials), ended=trial)

    def on_experiment_end(self, trials: list[Any], **_: Any) -> None:
        if self._bar is not None:
            self._bar.close()

    def _line(self, trials: Sequence[Any], trial: Any, result: Mapping[str, Any]) -> str:
        done = sum(other.is_finished() for other in trials)
        scores = f" f1 {100 * result['f1']:.1f}" if "f1" in result else ""
        return (
            f"{self._title} [{done}/{self._planned} done] {trial.config['run']['name']}"
            f" round {result['epoch']} of {self._rounds} loss {result['loss']:.3f}{scores}"
        )

    def _move(self, done: Mapping[Any, int], ended: Any = None) -> None:
        """Move the bar; take the remaining rounds of a trial that was stopped early off its total."""
        bar = self._bar
        if bar.n == 0:
            bar.initial = max(0, sum(done.values()) - 1)  # rounds from before a resume were not done at this speed
        bar.total = self._planned * self._rounds - sum(
            self._rounds - rounds for trial, rounds in done.items() if trial is ended or trial.is_finished()
        )
        bar.n = sum(done.values())
        if self._best:
            bar.set_postfix_str(f"best f1 {100 * self._best:.1f}", refresh=False)
        bar.refresh()


def _rounds_done(trials: Sequence[Any]) -> dict[Any, int]:
    return {trial: (trial.last_result or {}).get("epoch", 0) for trial in trials}


def _imported(name: str) -> Any:
    # Only if asked for: the trackers take seconds to import, in every job and every trial.
    return importlib.import_module(name)


def _logged_in() -> bool:
    if "WANDB_API_KEY" in os.environ:
        return True
    wandb = importlib.import_module(WANDB)
    return bool(wandb.login(prompt=False))
