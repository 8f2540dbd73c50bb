"""Two gloo workers against one, also with the frozen weights spread over both: seconds of a step, and equality.

    OMP_NUM_THREADS=1 python -m benchmarks.two_workers --out FILE.json

All variants learn the same batches of the example domain from the same start, in turn; dropout is off, since each
worker draws its own. Processor time is the sum over the workers.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing
from safetensors.torch import load_file, save_file
from torch.nn.parallel import DistributedDataParallel

from benchmarks import report
from lightner.data.formats import labels_of, read
from lightner.jobs.on_ray.local import free_ports
from lightner.model import backbone
from lightner.model.sharding import shard
from lightner.tuning import rules
from lightner.tuning.training import Tuning, Worker, folded_tensors
from lightner.types import LabelSet

VARIANTS = {"one": (1, False), "two": (2, False), "two_sharded": (2, True)}
"""Workers, and whether they share the frozen weights."""


def main(given: Sequence[str] | None = None) -> None:
    """Measure all variants and write one JSON file."""
    parser = report.parser(__doc__)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--batch-size", type=int, default=16)
    options = parser.parse_args(given)
    runs = {name: _run(name, options) for name in VARIANTS}
    rows: dict[str, Any] = {}
    for name, workers in runs.items():
        rows[name] = {
            "step_s": max(each["wall_s"] for each in workers) / options.steps,
            "cpu_s_per_step": sum(each["cpu_s"] for each in workers) / options.steps,
            "largest_difference": _difference(runs["one"][0]["tensors"], workers[0]["tensors"]),
        }
    found = {**report.circumstances(backbone.load(None)), "load_average": os.getloadavg(), "options": vars(options)}
    report.print_and_write({**found, "rows": rows}, options.out)


def _run(name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    count, sharded = VARIANTS[name]
    [port] = free_ports(1)
    with tempfile.TemporaryDirectory() as folder:
        given = (count, port, sharded, folder, options.steps, options.batch_size)
        torch.multiprocessing.spawn(_work, given, nprocs=count)
        return [
            {
                **json.loads(Path(folder, f"{rank}.json").read_text("utf-8")),
                "tensors": load_file(Path(folder, f"{rank}.safetensors")),
            }
            for rank in range(count)
        ]


def _work(rank: int, count: int, port: int, sharded: bool, folder: str, steps: int, batch_size: int) -> None:
    with joined(rank, count, port) as worker:
        base = backbone.load(None)
        if sharded:
            base = shard(base, torch.device("cpu"))
        sentences = read(report.EXAMPLE / "train.conll")
        plan = rules.plan(sentences, prompt_length=16, learning_rate=1e-2)
        # A step to warm up, then one round of timed steps.
        plan = replace(plan, batch_size=batch_size, steps=steps + 1, rounds=steps + 1, dropout=0.0, bf16=False)
        run = Tuning(base, LabelSet.of(labels_of(sentences)), sentences, (), plan, worker=worker)
        rounds = run.rounds()
        next(rounds)
        began = report.now()
        for _ in rounds:
            pass
        wall, cpu = report.since(began)
        Path(folder, f"{rank}.json").write_text(json.dumps({"wall_s": wall, "cpu_s": cpu}), encoding="utf-8")
        save_file(folded_tensors(run.tuned), Path(folder, f"{rank}.safetensors"))


@contextmanager
def joined(rank: int, count: int, port: int) -> Iterator[Worker]:
    """Make this process one of `count` data-parallel workers of one thread each, over gloo."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=count)
    yield Worker(rank, count, wrap=DistributedDataParallel) if count > 1 else Worker()
    dist.destroy_process_group()


def _difference(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    """The largest difference between the prompts, relative to the largest number in the first one's tensor."""
    return max(
        float(
            (first[name].float() - second[name].float()).abs().max() / first[name].float().abs().max().clamp_min(1e-9)
        )
        for name in first
    )


if __name__ == "__main__":
    main()
