"""The service on one machine: deployed to a running Ray through its dashboard, and watched until it answers.

Knows neither how that Ray was started nor the command line; speaks HTTP and imports no Ray.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from lightner.service.settings import Settings
from lightner.types import InputError

NAME = "lightner"
_APPLICATIONS = "/api/serve/applications/"
_MISTAKE = f"{InputError.__module__}.{InputError.__qualname__}: "
_START_S = 300
_LOOK_S = 0.5


class NotStarted(RuntimeError):  # noqa: N818
    """The service did not start; the message has Ray's report."""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """The address at which a Ray takes deployments, and the headers that it requires."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 30

    def ask(self, method: str, content: object = None) -> Any:
        """The dashboard's answer about applications. Raises OSError if it does not answer."""
        body = None if content is None else json.dumps(content).encode()
        headers = {**self.headers, "content-type": "application/json"}
        request = urllib.request.Request(f"{self.url}{_APPLICATIONS}", body, headers, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=self.timeout_s) as answer:  # noqa: S310 - our own loopback address
            text = answer.read()
        return json.loads(text) if text else None


def configuration(settings: Settings, *, host: str, port: int, variables: Mapping[str, str]) -> dict[str, Any]:
    """The configuration to deploy: one replica of each deployment, with these environment variables."""
    return {
        "proxy_location": "HeadOnly",
        "http_options": {"host": host, "port": port, "request_timeout_s": settings.requests.timeout_s + 10},
        "logging_config": {"encoding": "JSON", "log_level": "INFO", "enable_access_log": False},
        "applications": [
            {
                "name": NAME,
                "route_prefix": "/",
                "import_path": "lightner.service.app:build",
                "args": settings.model_dump(mode="json"),
                "runtime_env": {"env_vars": dict(variables)},
            }
        ],
    }


def deploy(dashboard: Dashboard, config: Mapping[str, Any], *, alive: Callable[[], bool]) -> None:
    """Send the configuration; return when the service answers at its port.

    Raises:
        InputError: the service refused a setting.
        NotStarted: it failed for another reason, its Ray is no longer `alive`, or it took too long.
    """
    deadline = time.monotonic() + _START_S

    def late() -> bool:
        return not alive() or time.monotonic() > deadline

    _patient(lambda: dashboard.ask("PUT", config), late)
    options = config["http_options"]
    host = "127.0.0.1" if options["host"] == "0.0.0.0" else options["host"]  # noqa: S104
    while not _ready(f"http://{host}:{options['port']}/readyz"):
        answer = _patient(lambda: dashboard.ask("GET"), late)
        found = (answer or {}).get("applications", {}).get(NAME, {})
        if found.get("status") in ("DEPLOY_FAILED", "UNHEALTHY"):
            _refuse(_messages(found))
        if late():
            raise NotStarted(f"the service did not start: {found.get('status')} {_messages(found)}")
        time.sleep(_LOOK_S)


def _patient(ask: Callable[[], Any], late: Callable[[], bool]) -> Any:
    """An answer of the dashboard, asked again while it does not answer: on a busy machine it takes its time."""
    while True:
        try:
            return ask()
        except urllib.error.HTTPError:
            raise
        except OSError as error:
            if late():
                raise NotStarted(f"the service did not start: Ray's dashboard does not answer ({error})") from error
            time.sleep(_LOOK_S)


def _messages(application: Mapping[str, Any]) -> str:
    each = [application, *application.get("deployments", {}).values()]
    return "\n".join(filter(None, (one.get("message") for one in each)))


def _refuse(said: str) -> None:
    """Raise a replica's exception, which arrives as the text of its traceback and ends with the exception itself."""
    _, found, message = said.rpartition(_MISTAKE)
    if found:
        raise InputError(message.strip().splitlines()[0])
    raise NotStarted(f"the service did not start: {said}")


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own address
            return bool(answer.status == HTTPStatus.OK)
    except OSError:
        return False
