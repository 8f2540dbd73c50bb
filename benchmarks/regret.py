"""How far the rules without options stay behind a sweep over everything that they decide.

    python -m benchmarks.regret NAME=TRAIN:DEV:TEST [...] --configurations 30 --seeds 3 --out FILE.jsonl

The sweep draws settings at random, those that the rules fix included, learns all training sentences by each, and scores
both files. "Expert" is the configuration of the highest mean F1 on DEV, which the rules never see; "oracle" the highest
on TEST itself, an upper bound that nobody can reach honestly. Regret is their mean test F1 less that of the rules.
Every run is a line of the output; the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.few_shot import circumstances, tune
from lightner import backbone, rules
from lightner.backbone import Backbone
from lightner.formats import labels_of, read
from lightner.training import evaluate, fit
from lightner.types import LabelSet, Sentence

RULES = -1
"""The number of the configuration that has no options."""
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """Sentences to learn from, to choose on and to report on."""

    name: str
    train: tuple[Sentence, ...]
    dev: tuple[Sentence, ...]
    test: tuple[Sentence, ...]


def main() -> None:
    """Run what the output lacks, then print a line per data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", metavar="NAME=TRAIN:DEV:TEST")
    parser.add_argument("--configurations", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--backbone")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    base = backbone.load(options.backbone)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    rows = [] if not options.out.exists() else list(map(json.loads, options.out.read_text("utf-8").splitlines()))
    for text in options.sets:
        name, _, files = text.partition("=")
        task = Task(name, *(tuple(read(file)) for file in files.split(":")))
        for seed in range(options.seeds):
            for number in range(RULES, options.configurations):
                if not any((row["name"], row["configuration"], row["seed"]) == (name, number, seed) for row in rows):
                    rows.append({**circumstances(base), **measure(base, task, number, seed)})
                    with options.out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(rows[-1]) + "\n")
        print(json.dumps({"name": name, **regret([row for row in rows if row["name"] == name])}), flush=True)


def measure(base: Backbone, task: Task, number: int, seed: int) -> Row:
    """Test F1 of a configuration, and its F1 on the sentences to choose on unless it is that of the rules."""
    row: Row = {"name": task.name, "configuration": number, "seed": seed}
    if number == RULES:
        return {**row, **tune(base, task.train, task.test, seed)}
    plan = configuration(task.train, number, seed)
    labels = LabelSet.of(labels_of(task.train))
    prompt = fit(base, labels, task.train, (), plan).fold()
    dev, test = (evaluate(base, prompt, sentences).micro.f1 for sentences in (task.dev, task.test))
    return {**row, "settings": plan.as_dict(), "dev_f1": dev, "test_f1": test}


def configuration(train: Sequence[Sentence], number: int, seed: int) -> rules.Plan:
    """Settings drawn by `number`, around and beyond those of the rules; `seed` is that of the run."""
    rng = random.Random(f"configuration {number}")
    rate = math.exp(rng.uniform(math.log(3e-3), math.log(6e-2)))
    length = rng.choice((4, 8, 16, 32))
    plan = rules.plan(train, prompt_length=length, learning_rate=rate, seed=seed)
    batch_size = rng.choice((4, 8, 16))
    passes = rng.choice((16, 32, 64))
    steps = max(plan.rounds, passes * len(train) // batch_size)
    return plan.with_pins(
        {
            "batch_size": batch_size,
            "steps": steps,
            "warm_up_steps": round(rng.choice((0.0, 0.06, 0.2)) * steps),
            "weight_decay": rng.choice((0.0, 0.01, 0.1)),
            "feed_forward_slots": rng.choice((0, 4 * length)),
            "dropout": rng.choice((0.0, 0.1, 0.2)),
        }
    )


def regret(rows: Sequence[Row]) -> Row:
    """Mean test F1 of the rules, of the expert and of the oracle, and what the rules lose to both."""
    by_number: dict[int, list[Row]] = {}
    for row in rows:
        by_number.setdefault(row["configuration"], []).append(row)
    own = _mean(by_number.pop(RULES), "test_f1")
    expert = max(by_number.values(), key=lambda those: _mean(those, "dev_f1"))
    oracle = max(_mean(those, "test_f1") for those in by_number.values())
    return {
        "configurations": len(by_number),
        "seeds": len(expert),
        "rules_f1": own,
        "expert_f1": _mean(expert, "test_f1"),
        "expert_settings": expert[0]["settings"],
        "oracle_f1": oracle,
        "regret_to_expert": _mean(expert, "test_f1") - own,
        "regret_to_oracle": oracle - own,
    }


def _mean(rows: Sequence[Row], name: str) -> float:
    return float(statistics.mean(row[name] for row in rows))


if __name__ == "__main__":
    main()
