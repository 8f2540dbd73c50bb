"""Several hosts, one of them cut off during a tuning job and during serving: the job ends, the service answers."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from lightner.data.formats import write_conll
from lightner.store.registry import Registry
from lightner.types import Sentence, Span
from tests.support import hosts as many
from tests.support.hosts import Hosts
from tests.support.paths import CHECKOUT
from tests.support.serving import Place, entities_of, prepare

pytestmark = [pytest.mark.ray, pytest.mark.skipif(bool(many.missing()), reason=many.missing() or "-")]
PIN = "{steps: 120, rounds: 30, batch_size: 8, reparametrisation_width: 8, warm_up_steps: 2}"
PATIENCE_S = 240.0
TEXT = "Ada lives in Paris and likes soup."


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return prepare(tmp_path)


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with Hosts(workers=2) as running:
        yield running


def test_a_job_ends_although_the_host_of_its_trial_is_cut_off(hosts: Hosts, place: Place, tmp_path: Path) -> None:
    spans = (Span(0, 1, "person"), Span(3, 4, "building"))
    write_conll(tmp_path / "train.conll", [Sentence(("Ada", "likes", "the", f"house{n}"), spans) for n in range(12)])
    (tmp_path / "pin.yaml").write_text(PIN, encoding="utf-8")
    runs = tmp_path / "runs"
    options = {
        "--domain": "houses", "--train": tmp_path / "train.conll", "--backbone": place.folder,
        "--registry": place.registry.url, "--storage": runs, "--pin": tmp_path / "pin.yaml",
    }  # fmt: skip
    words = [str(word) for pair in options.items() for word in pair] + ["--lengths", "2", "--rates", "0.01"]
    command = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit", "--address", hosts.dashboard]
    # Without a working directory: all nodes would unpack it to the same folder of this machine, over each other's.
    command += ["--", sys.executable, str(CHECKOUT / "jobs" / "tune.py"), *words]
    log = tmp_path / "job.log"
    with log.open("wb") as output:
        job = subprocess.Popen(command, cwd=CHECKOUT, env=hosts.environment(), stdout=output, stderr=output)
    try:
        until(lambda: any(runs.glob("**/checkpoint_0*")), lambda: log.read_text(errors="replace"))
        lost = hosts.host_of("ImplicitFunc")  # Tune's name for a trial's process
        assert lost is not None
        before = len(list(runs.glob("**/checkpoint_0*")))
        lost.cut_off()
        until(lambda: hosts.alive() == 2, lambda: "the lost host was not noticed")
        assert job.wait(timeout=PATIENCE_S) == 0, log.read_text(errors="replace")
    finally:
        job.kill()
        job.wait()
    assert before > 0
    assert "published houses v000001" in log.read_text()
    assert "houses" in Registry.open(place.registry.url).domains()


def test_the_service_answers_although_a_host_is_cut_off(hosts: Hosts, place: Place) -> None:
    deployed = hosts.request("PUT", "/api/serve/applications/", json=_config(place))
    assert deployed.status_code == 200, deployed.text
    until(lambda: len(_replicas(hosts)) == 2, lambda: hosts.request("GET", "/api/serve/applications/").text)
    assert len(set(_replicas(hosts))) == 2
    lost, kept = hosts.workers
    url = f"http://{kept.address}:8000"
    until(lambda: _answers(url), lambda: f"{url} did not answer")
    expected = entities_of(place.offline("movies", TEXT))
    over_s = time.monotonic() + 20

    def user() -> list[httpx.Response]:
        answers = []
        with httpx.Client(timeout=90) as client:
            while time.monotonic() < over_s:
                answers.append(client.post(f"{url}/v1/domains/movies/entities", json={"texts": [TEXT]}))
        return answers

    with ThreadPoolExecutor() as users:
        futures = [users.submit(user) for _ in range(4)]
        time.sleep(3)
        lost.cut_off()
        answers = [answer for future in futures for answer in future.result()]
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.json()["results"][0]["entities"] == expected for answer in answers)
    assert hosts.alive() == 2


def _config(place: Place) -> dict[str, Any]:
    """serve/config.yaml with one replica of either deployment on each host."""
    config: dict[str, Any] = yaml.safe_load((CHECKOUT / "serve" / "config.yaml").read_text(encoding="utf-8"))
    (application,) = config["applications"]
    application["args"] |= {"registry": place.registry.url, "backbone": str(place.folder)}
    for deployment in application["deployments"]:
        deployment |= {"num_replicas": 2, "max_replicas_per_node": 1, "max_surge_percent": 0}
    return config


def _replicas(hosts: Hosts) -> list[str]:
    """Nodes of the backbone's running replicas."""
    found = hosts.request("GET", "/api/serve/applications/").json()["applications"]["lightner"]
    rows = found["deployments"].get("Backbone", {}).get("replicas", [])
    return [str(row["node_id"]) for row in rows if row["state"] == "RUNNING"]


def _answers(url: str) -> bool:
    try:
        return bool(httpx.get(f"{url}/readyz", timeout=5).status_code == 200)
    except httpx.HTTPError:
        return False


def until(holds: Callable[[], bool], why_not: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, why_not()
        time.sleep(0.3)
