"""The real service on a real uvicorn: in a thread, or in a separate process that can be killed."""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import uvicorn
from starlette.types import ASGIApp

from tests.conftest import free_port
from tests.support.paths import CHECKOUT

PATIENCE_S = 240.0


@contextlib.contextmanager
def listening(app: ASGIApp) -> Iterator[str]:
    """Serve `app` on a port of this machine during the block; yields its address."""
    config = uvicorn.Config(app, port=0, log_level="warning", lifespan="off")
    # Bound here: a port that was only found free could be taken before the server starts.
    bound = config.bind_socket()
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([bound],), daemon=True)
    thread.start()
    deadline = time.monotonic() + PATIENCE_S
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        assert time.monotonic() < deadline, "the server did not start in time"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.force_exit = server.should_exit = True
        thread.join(PATIENCE_S)


def hold(url: str, *, key: str) -> socket.socket:
    """Send a request without its body: it takes one place at the service until it is closed."""
    host, port = url.removeprefix("http://").split(":")
    held = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
    head = f"POST /v1/entities HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nExpect: 100-continue\r\n"
    held.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n".encode())
    # Received when the service asks for the body: it is handling the request.
    assert b" 100 " in held.recv(100)
    return held


@dataclass
class Process:
    """A service in a separate process, always on the same port."""

    registry: str
    backbone: Path
    port: int = field(default_factory=free_port)
    _running: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start without waiting; `ready` waits."""
        command = [sys.executable, "-m", "tests.support.served", self.registry, str(self.backbone), str(self.port)]
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        self._running = subprocess.Popen(command, cwd=CHECKOUT, env=environment)

    def ready(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            assert self._running is not None
            assert self._running.poll() is None, "the service ended"
            assert time.monotonic() < deadline, "the service did not start in time"
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/readyz").status_code == httpx.codes.OK:
                    return
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL: connections break, nothing is finished."""
        if self._running is not None:
            self._running.kill()
            self._running.wait()
            self._running = None


def main() -> None:
    from lightner.service.middleware import Keys
    from lightner.service.replica import BackboneReplica
    from lightner.service.routes import create_app
    from lightner.service.settings import RequestLimits, Settings
    from tests.support.teaching import desk_of

    parser = argparse.ArgumentParser()
    for name in ("registry", "backbone"):
        parser.add_argument(name)
    parser.add_argument("port", type=int)
    asked = parser.parse_args()
    reader = BackboneReplica(Settings(registry=asked.registry, backbone=asked.backbone))
    app = create_app(reader, keys=Keys(None, None), limits=RequestLimits(), desk=desk_of(asked.registry, reader))
    uvicorn.run(app, port=asked.port, log_level="warning", lifespan="off")


if __name__ == "__main__":
    main()
