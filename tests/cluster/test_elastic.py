"""A job and a service on a cluster whose real autoscaler starts with no nodes; requests with and without its token.

Its nodes have the wheel and no checkout; the job is submitted without a working directory.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from benchmarks import autoscaling, elastic
from benchmarks.autoscaling import Place
from benchmarks.elastic import Elastic
from lightner.data.formats import write_conll
from lightner.jobs.on_ray import local
from lightner.store.registry import Registry
from lightner.types import Sentence, Span
from tests.support import wheel
from tests.support.paths import CHECKOUT
from tests.support.tiny import save, tiny_backbone

pytestmark = pytest.mark.ray
PIN = "{steps: 8, rounds: 2, batch_size: 8, reparametrisation_width: 8, warm_up_steps: 2}"


@pytest.fixture(scope="module")
def running() -> Iterator[Elastic]:
    with wheel.installed() as environment, elastic.cluster(most=2, idle_s=6, python=environment.python) as made:
        yield made


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("elastic")
    tiny = tiny_backbone()
    save(tiny, folder / "tiny")
    spans = (Span(0, 1, "person"), Span(3, 4, "building"))
    write_conll(folder / "train.conll", [Sentence(("Ada", "likes", "the", f"house{n}"), spans) for n in range(12)])
    (folder / "pin.yaml").write_text(PIN, encoding="utf-8")
    return Place(_words(folder), str(folder / "registry"), "houses", "Ada likes soup.", str(folder / "tiny"))


def _words(folder: Path) -> tuple[str, ...]:
    options = {
        "train": "train.conll", "test": "train.conll", "backbone": "tiny", "registry": "registry", "storage": "runs",
        "pin": "pin.yaml",
    }  # fmt: skip
    paths = [word for name, path in options.items() for word in (f"--{name}", str(folder / path))]
    return ("tune", "--domain", "houses", *paths, "--lengths", "2", "--rates", "0.01")


def test_a_job_without_the_token_is_refused_and_says_how_to_give_it(running: Elastic, place: Place) -> None:
    without = elastic.submit(running, place.tune, token="")
    assert without.returncode != 0
    assert "couldn't find an authentication token" in without.stderr
    assert "RAY_AUTH_TOKEN" in without.stderr
    wrong = elastic.submit(running, place.tune, token="0" * 64)
    assert wrong.returncode != 0
    assert "Invalid authentication token" in wrong.stderr
    assert running.ask("/api/jobs/").json() == []


@pytest.mark.skipif(not shutil.which("wget"), reason="the probes ask with wget, which is in the images")
@pytest.mark.parametrize("probe", ["readinessProbe", "livenessProbe"])
def test_health_checks_of_kubernetes_need_no_token(running: Elastic, probe: str) -> None:
    text = (CHECKOUT / "cluster/kuberay/base/ray-cluster.yaml").read_text(encoding="utf-8")
    (container,) = yaml.safe_load(text)["spec"]["headGroupSpec"]["template"]["spec"]["containers"]
    *shell, command = container[probe]["exec"]["command"]
    well = command.replace("http://localhost:52365", running.agent)
    assert subprocess.run([*shell, well.replace("http://localhost:8265", running.head.dashboard)]).returncode == 0
    gone = well.replace("http://localhost:8265", f"http://127.0.0.1:{local.free_ports(1)[0]}")
    assert subprocess.run([*shell, gone]).returncode != 0


def test_a_tuning_job_brings_its_node_and_the_node_goes_with_it(running: Elastic, place: Place) -> None:
    found = autoscaling.tuning(running, place)
    assert found["status"] == 0, found["log"]
    assert "warning: the cluster has 0 GPUs now, a run needs 1: waiting for more to join" in found["log"]
    assert "published houses v000001" in found["log"]
    assert Registry.open(place.registry).domains() == ("houses",)
    assert found["most_nodes"] >= 1
    assert running.gpu_nodes() == 0
    # The head has no GPU: test sentences are read where the prompt learned.
    assert f"test: {place.backbone.removesuffix('tiny')}train.conll" in found["log"]
    tasks = running.ask("/api/v0/tasks", limit="1000", detail="1").json()["data"]["result"]["result"]
    [last] = [task for task in tasks if task["name"] == "_on_gpu"]
    assert (last["state"], last["required_resources"]) == ("FINISHED", {"CPU": 1.0, "GPU": 1.0})


def test_the_service_brings_nodes_with_its_load_and_none_stays(running: Elastic, place: Place) -> None:
    found = autoscaling.serving(running, place, clients=12, most=2)
    assert found["nodes_at_rest"] == 1
    assert found["most_nodes"] == 2
    assert set(found["statuses"]) == {"200"}
    assert running.gpu_nodes() == 0
