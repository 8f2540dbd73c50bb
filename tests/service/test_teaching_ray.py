"""`lightner teach` on a real Ray and a real store: killed while it tunes, and cut off from the store while it tunes.

`test_teach_with_ray` goes from texts to a second tuning.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from lightner.jobs.on_ray import local
from lightner.store.example import State
from lightner.store.examples import Examples
from lightner.store.registry import Registry
from tests.support.paths import CHECKOUT
from tests.support.tiny import save, tiny_backbone

if TYPE_CHECKING:
    from tests.support.s3 import S3Server

pytestmark = [pytest.mark.ray, pytest.mark.s3]
PATIENCE_S = 420.0
CUT_S = 30.0
LABELS, EXAMPLES, TUNINGS = (f"/v1/domains/people/{each}" for each in ("labels", "examples", "tunings"))
TEXTS = [
    f"{name} {verb} {rest}"
    for name, verb in (("Ada", "lives"), ("Mary", "likes"), ("Emil", "lives"), ("Ben", "likes"))
    for rest in ("in Oslo", "in Rome", "in Paris")
]
QUICK = {"lengths": [2], "rates": [0.01]}


class Teaching:
    """A running `lightner teach`."""

    def __init__(self, folder: Path, registry: str, log: Path) -> None:
        command = [sys.executable, "-m", "lightner", "teach", "--registry", registry]
        command += ["--storage", str(folder / "runs"), "--backbone", str(folder / "tiny")]
        command += ["--port", "0", "--no-browser"]
        environment = {**local.environment(), "PYTHONPATH": str(CHECKOUT)}
        environment.pop("LIGHTNER_ADMIN_KEY", None)
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/teach#key=(\S+)\n", line)
        assert found, line + log.read_text()
        headers = {"authorization": f"Bearer {found[2]}"}
        self.http = httpx.Client(base_url=found[1], headers=headers, timeout=60)

    def asked(self, method: str, path: str, body: Any = None) -> Any:
        """The answer, once the service gives one."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = self.http.request(method, path, json=body)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code not in (500, 502, 503, 504):
                assert answer.is_success, answer.text
                return answer.json()
            assert time.monotonic() < deadline, "no answer" if answer is None else answer.text
            time.sleep(0.5)

    def until(self, id_: str, wanted: Callable[[Any], bool]) -> Any:
        """The tuning once it is as wanted."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            seen = self.asked("GET", f"{TUNINGS}/{id_}")
            if wanted(seen):
                return seen
            assert seen["state"] in ("waiting", "running"), seen
            assert time.monotonic() < deadline, seen
            time.sleep(0.5)

    def workers(self, title: str) -> list[int]:
        """Ray's processes below this command whose command line begins with `title`."""
        parents = {int(p.parent.name): _parent(p) for p in Path("/proc").glob("[0-9]*/stat")}

        def is_ours(pid: int) -> bool:
            while pid > 1:
                if pid == self.process.pid:
                    return True
                pid = parents.get(pid, 0)
            return False

        return [pid for pid in parents if _command(pid).startswith(title) and is_ours(pid)]


def _parent(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


@contextmanager
def teaching(folder: Path, registry: str, log: Path) -> Iterator[Teaching]:
    running = Teaching(folder, registry, log)
    try:
        yield running
    finally:
        running.http.close()
        running.process.send_signal(signal.SIGTERM)
        with running.process:  # which closes its output
            assert running.process.wait(timeout=60) == 0, log.read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny = tiny_backbone()
    save(tiny, tmp_path / "tiny")
    return tmp_path


def finish(service: Teaching, *, state: str = "done") -> None:
    """Label every open example: the first word is a person, the last one a city."""
    for each in service.asked("GET", f"{EXAMPLES}?state=open&limit=200")["examples"]:
        text = each["text"]
        spans = [
            {"start": 0, "end": text.index(" "), "label": "person"},
            {"start": text.rindex(" ") + 1, "end": len(text), "label": "city"},
        ]
        change = {"revision": each["revision"], "spans": spans, "state": state}
        service.asked("PUT", f"{EXAMPLES}/{each['id']}", change)


def begin(service: Teaching, **options: Any) -> str:
    """Start a tuning, and wait until it has learned something."""
    id_: str = service.asked("POST", TUNINGS, {**QUICK, **options})["id"]
    service.until(id_, lambda seen: (seen["progress"] or {}).get("rounds_done", 0) > 0)
    return id_


def jobs_of(service: Teaching, id_: str) -> list[int]:
    """The processes that tune."""
    return [pid for pid in service.workers(sys.executable) if f"--tuning {id_}" in _command(pid)]


def kill(service: Teaching, id_: str) -> None:
    """End the job of a tuning and the service's replicas without a word."""
    jobs, replicas = jobs_of(service, id_), service.workers("ray::ServeReplica")
    assert (len(jobs), len(replicas)) == (1, 2)
    for pid in (*jobs, *replicas):
        os.kill(pid, signal.SIGKILL)


def cut_off(service: Teaching, s3: S3Server, id_: str) -> None:
    """Let the store refuse every request until the tuning's job has given up, and for `CUT_S` at least.

    The service says so meanwhile.
    """
    assert len(jobs_of(service, id_)) == 1
    s3.fails = lambda method, path: True
    began = time.monotonic()
    while time.monotonic() - began < CUT_S or jobs_of(service, id_):
        assert time.monotonic() - began < PATIENCE_S, "the job still waits for the store"
        for method, path, body in (("GET", EXAMPLES, None), ("POST", EXAMPLES, {"examples": [{"text": "Nobody"}]})):
            answer = service.http.request(method, path, json=body)
            assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (503, "registry-unavailable")
    s3.behave()


def test_a_tuning_outlives_the_death_of_the_service_and_of_its_own_job_and_a_store_that_is_cut_off(
    folder: Path, tmp_path: Path, s3: S3Server, s3_url: str
) -> None:
    with teaching(folder, s3_url, tmp_path / "teach.log") as service:
        service.asked("PUT", LABELS, {"revision": 0, "labels": [{"name": "person"}, {"name": "city"}]})
        service.asked("POST", EXAMPLES, {"examples": [{"text": text} for text in TEXTS]})
        finish(service)
        before = service.asked("GET", f"{EXAMPLES}?limit=200")
        begun = begin(service)
        kill(service, begun)
        assert service.asked("GET", f"{EXAMPLES}?limit=200") == before
        ended = service.until(begun, lambda seen: seen["state"] == "finished")
        assert (ended["attempt"], ended["result"]["outcome"]) == (2, "live")
        registry = Registry.open(s3_url)
        assert registry.aliases("people")["live"] == ended["result"]["version"]

        begun = begin(service, seed=1)
        cut_off(service, s3, begun)
        assert service.asked("GET", f"{EXAMPLES}?limit=200") == before
        ended = service.until(begun, lambda seen: seen["state"] == "finished")
        assert ended["attempt"] == 2, "the job, which could not publish, was resumed"
        assert ended["result"]["version"] in registry.versions("people")
        service.asked("POST", EXAMPLES, {"examples": [{"text": "Zoe lives in Lima"}]})
        finish(service)
        assert len(Examples.open(s3_url).sentences("people", State.DONE)) == len(TEXTS) + 1
