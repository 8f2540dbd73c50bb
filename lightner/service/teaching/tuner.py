"""Tunings as jobs of our own entry point: start, look after, stop. Knows no HTTP and no Ray; all of it blocks.

The record of a tuning is in the store, the state of its job with Ray. Whoever looks at a tuning whose job has died
resumes it, and `attend` looks at all of them from time to time: the same command continues from its checkpoints. After
`MAX_ATTEMPTS` it has failed.
"""

from __future__ import annotations

import asyncio
import logging
import random
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Literal, Protocol

from lightner.service.settings import TuningSettings
from lightner.store.objects import RegistryUnavailable
from lightner.store.tunings import Ending, Progress, Record, TuningInProgress, Tunings
from lightner.types import InputError

MAX_ATTEMPTS = 3
ATTEND_S = 30.0
"""How often each process of the service looks at unfinished tunings: one listing of the store."""
SUBMISSION = timedelta(seconds=60)
"""How long a job may be unknown after its attempt began: another process may be submitting it."""
_log = logging.getLogger(__name__)


class JobState(Enum):
    """The state of a job, as far as it matters here."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    DIED = "died"
    STOPPED = "stopped"


class JobsUnavailable(RuntimeError):  # noqa: N818
    """Ray's job API does not answer."""


class Jobs(Protocol):
    """Jobs by name. All methods raise JobsUnavailable."""

    def submit(self, name: str, entrypoint: str) -> None:
        """Start a job."""

    def state(self, name: str) -> JobState | None:
        """The state of a job; None where there is none of this name."""

    def stop(self, name: str) -> None:
        """End a job, if it runs."""

    def last_words(self, name: str) -> str:
        """The last line that a job wrote; empty if that is not known."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A tuning as it was found: its record, how far it is, what came of it, and what its job does."""

    record: Record
    progress: Progress | None
    result: Mapping[str, Any] | None
    job: JobState | None

    @property
    def state(self) -> Literal["waiting", "running", "finished", "failed", "stopped"]:
        """In the words of an answer."""
        match self.record.ended:
            case Ending.FINISHED:
                return "finished"
            case Ending.FAILED:
                return "failed"
            case Ending.STOPPED:
                return "stopped"
        return "running" if self.job is JobState.RUNNING else "waiting"


