"""The pretraining loop: it learns, resumes to the same weights, and averaging workers have the same state."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as processes
from safetensors.torch import load_file
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from lightner.pretraining import mixture, objective
from lightner.pretraining.development import Development
from lightner.pretraining.loop import PretrainSettings, Report, Workers, pretrain, rate_share
from lightner.pretraining.mixture import LabelledSet, Mixture, Recipe
from lightner.tuning.checkpoints import TENSORS
from lightner.tuning.training import Saver
from lightner.types import InputError
from tests.support.sentences import sentence
from tests.support.tiny import tiny_backbone

NEWS = Mixture((LabelledSet("news", tuple(sentence(n) for n in range(20)), (), ("LOC", "PER")),))
RECIPE = Recipe(batch_size=6, weak_share=0.0)
Keep = Callable[[Report, Saver | None], None]


ALONE = Workers()


def run(settings: PretrainSettings, report: Keep, *, resume: Path | None = None, workers: Workers = ALONE) -> nn.Module:
    torch.manual_seed(0)
    pretrainer = objective.Pretrainer(tiny_backbone(), ["news"])

    def draw_at(step: int) -> mixture.Draw:
        return mixture.draw(NEWS, RECIPE, random.Random(f"{workers.rank}-{step}"), progress=step / settings.steps)

    pretrain(
        pretrainer,
        draw_at,
        settings,
        workers=workers,
        resume=resume,
        develop=lambda: Development({"news": 0.5}),
        report=report,
    )
    return pretrainer


def nothing(line: Report, save: Saver | None) -> None:
    pass


def test_the_rate_warms_up_stays_and_falls_from_the_constant_part_on() -> None:
    settings = PretrainSettings(steps=1000, warm_up=100)
    assert rate_share(settings, 50) == 0.5
    assert {rate_share(settings, step) for step in range(100, 401)} == {1.0}
    assert rate_share(settings, 701) == pytest.approx(0.5)
    assert rate_share(settings, 1000) == pytest.approx(1 / 600)
    longer = PretrainSettings(steps=2000, warm_up=100)
    assert [rate_share(longer, step) for step in (20, 300, 400)] == [rate_share(settings, s) for s in (20, 300, 400)]


def test_states_are_kept_only_where_all_workers_have_one() -> None:
    with pytest.raises(InputError, match="found save_every 10, expected a multiple of 4"):
        PretrainSettings(steps=40, save_every=10, report_every=20, average_every=4)


def test_the_loss_falls_and_backbone_prompts_and_word_labels_learn() -> None:
    reports: list[Report] = []
    before = objective.Pretrainer(tiny_backbone(), ["news"]).state_dict()
    settings = PretrainSettings(steps=50, rate=3e-3, report_every=25, save_every=25)
    after = run(settings, lambda line, _: reports.append(line)).state_dict()
    assert [line.step for line in reports] == [25, 50]
    assert reports[1].loss < reports[0].loss
    assert reports[0].left_s > reports[1].left_s == 0
    assert dict(reports[1].development.f1) == {"news": 0.5}
    learned = {name for name in before if not torch.equal(before[name], after[name])}
    for part in ("model.encoder.layers", "model.decoder.layers", "prompts.news", "prompts.default", "word_labels"):
        assert any(name.startswith(part) for name in learned), part
    assert "model.shared.weight" not in learned


def test_a_run_that_was_killed_ends_with_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    def keep(line: Report, save: Saver | None) -> None:
        if save is not None:
            save(tmp_path / str(line.step))

    settings = PretrainSettings(steps=40, rate=3e-3, report_every=10, save_every=20, average_every=5)
    whole = run(settings, keep).state_dict()
    again = run(settings, nothing, resume=tmp_path / "20").state_dict()
    for name, tensor in whole.items():
        assert torch.equal(again[name], tensor), name
    assert {f"weight.{name}" for name, p in run(settings, nothing).named_parameters() if p.requires_grad} == {
        name for name in load_file(tmp_path / "40" / TENSORS) if name.startswith("weight.")
    }


def noted(lines: list[Report]) -> Keep:
    return lambda line, _: lines.append(line)


def _worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)

    def exchanged(module: nn.Module) -> nn.Module:
        return DistributedDataParallel(module, find_unused_parameters=True)

    ways = {"averaged": Workers(rank, 2, averages=True), "exchanged": Workers(rank, 2, wrap=exchanged)}
    settings = PretrainSettings(steps=60, rate=2e-3, report_every=20, save_every=20, average_every=5)
    for way, workers in ways.items():
        lines: list[Report] = []
        made = run(settings, noted(lines), workers=workers)
        weights = {name: tensor.clone() for name, tensor in made.state_dict().items()}
        torch.save({"losses": [line.loss for line in lines], "weights": weights}, f"{folder}/{way}-{rank}.pt")
    dist.destroy_process_group()


def curve(folder: Path, way: str) -> list[float]:
    """Mean losses of two workers, which end with the same weights."""
    first, second = (torch.load(folder / f"{way}-{rank}.pt", weights_only=True) for rank in (0, 1))
    for name, tensor in first["weights"].items():
        torch.testing.assert_close(second["weights"][name], tensor, rtol=1e-5, atol=1e-6, msg=name)
    return [(one + other) / 2 for one, other in zip(first["losses"], second["losses"], strict=True)]


def test_workers_that_average_learn_as_those_that_exchange_gradients(tmp_path: Path) -> None:
    processes.spawn(_worker, args=(str(tmp_path),), nprocs=2)
    averaged, exchanged = curve(tmp_path, "averaged"), curve(tmp_path, "exchanged")
    assert averaged[-1] < 0.8 * averaged[0]
    for one, other in zip(averaged, exchanged, strict=True):
        assert one == pytest.approx(other, rel=0.1)
