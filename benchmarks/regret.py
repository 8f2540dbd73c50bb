"""How much F1 the rules without options lose against a sweep over everything that they decide.

    python -m benchmarks.regret NAME=TRAIN:DEV:TEST [...] --configurations 30 --seeds 3 --out FILE.jsonl

The sweep draws settings at random, including those that the rules fix, and learns all training sentences with each. The
settings with the highest F1 on DEV with the first seed are run with the other seeds; the one with the highest mean is
the "expert". Only the expert and the rules are scored on TEST; the rules never see DEV. Regret is the mean test F1 of
the expert minus that of the rules. Every run is a line of the output; the same command resumes where it stopped. With
`--processes 12 --device cuda` twelve runs share a GPU.
"""

from __future__ import annotations

import json
import math
import random
import statistics
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias

import torch

from benchmarks import report
from benchmarks.few_shot import tune
from lightner.data.formats import labels_of, read
from lightner.evaluation.scoring import evaluate
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.tuning import rules
from lightner.tuning.training import fit
from lightner.types import LabelSet, Sentence

RULES = -1
"""The number of the configuration that has no options."""
CONFIGURATIONS = 30
"""Of a whole sweep."""
DEV_SENTENCES = 300
"""Sentences of DEV at most, drawn at random, none of them in TRAIN."""
Row: TypeAlias = dict[str, Any]
Key: TypeAlias = tuple[str, int, int, str]
Wanted: TypeAlias = tuple[int, int, str]
"""Configuration, seed, and what is scored: "dev" or "test"."""


@dataclass(frozen=True, slots=True)
class Task:
    """Sentences to learn from, to choose on and to report on."""

    name: str
    train: tuple[Sentence, ...]
    dev: tuple[Sentence, ...]
    test: tuple[Sentence, ...]


@dataclass(frozen=True, slots=True)
class Runs:
    """The file of runs, one a line; a run in the file is not repeated. The runs of a call share `processes`."""

    path: Path
    backbone: str | None = None
    device: str = "cpu"
    processes: int = 1

    def rows(self, name: str) -> list[Row]:
        """The runs of one data set."""
        lines = self.path.read_text("utf-8").splitlines() if self.path.exists() else []
        return [row for row in map(json.loads, lines) if row["name"] == name]

    def add(self, task: Task, wanted: Iterable[Wanted]) -> None:
        """Run each missing (configuration, seed, scored file), and write a line when it is done."""
        held = {key_of(row)[1:] for row in self.rows(task.name)}
        lacking = [each for each in wanted if each not in held]
        if self.processes == 1:
            for each in lacking:
                self._write(apart(self.backbone, self.device, task, each))
            return
        with ProcessPoolExecutor(self.processes, mp_context=get_context("spawn")) as pool:
            running = [pool.submit(apart, self.backbone, self.device, task, each) for each in lacking]
            for done in as_completed(running):
                self._write(done.result())

    def _write(self, row: Row) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def main() -> None:
    """Run everything that is missing in the output, then print a line per data set."""
    parser = report.parser(__doc__, must_write=True)
    parser.add_argument("sets", nargs="+", metavar="NAME=TRAIN:DEV:TEST")
    parser.add_argument("--configurations", type=int, default=CONFIGURATIONS)
    parser.add_argument("--finalists", type=int, default=10, help="configurations that go on to further seeds")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--backbone")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--processes", type=int, default=1, help="runs at a time")
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    runs = Runs(options.out, options.backbone, options.device, options.processes)
    for text in options.sets:
        found = compare(runs, task_of(text), options.configurations, options.finalists, options.seeds)
        print(json.dumps(found), flush=True)


def task_of(text: str) -> Task:
    """The data set that `NAME=TRAIN:DEV:TEST` names."""
    name, files = report.named_files(text)
    train, dev, test = (tuple(read(file)) for file in files)
    seen = {sentence.words for sentence in train}
    unseen = [sentence for sentence in dev if sentence.words not in seen]
    drawn = random.Random(0).sample(unseen, min(DEV_SENTENCES, len(unseen)))
    return Task(name, train, tuple(drawn), test)


def compare(runs: Runs, task: Task, configurations: int, finalists: int, seeds: int) -> Row:
    """Sweep, choose the expert, score it and the rules on the test sentences."""
    by_rules: list[Wanted] = [(RULES, seed, "test") for seed in range(seeds)]  # first, since they take longest
    runs.add(task, [*by_rules, *((number, 0, "dev") for number in range(configurations))])
    chosen = best(runs.rows(task.name), seeds=1)[:finalists]
    runs.add(task, [(number, seed, "dev") for number in chosen for seed in range(1, seeds)])
    expert = best(runs.rows(task.name), seeds=seeds)[0]
    runs.add(task, [(expert, seed, "test") for seed in range(seeds)])
    return {
        "name": task.name,
        "configurations": configurations,
        "finalists": finalists,
        **regret(runs.rows(task.name), expert, seeds),
    }


def apart(name: str | None, device: str, task: Task, wanted: Wanted) -> Row:
    """The line of a run, in any process; a process that does several runs loads the backbone once."""
    base = _loaded(name, device)
    return {**report.circumstances(base), **measure(base, task, *wanted)}


@lru_cache(maxsize=1)
def _loaded(name: str | None, device: str) -> Backbone:
    return backbone.load(name, device=torch.device(device))


def measure(base: Backbone, task: Task, number: int, seed: int, scored: str) -> Row:
    """F1 of a configuration, or of the rules, on the sentences to choose on ("dev") or to report on ("test")."""
    row: Row = {"name": task.name, "configuration": number, "seed": seed, "scored": scored}
    if number == RULES:
        return {**row, **tune(base, task.train, task.test, seed)}
    plan = configuration(task.train, number, seed)
    prompt = fit(base, LabelSet.of(labels_of(task.train)), task.train, (), plan).fold()
    scores = evaluate(base, prompt, task.dev if scored == "dev" else task.test)
    return {**row, "settings": plan.as_dict(), f"{scored}_f1": scores.micro.f1}


def configuration(train: Sequence[Sentence], number: int, seed: int) -> rules.Plan:
    """Settings drawn for `number`, around and beyond those of the rules; `seed` is that of the run."""
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


def key_of(row: Row) -> Key:
    """The key that identifies a run."""
    return row["name"], row["configuration"], row["seed"], row["scored"]


def best(rows: Sequence[Row], *, seeds: int) -> list[int]:
    """Configurations that have all `seeds`, by mean F1 on the sentences to choose on, the highest first."""
    found: dict[int, list[float]] = {}
    for row in rows:
        if row["scored"] == "dev" and row["seed"] < seeds:
            found.setdefault(row["configuration"], []).append(row["dev_f1"])
    means = {number: statistics.mean(scores) for number, scores in found.items() if len(scores) == seeds}
    return sorted(means, key=lambda number: (-means[number], number))


def regret(rows: Sequence[Row], expert: int, seeds: int) -> Row:
    """Mean and deviation of test F1 of the rules and of the expert, and their difference."""
    found: Row = {"seeds": seeds}
    for name, number in (("rules", RULES), ("expert", expert)):
        scores = [row["test_f1"] for row in rows if key_of(row)[1::2] == (number, "test") and row["seed"] < seeds]
        found[f"{name}_f1"] = statistics.mean(scores)
        found[f"{name}_stdev"] = statistics.stdev(scores) if seeds > 1 else None
    settings = next(row["settings"] for row in rows if row["configuration"] == expert)
    return {**found, "regret": found["expert_f1"] - found["rules_f1"], "expert_settings": settings}


if __name__ == "__main__":
    main()
