"""The desk at which domains are taught, for tests of the service, and jobs that no Ray runs."""

from __future__ import annotations

from lightner.service.messages import Reader
from lightner.service.settings import Settings, TuningSettings
from lightner.service.teaching.desk import Desk
from lightner.service.teaching.tuner import JobState, JobsUnavailable


class NamedJobs:
    """`tuner.Jobs` that stay in the state that a test gives them."""

    def __init__(self) -> None:
        self.states: dict[str, JobState] = {}
        self.entrypoints: dict[str, str] = {}
        self.words = ""
        self.out = False

    def submit(self, name: str, entrypoint: str) -> None:
        self._answer()
        assert name not in self.entrypoints, "Ray takes a name once"
        self.states[name], self.entrypoints[name] = JobState.WAITING, entrypoint

    def state(self, name: str) -> JobState | None:
        self._answer()
        return self.states.get(name)

    def stop(self, name: str) -> None:
        self._answer()
        if name in self.states:
            self.states[name] = JobState.STOPPED

    def last_words(self, name: str) -> str:
        return self.words

    def _answer(self) -> None:
        if self.out:
            raise JobsUnavailable("no answer")


def desk_of(registry: str, reader: Reader, *, jobs: NamedJobs | None = None, timeout_s: float = 5) -> Desk:
    """A desk over a registry; `memory:///` has nothing in it. Without `jobs` it has no place for tunings."""
    tuning = None if jobs is None else TuningSettings(storage="/runs")
    settings = Settings(registry=registry, registry_timeout_s=timeout_s, tuning=tuning)
    return Desk.of(settings, reader, jobs or NamedJobs())
