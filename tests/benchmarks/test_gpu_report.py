"""The GPU report on the CPU with small shapes: it measures what it states, and writes both files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import gpu_report
from benchmarks.gpu_report import Shapes
from lightner.tagger import infer, prepare

SMALL = Shapes(repeats=1, steps=1, rounds=1, width=16, layers=1, batch=6, domains=4)
CPU = torch.device("cpu")


def test_one_command_writes_the_whole_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_report, "suite", lambda: (0, "3 skipped"))
    assert gpu_report.main(["--device", "cpu", "--out", str(tmp_path)], SMALL) == 0
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert set(found["throughput"]) == {"float32", "bfloat16"}
    for row in found["throughput"].values():
        assert row["sentences_per_s"] > 0
        assert row["share_of_floor"] == pytest.approx(row["sentences_per_s"] / row["floor_sentences_per_s"], rel=1e-6)
    assert set(found["tuning"]) == {"prompt", "full", "full_but_embedding"}
    assert 0 <= found["accuracy"]["answered_alike"] <= 1
    text = (tmp_path / "gpu.md").read_text()
    assert "no GPU: the script was only tried" in text
    assert "| bfloat16 |" in text


def test_a_machine_without_a_gpu_gets_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(SystemExit):
        gpu_report.main(["--out", str(tmp_path)])
    assert "found no GPU" in capsys.readouterr().err


def test_the_floor_runs_as_many_decoder_steps_as_decoding_did(monkeypatch: pytest.MonkeyPatch) -> None:
    base = gpu_report.large(SMALL, CPU, torch.float32, seed=0)
    work = prepare(base, gpu_report.mixed_rows(base, SMALL, seed=0))
    lengths = [len(each.ids) for each in infer(base, work).decoded]
    rows: list[int] = []
    hook = base.model.get_decoder().register_forward_pre_hook(
        lambda _, __, named: rows.append(len(named["input_ids"])), with_kwargs=True
    )
    gpu_report.floor(base, work, lengths)
    hook.remove()
    assert rows == [sum(length >= step for length in lengths) for step in range(max(lengths) + 1)]
    assert len({row.prompt.guidance.length for row in work.rows}) == 2


def test_the_suites_gpu_part_runs_or_skips_itself() -> None:
    status, summary = gpu_report.suite()
    assert status == 0
    assert "skipped" in summary or "passed" in summary
