"""`lightner teach` on a real Ray, killed while it tunes; `test_teach_with_ray` goes from texts to a second tuning."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from lightner.jobs.on_ray import local
from tests.support.paths import CHECKOUT
from tests.support.tiny import tiny_backbone

pytestmark = pytest.mark.ray
PATIENCE_S = 420.0
LABELS, EXAMPLES, TUNINGS = (f"/v1/domains/people/{each}" for each in ("labels", "examples", "tunings"))
TEXTS = [
    f"{name} {verb} {rest}"
    for name, verb in (("Ada", "lives"), ("Mary", "likes"), ("Emil", "lives"), ("Ben", "likes"))
    for rest in ("in Oslo", "in Rome", "in Paris")
]
QUICK = {"lengths": [2], "rates": [0.01]}


class Teaching:
    """A running `lightner teach`."""

    def __init__(self, folder: Path, log: Path) -> None:
        command = [sys.executable, "-m", "lightner", "teach", "--registry", str(folder / "registry")]
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
def teaching(folder: Path, log: Path) -> Iterator[Teaching]:
    running = Teaching(folder, log)
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
    tiny.model.save_pretrained(tmp_path / "tiny")
    tiny.tokenizer.save_pretrained(tmp_path / "tiny")
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


def test_a_tuning_outlives_the_death_of_the_service_and_of_its_own_job(folder: Path, tmp_path: Path) -> None:
    with teaching(folder, tmp_path / "teach.log") as service:
        service.asked("PUT", LABELS, {"revision": 0, "labels": [{"name": "person"}, {"name": "city"}]})
        service.asked("POST", EXAMPLES, {"examples": [{"text": text} for text in TEXTS]})
        finish(service)
        before = service.asked("GET", f"{EXAMPLES}?limit=200")
        begun = service.asked("POST", TUNINGS, QUICK)
        service.until(begun["id"], lambda seen: (seen["progress"] or {}).get("rounds_done", 0) > 0)
        jobs = [pid for pid in service.workers(sys.executable) if f"--tuning {begun['id']}" in _command(pid)]
        replicas = service.workers("ray::ServeReplica")
        assert (len(jobs), len(replicas)) == (1, 2)
        for pid in (*jobs, *replicas):
            os.kill(pid, signal.SIGKILL)
        assert service.asked("GET", f"{EXAMPLES}?limit=200") == before
        ended = service.until(begun["id"], lambda seen: seen["state"] == "finished")
        assert (ended["attempt"], ended["result"]["outcome"]) == (2, "live")
        assert json.loads((folder / "registry" / "people" / "aliases.json").read_text())["aliases"]["live"]
