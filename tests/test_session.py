"""How a job joins Ray, and when it cannot be stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest
import ray

from jobs import local, session
from lightner.types import InputError


def test_a_head_that_does_not_answer_is_asked_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def init(**options: Any) -> None:
        asked.append(options)
        if len(asked) < answers_at:
            raise ConnectionError("nobody")

    monkeypatch.setattr(ray, "init", init)
    answers_at = 2
    session._join({"NAME": "value"})
    assert len(asked) == 2
    assert asked[0]["runtime_env"] == {"env_vars": {"NAME": "value"}}
    asked.clear()
    answers_at = 3
    with pytest.raises(ConnectionError, match="nobody"):
        session._join({})
    assert len(asked) == 2


def test_no_ray_is_started_by_a_python_in_a_folder_with_a_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/home/ana/my projects/.venv/bin/python")
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    with pytest.raises(InputError, match=r"found '/home/ana/my projects/\.venv/bin/python', expected a path without"):
        local.start()


def test_what_must_be_done_to_the_end_cannot_be_stopped() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with session.to_the_end():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before
