"""A backbone in parts on two real processes computes the same as a whole one, and each process holds less."""

from __future__ import annotations

import gc
import os
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import nn
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from lightner.model.sharding import shard
from lightner.tuning import rules
from lightner.tuning.training import Round, Tuning, Worker
from lightner.types import InputError, Sentence, Span
from tests.conftest import free_port
from tests.support.people import LABELS, TRAIN
from tests.support.tiny import tiny_backbone

WORKERS = 2
# The worker that has it would read it on its own, and wait for the other in vain: parts are read all at once.
LONG = Sentence(("ada", *("lives", "in") * 40, "rome"), (Span(0, 1, "PER"), Span(81, 82, "LOC")))


def test_one_process_alone_cannot_share_a_backbone() -> None:
    with pytest.raises(InputError, match="sharded backbone: found 1 worker, expected at least 2"):
        shard(tiny_backbone(), "cpu")


def test_a_sharded_backbone_tunes_and_scores_as_a_whole_one(tmp_path: Path) -> None:
    multiprocessing.spawn(_tune_both, args=(free_port(), tmp_path), nprocs=WORKERS)
    for rank in range(WORKERS):
        whole, parts = (torch.load(tmp_path / f"{rank}-{sharded}.pt", weights_only=True) for sharded in (False, True))
        assert len(whole["loss"]) == rules.plan((*TRAIN, LONG), prompt_length=4, learning_rate=1e-2).rounds
        assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-4)
        assert parts["f1"] == (whole["f1"] if rank == 0 else parts["f1"])
        for name, tensor in whole["prompt"].items():
            torch.testing.assert_close(parts["prompt"][name], tensor, rtol=1e-4, atol=1e-5)
        assert parts["held"] < whole["held"]
    first, second = (torch.load(tmp_path / f"{rank}-True.pt", weights_only=True) for rank in range(WORKERS))
    assert first["layers"] + second["layers"] == whole["layers"], "together the workers hold each layer once"
    assert first["f1"] == second["f1"]


def _tune_both(rank: int, port: int, folder: Path) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=WORKERS, timeout=timedelta(seconds=60))
    for sharded in (False, True):
        torch.save(_tune(rank, sharded=sharded), folder / f"{rank}-{sharded}.pt")
    # Modules in parts are in reference cycles that hold the group; its threads must not outlive what they serve.
    gc.collect()
    dist.barrier()
    dist.destroy_process_group()


def _tune(rank: int, *, sharded: bool) -> dict[str, object]:
    base = tiny_backbone()
    if sharded:
        base = shard(base, "cpu")
    sentences = (*TRAIN, LONG)
    plan = rules.plan(sentences, prompt_length=4, learning_rate=1e-2)
    # Dropout would draw other numbers for rows read in groups.
    plan = plan.with_pins({"steps": 24, "bf16": False, "dropout": 0.0})
    run = Tuning(base, LABELS, sentences, sentences, plan, worker=Worker(rank, WORKERS, DistributedDataParallel))
    rounds = list(run.rounds())
    stacks = (base.model.get_encoder(), base.model.get_decoder())
    return {
        "loss": [done.loss for done in rounds],
        "f1": [_f1(done) for done in rounds],
        "prompt": run.tuned.fold().guidance.tensors(),
        "held": _numbers(base.model),
        "layers": sum(_numbers(layer) for stack in stacks for layer in stack.layers),
    }


def _f1(done: Round) -> float:
    return -1.0 if done.scores is None else done.scores.micro.f1


def _numbers(module: nn.Module) -> int:
    """The number of the module's weights in this process."""
    return sum((p.to_local() if isinstance(p, DTensor) else p).numel() for p in module.parameters())
