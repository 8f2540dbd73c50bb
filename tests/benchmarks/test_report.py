"""The module that benchmarks share: results are written as printed, and data sets are named as documented."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import report
from tests.support.tiny import tiny_backbone


def test_results_are_written_as_they_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = tiny_backbone()
    out = report.parser("What is measured.").parse_args(["--out", str(tmp_path / "new" / "results.json")]).out
    found = {**report.circumstances(base), "options": {"folder": tmp_path}, "rows": [{"f1": 0.5}]}
    report.print_and_write(found, out)
    assert out.read_text("utf-8") == capsys.readouterr().out
    read = json.loads(out.read_text("utf-8"))
    assert read["backbone"] == {"name": base.name, "fingerprint": base.fingerprint}
    assert read["options"] == {"folder": str(tmp_path)}
    assert read["rows"] == [{"f1": 0.5}]


def test_results_are_only_printed_where_no_file_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    report.print_and_write({"rows": []}, report.parser("What is measured.").parse_args([]).out)
    assert json.loads(capsys.readouterr().out) == {"rows": []}
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SystemExit):
        report.parser("What is measured.", must_write=True).parse_args([])
    assert "--out" in capsys.readouterr().err


def test_a_data_set_is_a_name_and_its_files() -> None:
    assert report.named_files("movies=train.conll:dev.conll:test.conll") == (
        "movies",
        ["train.conll", "dev.conll", "test.conll"],
    )
