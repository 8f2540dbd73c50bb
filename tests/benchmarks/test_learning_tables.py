"""Tables of whole training files and of transfer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import learning_tables, markdown
from benchmarks.transfer import ALONE


def results(folder: Path, monkeypatch: pytest.MonkeyPatch, **found: Any) -> None:
    for name, content in found.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.setattr(markdown, "RESULTS", folder)


def run(source: str, f1: float, cross_validated: float, name: str = "ai") -> dict[str, Any]:
    return {"name": name, "source": source, "seed": 0, "f1": f1, "cross_validated": cross_validated}


def test_a_start_is_chosen_by_cross_validation_and_not_by_what_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [run(ALONE, 50.0, 40.0), run("music", 49.0, 45.0), run("movie10", 52.0, 30.0)]
    results(tmp_path, monkeypatch, transfer={"runs": runs})
    lines = learning_tables.transfer_chosen().splitlines()
    assert lines[2] == "| CrossNER AI 10-shot | CrossNER music 10-shot, -1.0 | MIT Movie 10-shot, +2.0 |"
    assert lines[3] == "| mean | **-1.0** | **+2.0** |"


def test_a_target_has_no_gain_from_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [run(ALONE, 50.0, 40.0), run(ALONE, 60.0, 50.0, name="music")]
    results(tmp_path, monkeypatch, transfer={"runs": runs, "matrix": {"ai": {"music": -1.0}, "music": {"ai": 2.5}}})
    assert learning_tables.transfer().splitlines()[2:] == [
        "| CrossNER AI 10-shot | 50.0 |  | -1.0 |",
        "| CrossNER music 10-shot | 60.0 | +2.5 |  |",
    ]


def test_pairs_of_crossner_are_counted_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = {"ai": {"music": -1.0, "recipes": 0.0}, "music": {"ai": 2.5}, "recipes": {"ai": -3.5}}
    results(tmp_path, monkeypatch, transfer={"runs": [], "matrix": matrix})
    assert learning_tables.transfer_pairs().splitlines()[2:] == [
        "| all | 4 | 1 | -0.5 |",
        "| CrossNER's domains among themselves | 2 | 1 | +0.8 |",
    ]


def test_classes_are_shown_of_runs_that_measured_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = {"name": "conll", "method": "fine_tuning", "passes": 4.0, "test_f1": 0.9}
    new = {"name": "indomain", "method": "prompt", "length": 32, "passes": 8.0, "test_f1": 0.8}
    runs = [old, {**new, "test_classes": {"LOC": 0.825}}, {**new, "test_classes": {"LOC": 0.5, "PER": 0.25}}]
    results(tmp_path, monkeypatch, full_data={"runs": runs})
    assert learning_tables.full_data_classes().splitlines() == [
        "| set | method | passes | all | LOC | PER |",
        "|---|---|---|---|---|---|",
        "| CoNLL-2003, in-domain split | prompt of length 32 | 8 | 80.0 | 82.5 |  |",
        "| CoNLL-2003, in-domain split | prompt of length 32 | 8 | 80.0 | 50.0 | 25.0 |",
    ]