@dataclass(frozen=True)
class Tuner:
    """Starts and looks after the tunings of a registry. `backbone` is the service's."""

    tunings: Tunings
    jobs: Jobs
    registry: str
    backbone: str | None
    settings: TuningSettings

    def start(self, domain: str, options: Mapping[str, Any], *, who: str) -> Seen:
        """A new tuning. Raises TuningInProgress while another one of the domain has not ended, and JobsUnavailable."""
        present = self.tunings.current(domain)
        if present is not None and present.ended is None and self.look(present).record.ended is None:
            raise TuningInProgress(f"{domain}: found tuning {present.id} in progress, expected none", present.id)
        record = self.tunings.start(domain, options, who=who)
        try:
            self.jobs.submit(record.job, self.entrypoint(record))
        except JobsUnavailable:
            self.tunings.end(domain, record.id, Ending.FAILED, reason="the cluster did not take the job")
            raise
        return self._seen(record, JobState.WAITING)

    def look(self, record: Record) -> Seen:
        """A tuning as it is now; one whose job has died is resumed, or has failed."""
        if record.ended is not None:
            return self._seen(record, None)
        job = self.jobs.state(record.job)
        if job in (JobState.WAITING, JobState.RUNNING):
            return self._seen(record, job)
        now = self.tunings.record(record.domain, record.id)
        if now.ended is not None:  # by its job, meanwhile
            return self._seen(now, None)
        if job is JobState.STOPPED:
            return self._seen(self.tunings.end(record.domain, record.id, Ending.STOPPED), None)
        if job is None and _age(record) < SUBMISSION:
            return self._seen(record, JobState.WAITING)
        return self._resumed(record)

    def look_at_all(self) -> None:
        """Look at the tunings of all domains that have not ended, so that none waits for someone to ask about it."""
        for record in self.tunings.unfinished():
            try:
                self.look(record)
            except (InputError, RegistryUnavailable, JobsUnavailable) as error:
                _log.warning("the tuning %s of %s could not be looked at: %s", record.id, record.domain, error)

    def must_rest(self, domain: str) -> None:
        """Raise TuningInProgress while a tuning of the domain may still read its examples."""
        current = self.tunings.current(domain)
        if current is not None and self.look(current).state in ("waiting", "running"):
            said = f"{domain}: found tuning {current.id} in progress, expected none while sentences are held out"
            raise TuningInProgress(said, current.id)

    def stop(self, record: Record) -> Seen:
        """End a tuning; what it has learned so far stays in its storage, for one with the same options."""
        record = self.tunings.end(record.domain, record.id, Ending.STOPPED)
        self.jobs.stop(record.job)
        return self._seen(record, None)

    def entrypoint(self, record: Record) -> str:
        """The command of a tuning's job: always our own, with options that are numbers and flags."""
        words = [sys.executable, "-m", "lightner", "tune", "--train", "examples:", "--domain", record.domain]
        words += ["--registry", self.registry, "--storage", self.settings.storage, "--tuning", record.id]
        for name, value in (("--backbone", self.backbone), ("--pin", self.settings.pin)):
            words += [] if value is None else [name, value]
        words += [] if self.settings.workers is None else ["--workers", str(self.settings.workers)]
        words += ["--gpu"] if self.settings.gpu else []
        return shlex.join([*words, *_chosen(record.options)])

    def _resumed(self, record: Record) -> Seen:
        """The next attempt of a tuning whose job has died, or its end.

        `record` is of the attempt whose job it was: if another process has begun the next one, the store says so.
        """
        if record.attempt >= MAX_ATTEMPTS:
            said = self.jobs.last_words(record.job)
            reason = f"its job died {record.attempt} times" + (f"; the last one said: {said}" if said else "")
            return self._seen(self.tunings.end(record.domain, record.id, Ending.FAILED, reason=reason), None)
        again = self.tunings.again(record.domain, record.id, after=record.attempt)
        if again is None:
            return self._seen(self.tunings.record(record.domain, record.id), JobState.WAITING)
        _log.warning("the job %s has died; the tuning is resumed as %s", record.job, again.job)
        self.jobs.submit(again.job, self.entrypoint(again))
        return self._seen(again, JobState.WAITING)

    def _seen(self, record: Record, job: JobState | None) -> Seen:
        progress = self.tunings.progress(record.domain, record.id)
        finished = record.ended is Ending.FINISHED
        return Seen(record, progress, self.tunings.result(record.domain, record.id) if finished else None, job)


async def attend(tuner: Tuner, *, every_s: float) -> None:
    """Look at all tunings that have not ended about every so many seconds, until cancelled.

    Each process of the service may do so: of those that find a job dead, the store lets one start the next attempt.
    """
    while True:
        await asyncio.sleep(every_s * random.uniform(0.5, 1.5))
        try:
            await asyncio.to_thread(tuner.look_at_all)
        except RegistryUnavailable as error:
            _log.warning("unfinished tunings could not be listed: %s", error)
        except Exception:
            _log.exception("unfinished tunings could not be looked at")


def _age(record: Record) -> timedelta:
    return datetime.now(UTC) - datetime.fromisoformat(record.attempted)


def _chosen(options: Mapping[str, Any]) -> list[str]:
    """The caller's options as words of the command line."""
    words = ["--seed", str(int(options["seed"]))]
    if (minutes := options.get("budget_minutes")) is not None:
        words += ["--budget", repr(float(minutes))]
    if (lengths := options.get("lengths")) is not None:
        words += ["--lengths", *(str(int(each)) for each in lengths)]
    if (rates := options.get("rates")) is not None:
        words += ["--rates", *(repr(float(each)) for each in rates)]
    return [*words, "--force"] if options.get("force") is True else words
