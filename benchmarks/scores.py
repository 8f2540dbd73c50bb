"""What scores of many sentences cost: resampled F1 by kinds of sentences, against sentences drawn one by one.

    python -m benchmarks.scores [--sentences 25000] [--turns 5] [--out FILE.json]

Sentences are drawn at random, with up to four entities on either side. Both ways take turns in one process; figures are
medians of processor seconds and of the ratio in each turn.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks import report
from lightner.evaluation.intervals import RESAMPLES, resampled_f1
from lightner.types import Counts

MOST = 4
"""Entities of a sentence on either side."""


def main(given: Sequence[str] | None = None) -> None:
    """Measure and print one JSON object."""
    parser = report.parser(__doc__)
    parser.add_argument("--sentences", type=int, default=25_000)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args(given)
    counts = drawn_counts(options.sentences, seed=0)
    found = {
        **report.circumstances(),
        "options": vars(options),
        "resampling": compared(
            {
                "one by one": lambda: one_by_one(counts, seed=0),
                "by kinds": lambda: resampled_f1(counts, seed=0),
            },
            options.turns,
        ),
    }
    report.print_and_write(found, options.out)


def compared(ways: Mapping[str, Callable[[], object]], turns: int) -> dict[str, Any]:
    """Processor seconds of each way, and how many times as long as the last way the others take."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, run in ways.items():
            began = report.now()
            run()
            spent[name].append(report.since(began)[1])
    *others, last = ways
    ratios = {name: [one / own for one, own in zip(spent[name], spent[last], strict=True)] for name in others}
    return {
        "processor_s": {name: statistics.median(those) for name, those in spent.items()},
        f"times {last}": {name: statistics.median(those) for name, those in ratios.items()},
    }


def drawn_counts(count: int, *, seed: int) -> list[Counts]:
    """Counts of sentences with up to `MOST` entities on either side."""
    generator = random.Random(seed)
    sides = [(generator.randint(0, MOST), generator.randint(0, MOST)) for _ in range(count)]
    return [Counts(generator.randint(0, min(pair)), *pair) for pair in sides]


def one_by_one(*sides: Sequence[Counts], seed: int) -> Tensor:
    """What `resampled_f1` gives, as obvious as can be: every sentence of every draw is drawn and counted by itself."""
    generator, numbers = random.Random(seed), range(len(sides[0]))
    values = []
    for _ in range(RESAMPLES):
        drawn = generator.choices(numbers, k=len(numbers))
        values.append([_f1(side, drawn) for side in sides])
    return torch.tensor(values, dtype=torch.float64).T


def _f1(sentences: Sequence[Counts], drawn: Sequence[int]) -> float:
    right = total = 0
    for number in drawn:
        counts = sentences[number]
        right += counts.true_positives
        total += counts.predicted + counts.gold
    return 2 * right / total if total else 0.0


if __name__ == "__main__":
    main()
