"""The desk at which domains are taught, for tests of the service, jobs that no Ray runs, and requests that teach."""

from __future__ import annotations

from typing import Any

import httpx

from lightner.service.messages import Reader
from lightner.service.settings import Settings, TuningSettings
from lightner.service.teaching.desk import Desk
from lightner.service.teaching.tuner import JobState, JobsUnavailable

READ, ADMIN, ANNOTATE = "read key", "admin key", "annotate key"
LABELS, EXAMPLES = "/v1/domains/dishes/labels", "/v1/domains/dishes/examples"


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


async def labelled(client: httpx.AsyncClient, *names: str) -> Any:
    body = {"revision": 0, "labels": [{"name": name, "words": None, "colour": "#aa3377"} for name in names]}
    return (await client.put(LABELS, json=body)).json()


async def add(client: httpx.AsyncClient, *texts: str, **more: Any) -> list[str]:
    answer = await client.post(EXAMPLES, json={"examples": [{"text": text} for text in texts], **more})
    assert answer.status_code == 201, answer.text
    return [each["id"] for each in answer.json()["examples"]]
