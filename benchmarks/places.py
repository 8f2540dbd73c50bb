"""Surroundings for measuring the service: domains made from one tuned prompt, an S3 server, a deployed service.

Everything started here is private, and is stopped here by its process id.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import torch
import yaml

from benchmarks import report
from benchmarks.decoding import learned
from lightner.data.formats import read
from lightner.jobs.on_ray import local
from lightner.jobs.publish import bare, with_drafts
from lightner.model.backbone import Backbone
from lightner.store import artifact as artifacts
from lightner.store.artifact import PromptArtifact
from lightner.tuning.training import folded_tensors

JITTER = 1e-3
START_S = 240
BUCKET = "lightner"
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "benchmark", "AWS_SECRET_ACCESS_KEY": "benchmark", "AWS_REGION": "us-east-1"}


@cache
def texts() -> list[str]:
    """The test sentences of examples/recipes, as plain texts."""
    return [" ".join(sentence.words) for sentence in read(report.EXAMPLE / "test.conll")]


def name(number: int) -> str:
    """The name of a domain."""
    return f"domain-{number:04d}"


def tuned(base: Backbone, folder: Path, *, steps: int) -> PromptArtifact:
    """A prompt tuned for some steps on examples/recipes; cached in `folder`."""
    place = folder / "tuned"
    if not place.exists():
        model = learned(base, steps=steps)
        sentences = read(report.EXAMPLE / "train.conll")
        made = bare(name(0), base, model.labels, folded_tensors(model), sentences=sentences)
        artifacts.save(with_drafts(base, made, sentences), place)
    return artifacts.load(place)


def variant(original: PromptArtifact, number: int, *, version: int = 0) -> PromptArtifact:
    """The prompt of domain `number`: the original with a little noise, so that it differs at the same cost."""
    generator = torch.Generator().manual_seed(1000 * number + version)
    tensors = {
        key: array + (JITTER * torch.randn(array.shape, generator=generator)).numpy().astype(array.dtype)
        for key, array in original.tensors.items()
    }
    return PromptArtifact(replace(original.card, domain=name(number)), tensors)


@contextmanager
def object_store(folder: Path) -> Iterator[int]:
    """Run a moto S3 server with an empty bucket; yields its port. The environment points to it."""
    (port,) = local.free_ports(1)
    with (folder / "moto.log").open("wb") as log:
        server = subprocess.Popen(
            [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)],
            stdout=log,
            stderr=log,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        os.environ.update({**_CREDENTIALS, "AWS_ENDPOINT_URL": url})
        _wait_for_http(url)
        with urllib.request.urlopen(urllib.request.Request(f"{url}/{BUCKET}", method="PUT"), timeout=30):
            pass
        yield port
    finally:
        server.kill()
        server.wait()


@dataclass(frozen=True)
class Service:
    """A deployed service: its address, and its configuration, which `deploy` sends again."""

    url: str
    dashboard: str
    config: dict[str, Any]

    @property
    def user_config(self) -> dict[str, Any]:
        """The backbone's `user_config`; change it, then `deploy`."""
        found: dict[str, Any] = self.config["applications"][0]["deployments"][0]["user_config"]
        return found

    def deploy(self) -> None:
        """Deploy; returns when all deployments run."""
        answer = httpx.put(f"{self.dashboard}/api/serve/applications/", json=self.config, timeout=60)
        answer.raise_for_status()
        deadline = time.monotonic() + START_S
        while (status := self.application().get("status")) != "RUNNING":
            if status == "DEPLOY_FAILED" or time.monotonic() > deadline:
                raise RuntimeError(f"the service did not start: {self.application()}")
            time.sleep(0.5)

    def application(self) -> Mapping[str, Any]:
        """Ray's status of the application."""
        found = httpx.get(f"{self.dashboard}/api/serve/applications/", timeout=60).json()
        application: Mapping[str, Any] = found["applications"].get("lightner", {})
        return application

    def backbone_pid(self) -> int:
        """The process id of the running replica, or 0 without one."""
        replicas = self.application()["deployments"]["Backbone"]["replicas"]
        return next((int(each["pid"]) for each in replicas if each["state"] == "RUNNING"), 0)


@contextmanager
def service(registry: str, *, gpus: int = 0) -> Iterator[Service]:
    """Run serve/config.yaml on a private Ray, with this registry and the embedded backbone, on a CPU or on GPUs."""
    config = yaml.safe_load((report.CHECKOUT / "serve" / "config.yaml").read_text(encoding="utf-8"))
    (port,) = local.free_ports(1)
    config["http_options"] |= {"host": "127.0.0.1", "port": port}
    (application,) = config["applications"]
    application["args"] |= {"registry": registry, "num_gpus": gpus}
    application["runtime_env"] = {"env_vars": {"PYTHONPATH": str(report.CHECKOUT), "OMP_NUM_THREADS": "1"}}
    head = local.start()
    try:
        running = Service(f"http://127.0.0.1:{port}", head.dashboard, config)
        running.deploy()
        yield running
    finally:
        local.stop(head)


def _wait_for_http(url: str) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.HTTPError as error:
            error.close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
