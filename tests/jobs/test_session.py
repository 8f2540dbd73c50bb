"""How a job joins Ray, and when it cannot be stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from lightner.jobs import trials
from lightner.jobs.on_ray import local, session
from lightner.types import InputError
from tests.support.paths import CHECKOUT


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


def test_these_tests_hear_an_interrupt_where_they_were_started_in_the_background() -> None:
    one = "tests/jobs/test_annotate_faults.py::test_a_stop_is_one_line_and_a_status"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", one],
        cwd=CHECKOUT,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_IGN),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout


class Tuner:
    """Tune as far as a Ctrl-C matters: it hears of it by SIGUSR1, and then says of all its trials that they ended."""

    def __init__(self, *, interrupts: int) -> None:
        self._interrupts = interrupts
        self.heard = 0

    def fit(self) -> SimpleNamespace:
        signal.signal(signal.SIGUSR1, self._hear)
        for _ in range(self._interrupts):
            signal.raise_signal(signal.SIGINT)
        return SimpleNamespace(num_terminated=1, num_errors=0)

    def _hear(self, *_: object) -> None:
        self.heard += 1


@pytest.mark.parametrize("interrupts", [1, 2])
def test_trials_that_ctrl_c_cut_off_are_not_taken_for_ended_ones(
    interrupts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_asked", threading.Event())
    before, tuner = signal.getsignal(signal.SIGINT), Tuner(interrupts=interrupts)
    with pytest.raises(session.Stopped):
        trials._fit(tuner)
    assert tuner.heard == 1, "the second time Tune is left as it is"
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGUSR1)) == (before, signal.SIG_DFL)
