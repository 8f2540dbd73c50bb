"""Progress of pretraining: a line for each report, or a bar in a terminal."""

from __future__ import annotations

import queue
import sys

import pytest

from lightner.jobs import pretrain_progress

FIRST = {"step": 50, "loss": 1.1257, "sentences_per_s": 37.3, "left_s": 4502}
SECOND = {"step": 100, "loss": 0.9, "sentences_per_s": 40.0, "left_s": 30, "f1_sets": 0.384, "f1_groups": 0.67}


def filled() -> queue.Queue[object]:
    reports: queue.Queue[object] = queue.Queue()
    for each in (FIRST, SECOND, None):
        reports.put(each)
    return reports


def test_a_log_gets_a_line_for_each_report(capsys: pytest.CaptureFixture[str]) -> None:
    pretrain_progress._show(filled(), 3000)
    assert capsys.readouterr().out.splitlines() == [
        "step 50 of 3000 loss 1.126 37.3 sentences/s 75 min left",
        "step 100 of 3000 loss 0.900 40.0 sentences/s 0 min left f1 sets 38.4 f1 groups 67.0",
    ]


def test_a_terminal_gets_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    pretrain_progress._show(filled(), 100)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "pretraining: 100%" in shown.err
    assert "100/100" in shown.err
    assert "loss 0.900 f1 sets 38.4 f1 groups 67.0" in shown.err
