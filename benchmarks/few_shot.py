"""F1 of tuned prompts on test files, by the rules and selection of `jobs/tune.py`, over seeds.

    python benchmarks/few_shot.py NAME=TRAIN:TEST [NAME=TRAIN:TEST ...] --seeds 3 --out benchmarks/results/few_shot.json

The scan runs in this process, one trial after the other and none stopped early; otherwise it is the job's. Seeds change
the folds, the order of batches and the random parts of the start. Test files are only scored.
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
from lightner.selection import Fold, History, folds_of, run_folds, trial_plan
from lightner.training import Tuning, evaluate
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
    """Scan by cross-validation, learn the winner on everything to its best round, score the test sentences."""
    began = time.monotonic()
    labels, folds = LabelSet.of(labels_of(train)), folds_of(train, (), seed=seed)
    trials = []
    for length in rules.PROMPT_LENGTHS:
        for rate in rules.LEARNING_RATES:
            plan = rules.plan(train, prompt_length=length, learning_rate=rate, seed=seed)
            found = curve(base, labels, folds, trial_plan(plan, folds, of=len(train)))
            best = rules.best_round(found)
            trials.append((found[best - 1], -length, -rate, best, plan))
    chosen = max(trials, key=lambda trial: trial[:3])
    final = Tuning(base, labels, train, (), chosen[4])
    for _ in final.rounds(chosen[3]):
        pass
    seconds = time.monotonic() - began
    micro = evaluate(base, final.tuned.fold(), test).micro
    return {
        "seed": seed,
        "prompt_length": -chosen[1],
        "learning_rate": -chosen[2],
        "rounds": chosen[3],
        "cross_validated_f1": chosen[0],
        "test_precision": micro.precision,
        "test_recall": micro.recall,
        "test_f1": micro.f1,
        "tuning_seconds": seconds,
    }


def curve(base: Backbone, labels: LabelSet, folds: Sequence[Fold], plan: rules.Plan) -> list[float]:
    """Pooled F1 after every round of a trial."""
    histories: list[History] = [()]
    run_folds(base, labels, folds, plan, last=plan.rounds, on_round=lambda history, _: histories.append(history))
    return [done.scores.micro.f1 for done in histories[-1] if done.scores is not None]


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
