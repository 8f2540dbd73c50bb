"""`lightner teach`: mistakes before a Ray is started, and what it opens. tests/service/test_teaching_ray.py teaches."""

from __future__ import annotations

import os
import socket
import webbrowser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from lightner.cli import main, teach
from lightner.jobs.on_ray import local
from lightner.service.settings import Settings

KEY = "LIGHTNER_ADMIN_KEY"


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "")  # so that it is taken away again after the test
    monkeypatch.delenv(KEY)


def test_mistakes_are_one_line_and_start_no_ray(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "start", lambda **_: pytest.fail("a Ray was started"))
    (tmp_path / "file").write_text("")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = str(taken.getsockname()[1])
        for words, said in (
            (["--registry", str(tmp_path / "file")], f"found the file {tmp_path}/file, expected a folder"),
            (
                ["--registry", str(tmp_path / "new"), "--port", number],
                f"--port {number}: found 'Address already in use'",
            ),
            (["--registry", str(tmp_path / "new"), "--host", "192.0.2.1"], "--host 192.0.2.1 --port 8000: found"),
        ):
            assert main(["teach", *words]) == 2
            [line] = capsys.readouterr().err.splitlines()
            assert line.startswith("error: ")
            assert said in line


def test_a_key_that_no_header_can_hold_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, " padded")
    assert main(["teach", "--registry", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert KEY in said
    assert "padded" not in said


@pytest.mark.parametrize("given", [None, "of my own"])
def test_the_browser_is_opened_with_the_key_that_the_service_gets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    if given:
        monkeypatch.setenv(KEY, given)
    opened: list[str] = []
    served: list[Settings] = []

    def serve(settings: Settings, *, ready: Any, **_: Any) -> None:
        served.append(settings)
        ready("http://127.0.0.1:8000")

    monkeypatch.setattr(teach, "serve_here", serve)
    monkeypatch.setattr(webbrowser, "open", opened.append)
    words = ["teach", "--registry", str(tmp_path / "new"), "--storage", str(tmp_path / "runs")]
    assert main(words) == 0
    key = os.environ[KEY]
    assert key == given or (given is None and len(key) >= 24)
    assert opened == [f"http://127.0.0.1:8000/teach#key={quote(key)}"]
    assert capsys.readouterr().out == f"{opened[0]}\n"
    [settings] = served
    assert settings.tuning is not None
    assert (settings.registry, settings.tuning.storage) == (str(tmp_path / "new"), str(tmp_path / "runs"))
    assert (tmp_path / "new").is_dir()
    assert main([*words, "--no-browser"]) == 0
    assert len(opened) == 1
