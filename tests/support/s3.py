"""A real S3 server over HTTP, which can be made to misbehave: moto in this process, or another one behind this proxy.

Requests are served one at a time, as moto's check of a condition and its write are not atomic otherwise.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol
from urllib.request import Request, urlopen

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
Environ = dict[str, Any]
Fault = Callable[[str, str], bool]


class Backend(Protocol):
    """Another server, as a WSGI application that passes requests on."""

    keys: Mapping[str, str]

    def create_bucket(self, name: str) -> None: ...

    def __call__(self, environ: Environ, start: Any) -> Iterable[bytes]: ...


class S3Server:
    """The server's address and its faults.

    `fails` selects requests that are refused with 503, `loses_answer` those that are carried out and yet answered with
    503; `ignores_conditions` drops If-Match and If-None-Match, as older servers do;
    `compares_bare_tags` takes ETags in If-Match without quotes only, as Ceph's RadosGW 16 does. `listed` counts the
    objects that listings have named.
    """

    def __init__(self, host: str = "127.0.0.1", *, behind: Backend | None = None) -> None:
        self.behave()
        self.listed = 0
        self._behind = behind
        self._application = behind or DomainDispatcherApplication(create_backend_app)
        self.environment = {**(behind.keys if behind else ENVIRONMENT), "AWS_REGION": ENVIRONMENT["AWS_REGION"]}
        self._turn = threading.Lock()
        self._server = make_server(host, 0, self._answer, threaded=True, request_handler=_Quiet)
        self.url = f"http://{host}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def create_bucket(self, name: str) -> None:
        if self._behind:
            self._behind.create_bucket(name)
            return
        with urlopen(Request(f"{self.url}/{name}", method="PUT")):
            pass

    def behave(self) -> None:
        self.fails: Fault = _never
        self.loses_answer: Fault = _never
        self.ignores_conditions = False
        self.compares_bare_tags = False

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        request = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if self.fails(*request):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            return _unavailable(start)
        if self.ignores_conditions:
            environ = {name: value for name, value in environ.items() if name not in _CONDITIONS}
        if self.compares_bare_tags and (tag := environ.get("HTTP_IF_MATCH")):
            environ["HTTP_IF_MATCH"] = '"no match"' if tag.startswith('"') else f'"{tag}"'
        loses = self.loses_answer(*request)
        with self._turn:
            answer = list(self._application(environ, _ignore if loses else start))
        if "list-type=" in environ.get("QUERY_STRING", ""):
            self.listed += b"".join(answer).count(b"<Key>")
        return _unavailable(start) if loses else answer


_CONDITIONS = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH")


def _never(method: str, path: str) -> bool:
    return False


def _ignore(status: str, headers: list[tuple[str, str]], *rest: Any) -> None:
    pass


def _unavailable(start: Callable[..., Any]) -> list[bytes]:
    start("503 Service Unavailable", [("Content-Length", "0")])
    return [b""]


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass
