"""How a job joins Ray, and when it cannot be stopped."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
import ray

from jobs import session


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


def test_what_must_be_done_to_the_end_cannot_be_stopped() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with session.to_the_end():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before
