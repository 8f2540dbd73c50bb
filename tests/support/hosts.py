"""Several hosts on one machine: Ray nodes, each in a network namespace on one bridge, which can be cut off.

Needs root. Every name contains this process's id, and everything is removed again.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from lightner.jobs.on_ray import local
from tests.support.paths import CHECKOUT

PORT, DASHBOARD = 6379, 8265
PATIENCE_S = 120
# A worker's `ray start` was once seen to say nothing for two minutes after its address; it is then started anew.
JOIN_WITHIN_S, JOIN_ATTEMPTS = 60, 3
# A lost host is noticed after about four seconds rather than a minute; a busy machine may take long to start a node.
SETTINGS = {
    "RAY_raylet_start_wait_time_s": "120",
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "4",
}


@dataclass(frozen=True, slots=True)
class Host:
    """A network namespace with its address."""

    name: str
    cable: str
    address: str

    def cut_off(self) -> None:
        """Pull the cable: packets are lost, and no side is notified."""
        ip("link", "set", self.cable, "down")


class Hosts:
    """A head without CPUs and workers of `cpus` each, one host each; a lifetime, used by `with`."""

    def __init__(self, *, workers: int, cpus: int = 2) -> None:
        self._cpus = cpus
        self._key = f"ln{os.getpid() % 100_000}"
        self._subnet = f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
        self.head, *self.workers = [self._host(number) for number in range(workers + 1)]
        self._token = secrets.token_hex(16)
        self._folder = Path(tempfile.mkdtemp(prefix="lnh-", dir="/tmp"))
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Hosts:
        try:
            ip("link", "add", self._key, "type", "bridge")
            ip("addr", "add", f"{self._subnet}.1/24", "dev", self._key)
            ip("link", "set", self._key, "up")
            for host in (self.head, *self.workers):
                self._wire(host)
            common = ["--disable-usage-stats", "--object-store-memory=100000000"]
            head = ["--head", f"--port={PORT}", "--num-cpus=0", "--dashboard-host=0.0.0.0", *common]
            self._start(self.head, *head, f"--temp-dir={self._folder}")
            assert self._up(1, PATIENCE_S), self._logs()
            # One after the other: they share a folder, where each takes the next free name for its socket.
            for number, host in enumerate(self.workers, start=2):
                flags = [f"--address={self.head.address}:{PORT}", f"--num-cpus={self._cpus}", *common]
                assert self._join(host, flags, number), self._logs()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._running):
            process.send_signal(signal.SIGTERM)
        for process in self._running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=15)
        for host in (*self.workers, self.head):
            _kill_all(host)
            # The cable first: it would otherwise go some time after its namespace.
            subprocess.run(["ip", "link", "del", host.cable], capture_output=True)
            subprocess.run(["ip", "netns", "del", host.name], capture_output=True)
        for process in self._running:
            process.wait()
        subprocess.run(["ip", "link", "del", self._key], capture_output=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def dashboard(self) -> str:
        return f"http://{self.head.address}:{DASHBOARD}"

    def environment(self) -> dict[str, str]:
        """Environment variables for commands that use the cluster, and for its nodes."""
        path = os.pathsep.join([str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])])
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self._token}
        return {**local.environment(), **token, **SETTINGS, "PYTHONPATH": path}

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """The dashboard's answer."""
        bearer = {"Authorization": f"Bearer {self._token}"}
        return httpx.request(method, f"{self.dashboard}{path}", headers=bearer, timeout=60, **more)

    def list_state(self, kind: str) -> list[dict[str, Any]]:
        """Rows of Ray's state: nodes or actors."""
        answer = self.request("GET", f"/api/v0/{kind}", params={"limit": "1000", "detail": "1"}).json()
        rows: list[dict[str, Any]] = answer["data"]["result"]["result"]
        return rows

    def host_of(self, actor: str) -> Host | None:
        """The host of a living actor of that class, if any."""
        addresses = {row["node_id"]: row["node_ip"] for row in self.list_state("nodes")}
        for row in self.list_state("actors"):
            if row["state"] == "ALIVE" and row["class_name"].endswith(actor):
                return next((host for host in self.workers if host.address == addresses.get(row["node_id"])), None)
        return None

    def alive(self) -> int:
        return sum(row["state"] == "ALIVE" for row in self.list_state("nodes"))

    def _host(self, number: int) -> Host:
        return Host(f"{self._key}h{number}", f"{self._key}v{number}", f"{self._subnet}.{number + 2}")

    def _wire(self, host: Host) -> None:
        ip("netns", "add", host.name)
        ip("link", "add", host.cable, "type", "veth", "peer", "name", "eth0", "netns", host.name)
        ip("link", "set", host.cable, "master", self._key, "up")
        ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            ip("-n", host.name, "link", "set", device, "up")

    def _start(self, host: Host, *flags: str) -> None:
        command = ["ip", "netns", "exec", host.name, sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
        with (self._folder / f"{host.name}.log").open("wb") as log:
            self._running.append(
                subprocess.Popen(
                    [*command, f"--node-ip-address={host.address}", *flags],
                    env=self.environment(),
                    stdout=log,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                    preexec_fn=local.end_with_parent,
                )
            )

    def _join(self, host: Host, flags: Sequence[str], nodes: int) -> bool:
        """Start a worker, anew where it does not join in time; whether the cluster then has that many nodes."""
        for _ in range(JOIN_ATTEMPTS):
            self._start(host, *flags)
            if self._up(nodes, JOIN_WITHIN_S):
                return True
            _kill_all(host)
            self._running.pop().wait()
        return False

    def _up(self, nodes: int, within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError, KeyError, TypeError, ValueError):
                if self.alive() == nodes:
                    return True
            if any(process.poll() is not None for process in self._running):
                return False
            time.sleep(0.5)
        return False

    def _logs(self) -> str:
        """The end of what the nodes printed and wrote, the last written at the end."""
        written = [*self._folder.glob("*.log"), *self._folder.glob("session_*/logs/*.*")]
        recent = sorted(written, key=lambda each: each.stat().st_mtime)[-8:]
        return "\n".join(f"--- {each.name}\n{each.read_text(errors='replace')[-1500:]}" for each in recent)


def missing() -> str:
    """The reason why no hosts can be made here; "" if they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "found no `ip`, expected iproute2"
    name = f"ln{os.getpid() % 100_000}t"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    subprocess.run(["ip", "netns", "del", name], capture_output=True)
    return f"this machine allows no network namespaces: {tried.stderr.strip()}" if tried.returncode else ""


def _kill_all(host: Host) -> None:
    for pid in _words("ip", "netns", "pids", host.name):
        with contextlib.suppress(OSError):
            os.kill(int(pid), signal.SIGKILL)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _words(*command: str) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True).stdout.split()
