"""A Ray cluster on one machine whose real autoscaler adds and removes nodes with a (logical) GPU each.

The autoscaler is Ray's own, version 2; the nodes are raylets on this machine that its test provider starts. All parts
require the token. Own ports, own folder; other Rays on the machine stay untouched.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID

from benchmarks import report
from lightner.jobs import devices
from lightner.jobs.on_ray import local

START_S = 120
_PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
_EMPTY = ("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands")
_EMPTY += ("head_start_ray_commands", "worker_start_ray_commands", "cluster_synced_files", "rsync_exclude")
_EMPTY += ("rsync_filter",)


@dataclass(frozen=True, slots=True)
class Elastic:
    """A running cluster: the addresses for jobs and for the health of the head's agent, and the token.

    `command`: the command that runs `lightner` on its nodes.
    """

    head: local.Head
    agent: str
    token: str
    command: tuple[str, ...]

    def environment(self, *, token: str | None = None) -> dict[str, str]:
        """Variables for commands that use the cluster; another token, or "" for no token, may be given.

        With "" the token in the home folder, which Ray writes when it is started by hand, is not used either.
        """
        own = {name: value for name, value in local.environment().items() if not name.startswith("RAY_AUTH")}
        given = self.token if token is None else token
        return {
            **own,
            "RAY_AUTH_MODE": "token",
            **({"RAY_AUTH_TOKEN": given} if given else {"HOME": str(self.head.folder)}),
        }

    def ask(self, path: str, **parameters: str) -> httpx.Response:
        """The dashboard's answer."""
        bearer = {"Authorization": f"Bearer {self.token}"}
        return httpx.get(f"{self.head.dashboard}{path}", headers=bearer, params=parameters, timeout=30)

    def gpu_nodes(self) -> int:
        """The number of living nodes with a GPU."""
        rows = self.ask("/api/v0/nodes", limit="1000", detail="1").json()["data"]["result"]["result"]
        return sum(row["state"] == "ALIVE" and row["resources_total"].get("GPU", 0) > 0 for row in rows)


@contextlib.contextmanager
def cluster(*, most: int, idle_s: float, cpus: int = 2, python: Path | None = None) -> Iterator[Elastic]:
    """Start a head without CPUs and up to `most` nodes of one GPU and `cpus` CPUs, stopped when idle for `idle_s`.

    Nodes run this process's Python and this checkout; or `python`, an environment in which the wheel is installed.

    Raises:
        RuntimeError: the head did not start; the message holds the end of its log.
    """
    folder = Path(tempfile.mkdtemp(prefix="lne-", dir="/tmp"))
    token = secrets.token_hex(32)
    ports = local.free_ports(7)
    address = f"{own_address()}:{ports[0]}"
    config = folder / "autoscaler.json"
    config.write_text(json.dumps(_autoscaler(address, most=most, idle_s=idle_s, cpus=cpus)), encoding="utf-8")
    log = folder / "start.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            _command(folder, config, ports, python=python), env=_environment(folder, token, python),
            stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True,
            preexec_fn=local.end_with_parent,
        )  # fmt: skip
    dashboard, agent = (f"http://127.0.0.1:{port}" for port in ports[1:3])
    command = ("lightner",) if python else (sys.executable, "-m", "lightner")
    made = Elastic(local.Head(address, dashboard, folder, process), agent, token, command)
    try:
        _wait(made, log)
        yield made
    finally:
        local.stop(made.head)


