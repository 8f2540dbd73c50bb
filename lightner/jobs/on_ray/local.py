"""A private Ray head on this machine: free ports, a short temporary folder, stopped without touching others."""

from __future__ import annotations

import contextlib
import ctypes
import http
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lightner.types import InputError

PARENT = Path(__file__).resolve().parents[3]
"""The folder that this package is in: a checkout, or where packages are installed."""
_SITES = ("site-packages", "dist-packages")
_START_S = 120
_STOP_S = 20
_PORTS = (
    "port",
    "dashboard-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "metrics-export-port",
    "ray-client-server-port",
    "runtime-env-agent-port",
    "node-manager-port",
    "object-manager-port",
)
_PR_SET_PDEATHSIG = 1
_TOKEN_BYTES = 32
# Variables of other clusters. The mode is always set, or Ray would look for a token in the home folder, or make one.
_OTHERS = ("RAY_ADDRESS", "RAY_JOB_ID", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
# The last: a head that is asked to stop waits half a minute for others to take over its deployments; nobody does.
_SETTINGS = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
}


@dataclass(frozen=True)
class Head:
    """A running head: `address` for `ray.init`, `dashboard` for `ray job submit`, and what it takes to stop it.

    `token`: required of every caller; None if the head asks for no token.
    """

    address: str
    dashboard: str
    folder: Path
    process: subprocess.Popen[bytes]
    token: str | None = field(default=None, repr=False)

    @property
    def variables(self) -> Mapping[str, str]:
        """Environment variables with which a process may use this head."""
        return _authentication(self.token)

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of HTTP requests to the dashboard."""
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}


def new_token() -> str:
    """A new token for a head. Without one, everyone on this machine may run code as this user through its ports."""
    return secrets.token_hex(_TOKEN_BYTES)


def start(*, cpus: int | None = None, token: str | None = None) -> Head:
    """Start a head that ends with this process, with `cpus` CPUs (default: all of the machine).

    It asks for the `token`, if there is one.

    Raises:
        InputError: this Python is in a folder with a space.
        RuntimeError: the head did not start; the message holds the end of its log.
    """
    if " " in sys.executable:  # Ray starts its processes by unquoted paths; the head would start, and die in use
        hint = "scripts/python.sh prints one that leads there"
        raise InputError(f"this Python: found {sys.executable!r}, expected a path without spaces; {hint}")
    folder = Path(tempfile.mkdtemp(prefix="lnr-", dir="/tmp"))
    ports = free_ports(len(_PORTS))
    flags = [f"--{name}={port}" for name, port in zip(_PORTS, ports, strict=True)]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"]
    command += ["--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", f"--temp-dir={folder}", *flags]
    command += [] if cpus is None else [f"--num-cpus={cpus}"]
    log = folder / "start.log"
    with log.open("w") as output:
        process = subprocess.Popen(  # noqa: S603 - our own arguments
            command,
            env={**environment(), **_authentication(token)},
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
    head = Head(f"127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}", folder, process, token)
    try:
        _wait(head, log)
    except BaseException:
        stop(head)
        raise
    return head


def stop(head: Head) -> None:
    """Stop the head, all its processes (their command lines name the folder), and remove its folder."""
    head.process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        head.process.wait(timeout=_STOP_S)
    marker = str(head.folder).encode()
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if marker in command.read_bytes():
                os.kill(int(command.parent.name), signal.SIGKILL)
    head.process.wait()
    shutil.rmtree(head.folder, ignore_errors=True)


def environment() -> Mapping[str, str]:
    """This process's environment for a private head: no other cluster's address or token, this Python for jobs."""
    own = {name: value for name, value in os.environ.items() if name not in _OTHERS}
    own["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{own.get('PATH', '')}"
    return {**own, **_SETTINGS}


def code_path() -> dict[str, str]:
    """Variables with which other processes of this Python find this package: empty if it is installed."""
    if PARENT.name in _SITES:
        return {}
    return {"PYTHONPATH": os.pathsep.join([str(PARENT), *filter(None, [os.environ.get("PYTHONPATH")])])}


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _wait(head: Head, log: Path) -> None:
    """Return once the dashboard answers: it starts last, and jobs are submitted to it."""
    deadline = time.monotonic() + _START_S
    while not _answers(head):
        if head.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Ray did not start; the end of its log:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.5)


def _answers(head: Head) -> bool:
    request = urllib.request.Request(f"{head.dashboard}/api/version", headers=dict(head.headers))  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - our own loopback address
            return bool(answer.status == http.HTTPStatus.OK)
    except OSError:
        return False


def _authentication(token: str | None) -> dict[str, str]:
    return {"RAY_AUTH_MODE": "disabled"} if token is None else {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}


def end_with_parent() -> None:
    """For `preexec_fn`: a killed parent cannot stop its head, so the kernel sends the head the signal to end."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
