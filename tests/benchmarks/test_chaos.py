"""The chaos benchmark's tools: a line that can be cut and slowed, and a check that finds wrong answers."""

from __future__ import annotations

import http.server
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.chaos import SCENARIOS, Truth, options_of
from benchmarks.line import Line
from benchmarks.places import name, texts
from lightner.model import backbone
from lightner.store.registry import Registry
from lightner.types import LabelSet
from tests.support.tiny import tiny_artifact


class _Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def line() -> Iterator[Line]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hello)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    found = Line(server.server_port)
    yield found
    found.close()
    server.shutdown()
    server.server_close()
    thread.join()


def ask(line: Line) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{line.port}/", timeout=10) as answer:
        content: bytes = answer.read()
    return content


def test_a_line_passes_on_is_slowed_and_cut_and_mended(line: Line) -> None:
    assert ask(line) == b"hello"
    line.delay_s = 0.3
    began = time.monotonic()
    assert ask(line) == b"hello"
    assert time.monotonic() - began >= 0.3
    line.delay_s, line.cut = 0.0, True
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        ask(line)
    line.cut = False
    assert ask(line) == b"hello"


def test_scenarios_can_be_run_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert options_of(["--folder", "a"]).only == list(SCENARIOS)
    assert options_of(["--folder", "a", "--only", "store_down", "--seconds", "30"]).only == ["store_down"]
    with pytest.raises(SystemExit):
        options_of(["--folder", "a", "--only", "store_dwon"])
    assert "'store_down'" in capsys.readouterr().err


def test_the_judge_knows_every_versions_own_answer() -> None:
    base = backbone.load()
    original = tiny_artifact(base, name(0), labels=LabelSet.of(["food", "person"]), length=2, slots=0)
    truth, registry = Truth(base, original), Registry.open("memory:///")
    versions = [truth.publish(registry, 3, seed) for seed in range(2)]
    assert registry.resolve(name(3)) == versions[1]
    expected = truth._found[3, 0][0]
    entities = [{"start": s, "end": e, "label": label, "score": score} for s, e, label, score in expected]
    answer = {"domain": name(3), "prompt_version": versions[0], "results": [{"entities": entities}]}
    assert truth.agrees(answer, 0)
    assert expected, f"nothing is found in {texts()[0]!r}, so nothing could be wrong"
    for wrong in (entities[1:], [{**entities[0], "label": "other"}, *entities[1:]], [*entities, entities[0]]):
        assert not truth.agrees({**answer, "results": [{"entities": wrong}]}, 0)
