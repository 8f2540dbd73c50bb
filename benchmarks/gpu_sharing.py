"""How much more several tuning runs get done that share a GPU: steps per second of 1, 2, 4 and 8 processes at a time.

    python -m benchmarks.gpu_sharing --out FILE.json

The embedded backbone, and random weights in the shapes of bart-base and bart-large; steps of the rules' longest prompt
with batches of 16 sentences of 32 sub-words. Processes are made ready, then step side by side for as long as is asked.
`--device cpu` with a small shape tries the script itself.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from collections.abc import Iterator, Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing

from benchmarks import step_cost
from benchmarks.few_shot import circumstances
from benchmarks.gpu_report import gpu_name
from lightner.model import backbone
from lightner.model.backbone import Backbone

EMBEDDED = "embedded"
_WARM_UP = 5
_ENDLESS = 10**5
_MIB = 2**20


def main(given: Sequence[str] | None = None) -> None:
    """Measure every shape and number of processes, and write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=[EMBEDDED, "768x6", "1024x12"], metavar="WIDTHxLAYERS")
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(given)
    device = torch.device(options.device)
    rows = [row for shape in options.shapes for row in measure(shape, options.processes, options.seconds, device)]
    found = {**circumstances(backbone.load(None)), "gpu": gpu_name(device), "options": vars(options), "rows": rows}
    text = json.dumps(found, indent=2, default=str)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


def measure(shape: str, counts: Sequence[int], seconds: float, device: torch.device) -> list[dict[str, Any]]:
    """A row for each number of processes: steps per second of all together, against one process, and memory of each."""
    context = torch.multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(max(counts)), context.Queue()
    arguments = (shape, counts, seconds, str(device), barrier, results)
    running = torch.multiprocessing.spawn(_step, arguments, nprocs=max(counts), join=False)
    total = sum(counts)
    found = [results.get() for _ in range(total)]
    running.join()
    rows: list[dict[str, Any]] = []
    for count in counts:
        own = [each for each in found if each["count"] == count]
        rate = sum(each["steps_per_s"] for each in own)
        rows.append({"shape": shape, "parameters": own[0]["parameters"], "processes": count, "steps_per_s": rate})
        rows[-1]["against_one"] = rate / rows[0]["steps_per_s"] * counts[0]
        rows[-1]["peak_mib_each"] = max(each["peak_mib"] for each in own)
    return rows


def _step(
    rank: int, shape: str, counts: Sequence[int], seconds: float, device: str, barrier: Barrier, results: Any
) -> None:
    """One process of `measure`: takes part where its number is below the count, else waits."""
    torch.set_num_threads(1)
    base = _base(shape, torch.device(device))
    steps = step_cost.steps_of("prompt", base, steps=_ENDLESS, seed=rank)
    for _ in itertools.islice(steps, _WARM_UP):
        pass
    for count in counts:
        barrier.wait()
        if rank < count:
            rate = _rate(steps, seconds)
            peak = torch.cuda.max_memory_reserved() / _MIB if torch.cuda.is_available() else float("nan")
            parameters = base.model.num_parameters()
            results.put({"count": count, "steps_per_s": rate, "peak_mib": peak, "parameters": parameters})


def _rate(steps: Iterator[int], seconds: float) -> float:
    """A step reads its loss, so that it is over when it returns."""
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        next(steps)
        done += 1
    return done / (time.perf_counter() - began)


def _base(shape: str, device: torch.device) -> Backbone:
    if shape == EMBEDDED:
        return backbone.load(None, device=device)
    width, layers = map(int, shape.split("x"))
    made = step_cost.random_backbone(width=width, layers=layers, seed=0)
    made.model.to(device)
    return made


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
