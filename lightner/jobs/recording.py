"""What a tuning job keeps in its registry for whoever watches it: how far it is, and what came of it.

A store that does not answer must not end a tuning: what cannot be written is left out and tried again later.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from ray.tune import Callback

from lightner.jobs.options import TuneOptions
from lightner.store.example import now
from lightner.store.objects import RegistryUnavailable
from lightner.store.tunings import Ending, Point, Progress, Tunings

SCAN, LEARNING, PUBLISHING = "scan", "learning", "publishing"
_EVERY_S, _PAUSE_S = 1.0, 10.0
_MOST_POINTS = 200
_PATIENCE_S, _AGAIN_S = 600.0, 3.0
_TIMEOUT_S = 3.0
_log = logging.getLogger(__name__)


class Recorder:
    """Writes the progress and result of the tuning `id_` of a domain. Begins with the job and ends with it."""

    def __init__(self, tunings: Tunings, domain: str, id_: str) -> None:
        self._tunings, self._domain, self._id = tunings, domain, id_
        self._began = self._staged = time.monotonic()
        self._stage, self._planned = SCAN, 0
        self._rounds: dict[str, int] = {}
        self._before = 0
        self._best: float | None = None
        self._curve: list[Point] = []
        self._due = 0.0

    def begin(self, stage: str, *, rounds: int) -> None:
        """A stage of at most so many rounds begins."""
        self._stage, self._planned, self._rounds = stage, rounds, {}
        self._before, self._staged = 0, time.monotonic()
        self._write()

    def on_round(self, run: str, done: int, f1: float | None) -> None:
        """A run has done so many rounds, the last with this F1."""
        if not self._rounds:
            self._before = max(0, done - 1)  # rounds from before a resume were not done at this speed
        self._rounds[run] = max(done, self._rounds.get(run, 0))
        if f1 is not None and (self._best is None or f1 > self._best):
            self._best = f1
            self._curve = [*self._curve, Point(round(self.seconds, 1), f1)][-_MOST_POINTS:]
        if time.monotonic() >= self._due:
            self._write()

    @property
    def seconds(self) -> float:
        """Since the job began."""
        return time.monotonic() - self._began

    def result(self, result: Mapping[str, Any]) -> None:
        """Keep what came of the tuning, and that it has ended; unlike progress this must be written."""
        whole = {**result, "seconds": round(self.seconds, 1)}
        self._surely(lambda: self._tunings.write_result(self._domain, self._id, whole))
        self._surely(lambda: self._tunings.end(self._domain, self._id, Ending.FINISHED))

    def failed(self, reason: str) -> None:
        """Keep why the tuning cannot be done."""
        self._surely(lambda: self._tunings.end(self._domain, self._id, Ending.FAILED, reason=reason))

    def _surely(self, write: Callable[[], object]) -> None:
        """Write, again and again while the store does not answer: a job that ended now would have to be repeated."""
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                write()
                return
            except RegistryUnavailable as error:
                if time.monotonic() > until:
                    raise
                _log.warning("the end of tuning %s could not be kept yet: %s", self._id, error)
                time.sleep(_AGAIN_S)

    def _write(self) -> None:
        done = min(self._planned, sum(self._rounds.values()))
        new, took = done - self._before, time.monotonic() - self._staged
        left = round(took / new * (self._planned - done), 1) if new > 0 else None
        known = Progress(
            self._stage, done, self._planned, self._best, round(self.seconds, 1), left, now(), tuple(self._curve)
        )
        try:
            self._tunings.write_progress(self._domain, self._id, known)
            self._due = time.monotonic() + _EVERY_S
        except RegistryUnavailable as error:
            self._due = time.monotonic() + _PAUSE_S
            _log.warning("the progress of tuning %s could not be kept: %s", self._id, error)


class Recorded(Callback):  # type: ignore[misc] # ray.tune is untyped
    """Passes the rounds of trials on to a recorder."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        self._recorder.on_round(trial.config["run"]["name"], result["epoch"], result.get("f1"))


def recorder_of(options: TuneOptions) -> Recorder | None:
    """The recorder that the options ask for. Raises InputError for an id that cannot be any or is none."""
    if options.tuning is None:
        return None
    tunings = Tunings.open(options.registry, timeout_s=_TIMEOUT_S)
    tunings.record(options.domain, options.tuning)
    return Recorder(tunings, options.domain, options.tuning)
