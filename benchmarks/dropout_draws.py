"""F1 of prompts that one worker and two workers learned, over seeds: what their own draws of dropout change.

    OMP_NUM_THREADS=1 python -m benchmarks.dropout_draws --seeds 8 --out FILE.json

Both learn the same batches of the example domains by the rules to the end, with dropout; the test file is only scored.
Without dropout the two are equal (benchmarks/two_workers.py).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch.multiprocessing

from benchmarks.few_shot import circumstances
from benchmarks.two_workers import joined
from lightner.data.formats import labels_of, read
from lightner.evaluation.scoring import evaluate
from lightner.jobs.on_ray.local import free_ports
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.tuning import rules
from lightner.tuning.training import Worker, fit
from lightner.types import LabelSet

_EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
DOMAINS = {
    "recipes": (_EXAMPLES / "recipes/train.conll", _EXAMPLES / "recipes/test.conll"),
    "support_tickets": (_EXAMPLES / "support_tickets/train.jsonl", _EXAMPLES / "support_tickets/test.jsonl"),
}
"""Files to learn from and to score."""


def main(given: Sequence[str] | None = None) -> None:
    """Measure, and write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(given)
    one, two = _f1(1, options.seeds), _f1(2, options.seeds)
    rows = {domain: _compared(one[domain], two[domain]) for domain in DOMAINS}
    found = {**circumstances(backbone.load(None)), "load_average": os.getloadavg()}
    text = json.dumps({**found, "rows": rows}, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


def _compared(one: Sequence[float], two: Sequence[float]) -> dict[str, Any]:
    differences = [b - a for a, b in zip(one, two, strict=True)]
    return {
        "one": one,
        "two": two,
        "means": (statistics.mean(one), statistics.mean(two)),
        "stdevs": (statistics.stdev(one), statistics.stdev(two)),
        "difference_mean": statistics.mean(differences),
        "difference_stdev": statistics.stdev(differences),
    }


def _f1(count: int, seeds: int) -> dict[str, list[float]]:
    """F1 by domain, in the order of the seeds."""
    [port] = free_ports(1)
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_work, (count, port, seeds, folder), nprocs=count)
        found: dict[str, list[float]] = json.loads(Path(folder, "0.json").read_text("utf-8"))
    return found


def _work(rank: int, count: int, port: int, seeds: int, folder: str) -> None:
    with joined(rank, count, port) as worker:
        base = backbone.load(None)
        found = {domain: [_learned(base, domain, seed, worker) for seed in range(seeds)] for domain in DOMAINS}
        Path(folder, f"{rank}.json").write_text(json.dumps(found), encoding="utf-8")


def _learned(base: Backbone, domain: str, seed: int, worker: Worker) -> float:
    train, test = map(read, DOMAINS[domain])
    plan = replace(rules.plan(train, prompt_length=8, learning_rate=1e-2), seed=seed)
    prompt = fit(base, LabelSet.of(labels_of(train)), train, (), plan, worker=worker).fold()
    return evaluate(base, prompt, test).micro.f1


if __name__ == "__main__":
    main()
