"""F1 of tuned prompts on test files, by the rules and selection of `jobs/tune.py`, over seeds.

    python benchmarks/few_shot.py NAME=TRAIN:TEST [NAME=TRAIN:TEST ...] --seeds 3 --out benchmarks/results/few_shot.json

The scan runs in this process, one trial after the other and none stopped early; otherwise it is the job's. Seeds change
the held-out part, the order of batches and the random parts of the start. Test files are only scored.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lightner import backbone, rules
from lightner.backbone import Backbone
from lightner.formats import labels_of, read
from lightner.sampling import hold_out
from lightner.training import evaluate, fit
from lightner.types import LabelSet, Sentence


def main() -> None:
    """Measure every data set and write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", metavar="NAME=TRAIN:TEST")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--backbone")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    base = backbone.load(options.backbone)
    rows = []
    for text in options.sets:
        name, _, files = text.partition("=")
        train, _, test = files.partition(":")
        rows.append(measure(base, name, read(train), read(test), options.seeds))
        print(json.dumps({key: value for key, value in rows[-1].items() if key != "runs"}), flush=True)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({**circumstances(base), "rows": rows}, indent=2) + "\n", encoding="utf-8")


def measure(
    base: Backbone, name: str, train: Sequence[Sentence], test: Sequence[Sentence], seeds: int
) -> dict[str, Any]:
    """Test F1 of every seed, with mean and spread."""
    runs = [tune(base, train, test, seed) for seed in range(seeds)]
    return {
        "name": name,
        "train_sentences": len(train),
        "test_sentences": len(test),
        **spread(runs),
        "runs": runs,
    }


def spread(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and sample standard deviation of the runs' test F1."""
    scores = [run["test_f1"] for run in runs]
    stdev = statistics.stdev(scores) if len(scores) > 1 else None
    return {"f1_mean": statistics.mean(scores), "f1_stdev": stdev, "seeds": len(runs)}


def tune(base: Backbone, train: Sequence[Sentence], test: Sequence[Sentence], seed: int) -> dict[str, Any]:
    """Scan on a held-out quarter, learn the winner on everything, score the test sentences."""
    began = time.monotonic()
    labels = LabelSet.of(labels_of(train))
    learn, held = hold_out(train, fraction=rules.HELD_OUT, seed=seed)
    trials = []
    for length in rules.PROMPT_LENGTHS:
        for rate in rules.LEARNING_RATES:
            plan = rules.plan(train, prompt_length=length, learning_rate=rate, seed=seed)
            f1 = evaluate(base, fit(base, labels, learn, (), plan).fold(), held).micro.f1
            trials.append((f1, -length, -rate, plan))
    chosen = max(trials, key=lambda trial: trial[:3])
    final = fit(base, labels, train, (), chosen[3])
    seconds = time.monotonic() - began
    micro = evaluate(base, final.fold(), test).micro
    return {
        "seed": seed,
        "prompt_length": -chosen[1],
        "learning_rate": -chosen[2],
        "held_out_f1": chosen[0],
        "test_precision": micro.precision,
        "test_recall": micro.recall,
        "test_f1": micro.f1,
        "tuning_seconds": seconds,
    }


def circumstances(base: Backbone) -> dict[str, Any]:
    """What a figure needs beside it: backbone, versions, hardware, date."""
    return {
        "backbone": {"name": base.name, "fingerprint": base.fingerprint},
        "versions": {name: version(name) for name in ("lightner-ray", "torch", "transformers")},
        "python": platform.python_version(),
        "hardware": f"{platform.machine()}, {os.cpu_count()} CPU cores, device {base.device}",
        "date": datetime.now(UTC).date().isoformat(),
    }


if __name__ == "__main__":
    main()
