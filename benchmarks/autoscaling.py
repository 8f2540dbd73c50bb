"""Times of Ray's autoscaler from no nodes to some and back, for a tuning job and for the service under load.

    python -m benchmarks.autoscaling --out FILE.json

One machine: nodes are raylets with a logical GPU each (`elastic.py`), so times are those of Ray's decisions, of
starting its processes and of loading the embedded backbone. A cloud adds the time to start a machine.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from benchmarks import report
from benchmarks.elastic import Elastic, Watch, cluster, submit
from lightner.jobs.on_ray import local

# Ray Train requests its nodes for three minutes at a time; the request of a stopped trial keeps them until then.
PATIENCE_S = 300.0
IDLE_S = 15.0
# Too short to learn much, so that the time measured is that of starting and stopping nodes.
PIN = "{steps: 24, rounds: 2}"


@dataclass(frozen=True, slots=True)
class Place:
    """The job and the service: the words of a `lightner` command, and the service's settings."""

    tune: tuple[str, ...]
    registry: str
    domain: str
    text: str
    backbone: str | None = None


def main(given: Sequence[str] | None = None) -> None:
    """Run both, print and write one JSON file."""
    parser = report.parser(__doc__)
    options = parser.parse_args(given)
    with tempfile.TemporaryDirectory() as folder, cluster(most=3, idle_s=IDLE_S) as elastic:
        place = _recipes(Path(folder))
        found = {"idle_timeout_s": IDLE_S, **report.circumstances(), "tuning": tuning(elastic, place)}
        found["service"] = serving(elastic, place, clients=24, most=3)
    report.print_and_write(found, options.out)


def tuning(elastic: Elastic, place: Place) -> dict[str, Any]:
    """Submit the tuning job to an empty cluster; seconds since then, and the job's exit status and log."""
    with Watch(elastic) as watch:
        watch.wait_for(0, within_s=PATIENCE_S)
        began = watch.now_s()
        done = submit(elastic, [*place.tune, "--gpu"])
        ended = watch.now_s()
        emptied = watch.wait_for(0, within_s=PATIENCE_S)
    first = next((at for at, nodes in watch.changes if nodes), None)
    return {
        "status": done.returncode,
        "log": done.stdout + done.stderr,
        "most_nodes": max(nodes for _, nodes in watch.changes),
        "first_node_s": None if first is None else round(first - began, 1),
        "job_s": round(ended - began, 1),
        "empty_after_job_s": round(emptied - ended, 1),
    }


def serving(elastic: Elastic, place: Place, *, clients: int, most: int) -> dict[str, Any]:
    """Deploy the service on an empty cluster, load it, leave it idle, remove it; seconds of each step."""
    config = serve_config(place, most=most)
    url = f"http://127.0.0.1:{config['http_options']['port']}"
    path = "/api/serve/applications/"
    bearer = {"Authorization": f"Bearer {elastic.token}"}
    steps: dict[str, Any] = {}
    with Watch(elastic) as watch:
        watch.wait_for(0, within_s=PATIENCE_S)
        began = watch.now_s()
        httpx.put(f"{elastic.head.dashboard}{path}", json=config, headers=bearer, timeout=60).raise_for_status()
        _until(lambda: _answers(f"{url}/readyz"), "the service did not come up")
        steps["first_answer_s"] = round(watch.now_s() - began, 1)
        steps["nodes_at_rest"] = watch.changes[-1][1]
        began = watch.now_s()
        with _Load(url, place, clients) as load:
            _until(lambda: replicas(elastic) >= most, "the service did not scale up")
            steps["all_replicas_s"] = round(watch.now_s() - began, 1)
        began = watch.now_s()
        _until(lambda: replicas(elastic) == 1, "the service did not scale down")
        steps["back_to_one_replica_s"] = round(watch.now_s() - began, 1)
        began = watch.now_s()
        httpx.delete(f"{elastic.head.dashboard}{path}", headers=bearer, timeout=60).raise_for_status()
        watch.wait_for(0, within_s=PATIENCE_S)
        steps["empty_after_removal_s"] = round(watch.now_s() - began, 1)
    return {**steps, "most_nodes": max(nodes for _, nodes in watch.changes), "statuses": load.statuses()}


def serve_config(place: Place, *, most: int) -> dict[str, Any]:
    """serve/config.yaml with a GPU per replica and one to `most` replicas, which start and stop within seconds."""
    config: dict[str, Any] = yaml.safe_load((report.CHECKOUT / "serve" / "config.yaml").read_text(encoding="utf-8"))
    config["http_options"] |= {"host": "127.0.0.1", "port": local.free_ports(1)[0]}
    config["proxy_location"] = "HeadOnly"  # all nodes are on this machine, with one port
    (application,) = config["applications"]
    application["args"] |= {"registry": place.registry, "backbone": place.backbone, "num_gpus": 1, "device": "cpu"}
    for deployment in application["deployments"]:
        if deployment["name"] == "Backbone":
            deployment.pop("num_replicas", None)
            deployment["max_surge_percent"] = 0
            deployment["autoscaling_config"] = {
                "min_replicas": 1, "max_replicas": most, "target_ongoing_requests": 2, "upscale_delay_s": 2,
                "downscale_delay_s": 5, "look_back_period_s": 3, "metrics_interval_s": 1,
            }  # fmt: skip
    return config


def replicas(elastic: Elastic) -> int:
    """Running replicas of the backbone."""
    found = elastic.ask("/api/serve/applications/").json()["applications"].get("lightner", {})
    rows = found.get("deployments", {}).get("Backbone", {}).get("replicas", [])
    return sum(row["state"] == "RUNNING" for row in rows)


class _Load:
    """Clients that send requests one after the other; a lifetime, used by `with`."""

    def __init__(self, url: str, place: Place, clients: int) -> None:
        self._url, self._place = f"{url}/v1/domains/{place.domain}/entities", place
        self._over = threading.Event()
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(clients)]

    def __enter__(self) -> _Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def statuses(self) -> dict[str, int]:
        """The number of requests by status."""
        return dict(sorted(self._counts.items()))

    def _ask(self) -> None:
        with httpx.Client(timeout=120) as client:
            while not self._over.is_set():
                try:
                    status = str(client.post(self._url, json={"texts": [self._place.text] * 8}).status_code)
                except httpx.HTTPError as error:
                    status = type(error).__name__
                with self._lock:
                    self._counts[status] = self._counts.get(status, 0) + 1


def _recipes(folder: Path) -> Place:
    registry = str(folder / "registry")
    words = ("tune", "--domain", "recipes", "--train", str(report.EXAMPLE / "train.conll"))
    pin = folder / "pin.yaml"
    pin.write_text(PIN, encoding="utf-8")
    words += (
        "--pin",
        str(pin),
        "--registry",
        registry,
        "--storage",
        str(folder / "runs"),
        "--lengths",
        "8",
        "--rates",
        "0.001",
    )
    return Place(words, registry, "recipes", "Whisk 150 g of sugar with two eggs in a copper bowl for five minutes.")


def _until(holds: Any, why_not: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(why_not)
        time.sleep(0.3)


def _answers(url: str) -> bool:
    try:
        return bool(httpx.get(url, timeout=5).status_code == httpx.codes.OK)
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    main()
