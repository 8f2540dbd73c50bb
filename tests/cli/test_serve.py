"""`lightner serve`: mistakes before a Ray is started. The test of the wheel really serves."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lightner.cli import main
from lightner.jobs.on_ray import local
from lightner.service import single_machine
from lightner.service.settings import Settings
from lightner.types import InputError
from tests.support.serving import prepare


def test_mistakes_are_one_line_and_start_no_ray(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "start", lambda **_: pytest.fail("a Ray was started"))
    registry = prepare(tmp_path).registry.url
    capsys.readouterr()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = str(taken.getsockname()[1])
        for words, said in (
            (["--registry", str(tmp_path / "registyr")], f"found no folder {tmp_path}/registyr"),
            (["--registry", registry, "--port", number], f"--port {number}: found 'Address already in use'"),
            (["--registry", registry, "--port", "70000"], "--port 70000: found"),
            (["--registry", registry, "--host", "192.0.2.1"], "--host 192.0.2.1 --port 8000: found"),
            (["--registry", registry, "--dtype", "int8"], "--dtype: found 'int8', expected one of"),
        ):
            assert main(["serve", *words]) == 2
            [line] = capsys.readouterr().err.splitlines()
            assert line.startswith("error: ")
            assert said in line


def test_a_ray_that_does_not_start_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(**_: object) -> local.Head:
        raise RuntimeError("Ray did not start; the end of its log:\nno room")

    monkeypatch.setattr(local, "start", start)
    assert main(["serve", "--registry", prepare(tmp_path).registry.url, "--port", "0"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "error: Ray did not start; the end of its log: no room"


def test_refusals_of_the_service_are_distinguished_from_failures() -> None:
    application = {"status": "DEPLOY_FAILED", "message": "", "deployments": {"Backbone": {"message": (
        'Traceback (most recent call last):\n  File "replica.py", line 3, in __init__\n'
        "lightner.types.InputError: backbone 'x': found no loadable model\n"
    )}}}  # fmt: skip
    with pytest.raises(InputError, match=r"^backbone 'x': found no loadable model$"):
        single_machine._refuse(single_machine._messages(application))
    with pytest.raises(single_machine.NotStarted, match="MemoryError"):
        single_machine._refuse("Traceback ...\nMemoryError")


def test_the_configuration_is_valid_for_ray() -> None:
    from ray.serve.schema import ServeDeploySchema

    settings = Settings(registry="/prompts", num_cpus=2)
    config = single_machine.configuration(settings, host="127.0.0.1", port=8001, variables={"A": "b"})
    parsed = ServeDeploySchema(**config)
    [application] = parsed.applications
    assert Settings.model_validate(application.args) == settings
    assert (parsed.http_options.port, application.import_path) == (8001, "lightner.service.app:build")
    assert application.runtime_env == {"env_vars": {"A": "b"}}


class Busy(BaseHTTPRequestHandler):
    """A dashboard that answers the first request too late, and then says what the service is like."""

    late = 1.0

    def do_PUT(self) -> None:
        late, Busy.late = Busy.late, 0.0
        time.sleep(late)
        self._answer({})

    def do_GET(self) -> None:
        if self.path == "/readyz":
            self.send_error(503)
            return
        self._answer({"applications": {"lightner": {"status": "DEPLOY_FAILED", "message": "MemoryError"}}})

    def _answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        with suppress(BrokenPipeError):
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_a_busy_dashboard_is_asked_again_and_a_silent_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        port = server.server_address[1]
        dashboard = single_machine.Dashboard(f"http://127.0.0.1:{port}", timeout_s=0.2)
        config = single_machine.configuration(Settings(registry="/nowhere"), host="127.0.0.1", port=port, variables={})
        with pytest.raises(single_machine.NotStarted, match="MemoryError"):
            single_machine.deploy(dashboard, config, alive=lambda: True)
        server.shutdown()
        thread.join()
    with pytest.raises(single_machine.NotStarted, match=r"Ray's dashboard does not answer \(.*refused"):
        single_machine.deploy(dashboard, config, alive=lambda: False)
