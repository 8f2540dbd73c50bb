"""With `--gpu` a worker gets a GPU that torch can use, or an error; never silently the CPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lightner.jobs import annotate, devices, worker
from lightner.jobs.worker import Run
from lightner.tuning import rules
from lightner.tuning.training import Worker
from lightner.types import InputError, LabelSet, Sentence, Span
from tests.support.tiny import save, tiny_backbone

SENTENCES = (Sentence(("ada", "ran"), (Span(0, 1, "person"),)),)
PLAN = rules.plan(SENTENCES, prompt_length=2, learning_rate=0.01)
RUN = Run("one", "/nowhere", None, "0" * 64, LabelSet.of(["person"]), (), PLAN, 1)


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv(devices.LOGICAL, raising=False)


def test_a_gpu_that_is_not_there_is_refused_where_the_work_is_done() -> None:
    with pytest.raises(InputError, match=r"^--gpu: found no GPU on .+ \(torch .+\), expected one"):
        devices.device(gpu=True)
    with pytest.raises(InputError, match=r"^--gpu: found no GPU"):
        worker._learn(replace(RUN, gpu=True), Worker(), None, lambda *_: pytest.fail("it learned"))
    answer = annotate._Worker(None, "/none", True)({"output": "/none/f", "block": 0})
    assert (answer["fault"], str(answer["said"])[:19]) == ("InputError", "--gpu: found no GPU")


def test_a_gpu_is_used_only_if_present_and_requested(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices.device(gpu=False) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert devices.device(gpu=True) == torch.device("cuda")
    monkeypatch.setenv(devices.LOGICAL, "1")
    assert devices.device(gpu=True) == torch.device("cuda")


def test_logical_gpus_of_ray_are_used_only_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(devices.LOGICAL, "1")
    assert devices.device(gpu=True) == torch.device("cpu")


def test_another_model_under_the_backbones_name_is_refused_where_the_work_is_done(tmp_path: Path) -> None:
    for seed in (0, 1):
        tiny = tiny_backbone(seed)
        save(tiny, tmp_path / "tiny")
    driver, here = tiny_backbone(0).fingerprint[:12], tiny_backbone(1).fingerprint[:12]
    task = replace(RUN, backbone=str(tmp_path / "tiny"), fingerprint=tiny_backbone(0).fingerprint)
    with pytest.raises(
        InputError, match=rf"found fingerprint {here} on node .+, expected {driver} as where the job runs"
    ):
        worker._learn(task, Worker(), None, lambda *_: pytest.fail("it learned"))
