"""What each setting is worth: ordinary least squares over the configurations of `benchmarks/regret.py`.

    python -m benchmarks.effects benchmarks/results/regret.jsonl

For every data set whose sweep is whole: F1 on the sentences to choose on, first seed, explained by the settings. A
coefficient is points of F1 for the change that its column names, other settings alike, with its standard error. Only
sentences that the sweep chooses on are looked at, never a test file.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.regret import CONFIGURATIONS

CHANGES: Mapping[str, Callable[[Mapping[str, Any]], float]] = {
    "rate x 2": lambda settings: math.log2(settings["learning_rate"]),
    "length x 2": lambda settings: math.log2(settings["prompt_length"]),
    "batch x 2": lambda settings: math.log2(settings["batch_size"]),
    "passes x 2": lambda settings: math.log2(settings["steps"] * settings["batch_size"]),
    "warm-up + 10 %": lambda settings: 10 * settings["warm_up_steps"] / settings["steps"],
    "weight decay + 0.1": lambda settings: 10 * settings["weight_decay"],
    "feed-forward slots": lambda settings: float(settings["feed_forward_slots"] > 0),
    "dropout + 0.1": lambda settings: 10 * settings["dropout"],
}
"""What a coefficient stands for, and the number of a configuration that it multiplies."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Points of F1, and their standard error."""

    points: float
    error: float


def main() -> None:
    """Print a table, a row per data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    rows = [json.loads(line) for line in parser.parse_args().runs.read_text("utf-8").splitlines()]
    swept = [row for row in rows if row["scored"] == "dev" and row["seed"] == 0]
    print("| set |", " | ".join(CHANGES), "|")
    print("|---|" + "---|" * len(CHANGES))
    for name in dict.fromkeys(row["name"] for row in swept):
        those = [row for row in swept if row["name"] == name]
        if len(those) >= CONFIGURATIONS:
            found = effects([row["settings"] for row in those], [100 * row["dev_f1"] for row in those])
            shown = (f"{effect.points:.1f} ± {effect.error:.1f}" for effect in found.values())
            print(f"| {name} |", " | ".join(shown), "|")


def effects(settings: Sequence[Mapping[str, Any]], scores: Sequence[float]) -> dict[str, Effect]:
    """The least-squares effect of each of `CHANGES` on the scores of as many runs, with an intercept."""
    design = torch.tensor([[1.0, *(of(each) for of in CHANGES.values())] for each in settings], dtype=torch.float64)
    target = torch.tensor(scores, dtype=torch.float64)
    inverse = torch.linalg.inv(design.T @ design)
    found = inverse @ design.T @ target
    freedom = len(scores) - design.shape[1]
    variance = (target - design @ found).square().sum() / freedom
    errors = (variance * inverse.diagonal()).sqrt()
    return {name: Effect(float(found[place]), float(errors[place])) for place, name in enumerate(CHANGES, start=1)}


if __name__ == "__main__":
    main()
