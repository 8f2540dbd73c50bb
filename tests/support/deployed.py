"""The service deployed on a real Ray from serve/config.yaml, and its metrics."""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import yaml

from lightner.jobs.on_ray import local
from tests.conftest import free_port
from tests.support.paths import CHECKOUT
from tests.support.serving import Place

CONFIG = CHECKOUT / "serve" / "config.yaml"
PATIENCE_S = 180.0
ADMIN, READ = "admin key", "read key"
PREFIX = "/team/ner"


class Service:
    """A deployed service, its place, and its way back to Ray."""

    def __init__(self, ray: local.Head, place: Place) -> None:
        self.place = place
        self.config = yaml.safe_load(CONFIG.read_text())
        self.config["http_options"] |= {"host": "127.0.0.1", "port": free_port()}
        (application,) = self.config["applications"]
        application["args"] |= {"registry": place.registry.url, "backbone": str(place.folder)}
        application["runtime_env"] = {"env_vars": {"LIGHTNER_ADMIN_KEY": ADMIN}}
        self.limits: dict[str, dict[str, float]] = application["deployments"][0]["user_config"]
        self.limits["prompts"]["alias_ttl_s"] = 0.5
        self.limits["prompts"]["patience_s"] = 10
        self._dashboard = ray.dashboard
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.config['http_options']['port']}", timeout=60)

    def deploy(self) -> None:
        """Do the same as `serve deploy`; returns when all deployments run."""
        answer = httpx.put(f"{self._dashboard}/api/serve/applications/", json=self.config, timeout=60)
        assert answer.status_code == 200, answer.text
        names = [each["name"] for each in self.config["applications"]]
        wait_until(
            lambda: all(self.application(name)["status"] == "RUNNING" for name in names),
            lambda: [self.application(name).get("message") for name in names],
        )

    def add_below_prefix(self) -> None:
        """A second application over the same place, at PREFIX, that requires the key READ."""
        second = copy.deepcopy(self.config["applications"][0])
        second |= {"name": "keyed", "route_prefix": PREFIX, "runtime_env": {"env_vars": {"LIGHTNER_READ_KEY": READ}}}
        second["args"]["num_cpus"] = 0.1
        self.config["applications"].append(second)

    def application(self, name: str = "lightner") -> dict[str, Any]:
        found = httpx.get(f"{self._dashboard}/api/serve/applications/", timeout=60).json()
        application: dict[str, Any] = found["applications"][name]
        return application

    def backbone_pid(self) -> int:
        """The process id of the running replica, or 0 without one."""
        replicas = self.application()["deployments"]["Backbone"]["replicas"]
        return next((int(replica["pid"]) for replica in replicas if replica["state"] == "RUNNING"), 0)

    def delete(self) -> None:
        self.http.close()
        httpx.delete(f"{self._dashboard}/api/serve/applications/", timeout=60)

    def figure(self, name: str) -> float:
        """Of all replicas, at `/metrics`; 0 where nothing has been counted."""
        lines = self.http.get("/metrics").raise_for_status().text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if re.match(rf"{name}[ {{]", line))

    def ask(self, domain: str, *texts: str) -> httpx.Response:
        return self.http.post(f"/v1/domains/{domain}/entities", json={"texts": texts})


@dataclass(frozen=True)
class Sample:
    """A line of the Prometheus text format."""

    name: str
    labels: dict[str, str]
    value: float


def read_samples(text: str) -> Iterator[Sample]:
    for line in text.splitlines():
        if match := re.fullmatch(r"(\w+)\{(.*)\} (\S+)( \d+)?", line):
            labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2]))
            yield Sample(match[1], labels, float(match[3]))


def wait_until(holds: Callable[[], bool], why_not: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, why_not()
        time.sleep(0.3)
