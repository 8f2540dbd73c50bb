"""The module that benchmarks share: results are written as printed, and data sets are named as documented."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import report
from lightner.types import InputError
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


def test_parts_that_a_file_has_are_not_measured_again_and_none_is_lost(tmp_path: Path) -> None:
    base, out = tiny_backbone(), tmp_path / "parts.json"

    def keys_of(found: Mapping[str, object]) -> dict[str, list[str]]:
        return {"keys": sorted(found.keys() & {"cost", "load"})}

    def filled(**parts: int) -> dict[str, object]:
        measures = {key: (lambda value=value: value) for key, value in parts.items()}
        report.fill(out, base, measures, summary=keys_of, given={"steps": 8})
        return dict(json.loads(out.read_text("utf-8")))

    assert filled(cost=1).items() >= {"cost": 1, "steps": 8, "keys": ["cost"]}.items()
    found = filled(cost=2, load=3)
    assert (found["cost"], found["load"], found["keys"]) == (1, 3, ["cost", "load"])
    assert filled(load=4)["cost"] == 1, "a part that was not asked for stays"
    with pytest.raises(SystemExit, match="found runs of another backbone"):
        report.fill(out, replace(base, fingerprint="0" * 64), {})


def test_runs_that_a_file_has_are_not_measured_again(tmp_path: Path) -> None:
    base, out = tiny_backbone(), tmp_path / "runs.json"
    measured: list[int] = []

    def run(seeds: int) -> report.Runs:
        runs = report.Runs(out, base, lambda rows: {"mean": report.spread([row["f1"] for row in rows])[0]})
        for seed in range(seeds):

            def measure(seed: int = seed) -> dict[str, float]:
                measured.append(seed)
                return {"f1": 0.5 + seed}

            runs.add(measure, name="movies", seed=seed)
        return runs

    run(1)
    rows = run(2).rows
    assert measured == [0, 1]
    assert [(row["name"], row["seed"], row["f1"]) for row in rows] == [("movies", 0, 0.5), ("movies", 1, 1.5)]
    written = json.loads(out.read_text("utf-8"))
    assert (written["runs"], written["mean"]) == (rows, 1.0)
    assert written["backbone"]["fingerprint"] == base.fingerprint


def test_a_file_with_runs_of_another_backbone_stays(tmp_path: Path) -> None:
    out = tmp_path / "runs.json"
    report.Runs(out, tiny_backbone()).add(lambda: {"f1": 0.5}, name="movies", seed=0)
    before = out.read_bytes()
    other = replace(tiny_backbone(), fingerprint="another")
    with pytest.raises(SystemExit, match="found runs of another backbone"):
        report.Runs(out, other)
    assert out.read_bytes() == before


def test_spread_is_the_mean_and_the_sample_deviation() -> None:
    assert report.spread([0.5, 0.7]) == (pytest.approx(0.6), pytest.approx(0.1414, abs=1e-4))
    assert report.spread([0.5]) == (0.5, None)


def test_runs_are_told_apart_by_set_in_their_order() -> None:
    rows = [{"name": "b", "seed": 0}, {"name": "a", "seed": 0}, {"name": "b", "seed": 1}]
    assert report.by_set(rows) == {"b": [rows[0], rows[2]], "a": [rows[1]]}


def test_a_file_that_is_missing_is_named_before_any_set_is_measured(tmp_path: Path) -> None:
    there = report.EXAMPLE / "test.conll"
    with pytest.raises(InputError, match="nowhere"):
        report.labelled_sets([f"first={there}", f"second={tmp_path / 'nowhere.conll'}"])
