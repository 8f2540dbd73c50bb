"""A line to a server on this machine that can be cut and slowed. Knows nothing about its content."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress


class Line:
    """A TCP line to a server that can be cut (connections are refused or dropped) or slowed by seconds per answer."""

    def __init__(self, target_port: int) -> None:
        self.cut, self.delay_s = False, 0.0
        self._target = target_port
        self._server = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                if self.cut:
                    client.close()
                    continue
                there = socket.create_connection(("127.0.0.1", self._target))
                asked = threading.Event()
                for one, other, back in ((client, there, False), (there, client, True)):
                    threading.Thread(target=self._pass_on, args=(one, other, asked, back), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket, asked: threading.Event, back: bool) -> None:
        with suppress(OSError):
            while content := one.recv(2**16):
                if self.cut:
                    break
                if not back:
                    asked.set()
                elif asked.is_set():
                    # The first bytes of an answer; the remaining ones come at full speed.
                    asked.clear()
                    time.sleep(self.delay_s)
                other.sendall(content)
        for each in (one, other):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