class Watch:
    """Records the number of living GPU nodes every half second from its start; a lifetime, used by `with`."""

    def __init__(self, elastic: Elastic) -> None:
        self._elastic = elastic
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._began = time.monotonic()
        self.changes: list[tuple[float, int]] = []
        """Seconds since the start, and the number of nodes from then on."""

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def now_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def wait_for(self, nodes: int, *, within_s: float) -> float:
        """Seconds from the start until the last time when the number of nodes became this one.

        Raises:
            TimeoutError: it never did; the message has the changes.
        """
        deadline = time.monotonic() + within_s
        while not self.changes or self.changes[-1][1] != nodes:
            if time.monotonic() > deadline:
                raise TimeoutError(f"expected {nodes} GPU nodes, found (seconds, nodes) {self.changes}")
            time.sleep(0.2)
        return self.changes[-1][0]

    def _look(self) -> None:
        while not self._over.wait(0.5):
            with contextlib.suppress(httpx.HTTPError):
                found = self._elastic.gpu_nodes()
                if not self.changes or self.changes[-1][1] != found:
                    self.changes.append((self.now_s(), found))


def submit(elastic: Elastic, words: Sequence[str], *, token: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run `ray job submit -- lightner ...`; returns when the job has ended.

    Without a working directory: all nodes would unpack it to the same folder of this machine, over each other's.
    """
    command = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit", "--address", elastic.head.dashboard]
    return subprocess.run(
        [*command, "--", *elastic.command, *words],
        cwd=report.CHECKOUT, env=elastic.environment(token=token), capture_output=True, text=True, timeout=500,
    )  # fmt: skip


def own_address() -> str:
    """This machine's address, by which nodes of Ray's test provider register, instead of the loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])
    return "127.0.0.1"


def _autoscaler(address: str, *, most: int, idle_s: float, cpus: int) -> dict[str, object]:
    provider = {
        "type": "external", "module": _PROVIDER, "gcs_address": address, "head_node_id": FAKE_HEAD_NODE_ID,
        "use_node_id_as_ip": True, "disable_node_updaters": True, "disable_launch_config_check": True,
        "launch_multiple": True,
    }  # fmt: skip
    worker = {"CPU": cpus, "GPU": 1, "object_store_memory": 100_000_000}
    return {
        "cluster_name": "elastic", "max_workers": most, "provider": provider, "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "gpu": {"resources": worker, "node_config": {}, "min_workers": 0, "max_workers": most},
        },
        "idle_timeout_minutes": idle_s / 60, "upscaling_speed": 1.0, "auth": {}, "docker": {}, "file_mounts": {},
        "file_mounts_sync_continuously": False, **{name: [] for name in _EMPTY},
    }  # fmt: skip


def _command(folder: Path, config: Path, ports: Sequence[int], *, python: Path | None) -> list[str]:
    names = ("port", "dashboard-port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port")
    names += ("metrics-export-port", "ray-client-server-port", "runtime-env-agent-port")
    flags = [f"--{name}={port}" for name, port in zip(names, ports, strict=True)]
    command = [
        str(python or sys.executable),
        "-m",
        "ray.scripts.scripts",
        "start",
        "--head",
        "--block",
        "--num-cpus=0",
        "--num-gpus=0",
    ]
    return [
        *command, *flags, f"--temp-dir={folder}", f"--autoscaling-config={config}", "--dashboard-host=127.0.0.1",
        "--object-store-memory=150000000", "--disable-usage-stats",
    ]  # fmt: skip


def _environment(folder: Path, token: str, python: Path | None) -> dict[str, str]:
    own = dict(local.environment())
    before = own.pop("PYTHONPATH", "")
    if python is None:
        own["PYTHONPATH"] = os.pathsep.join([str(report.CHECKOUT), *filter(None, [before])])
    else:
        own["PATH"] = f"{python.parent}{os.pathsep}{own['PATH']}"
    return {
        **own, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "RAY_TMPDIR": str(folder),
        "RAY_FAKE_CLUSTER": "1", "RAY_enable_autoscaler_v2": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        devices.LOGICAL: "1",
        "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID, "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID,
    }  # fmt: skip


def _wait(elastic: Elastic, log: Path) -> None:
    """Return once the dashboard answers about nodes: it starts last."""
    deadline = time.monotonic() + START_S
    while True:
        with contextlib.suppress(httpx.HTTPError, KeyError, TypeError, ValueError):
            if elastic.gpu_nodes() == 0:
                return
        if elastic.head.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Ray did not start; the end of its log:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.5)
