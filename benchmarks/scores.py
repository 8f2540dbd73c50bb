"""Cost of scoring many sentences: seqeval against our own counts, and resampled F1 against draws one by one.

    python -m benchmarks.scores [--sentences 25000] [--turns 5] [--out FILE.json]

Sentences are drawn at random: 5 to 40 words, up to four entities of eighteen types, three of four predicted with their
type. The ways to compute the same scores take turns in one process; figures are medians of CPU seconds and of the ratio
in each turn. `whole`: scores of all sentences at once, for a report. `each`: scores of every sentence by itself, as
intervals and the pooled rounds of a cross-validation need them.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks import report
from lightner.evaluation.intervals import RESAMPLES, resampled_f1
from lightner.evaluation.metrics import score
from lightner.evaluation.reports import rows
from lightner.types import Counts, Scores, Span

MOST = 4
"""Entities of a sentence."""
TYPES = tuple(f"type {number}" for number in range(18))
RIGHT = 0.75


def main(given: Sequence[str] | None = None) -> None:
    """Measure and print one JSON object."""
    parser = report.parser(__doc__)
    parser.add_argument("--sentences", type=int, default=25_000)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args(given)
    gold, predicted = drawn_spans(options.sentences, seed=0)
    pairs = [([golden], [found]) for golden, found in zip(gold, predicted, strict=True)]
    counts = [score(*pair).micro for pair in pairs]
    parts = {
        "whole": {"seqeval": lambda: rows(gold, predicted), "own counts": lambda: score(gold, predicted)},
        "each": {
            "seqeval": lambda: [rows(*pair) for pair in pairs],
            "own counts": lambda: sum((score(*pair) for pair in pairs), Scores()),
        },
        "resampling": {
            "one by one": lambda: one_by_one(counts, seed=0),
            "by kinds": lambda: resampled_f1(counts, seed=0),
        },
    }
    found = {name: compared(ways, options.turns) for name, ways in parts.items()}
    report.print_and_write({**report.circumstances(), "options": vars(options), **found}, options.out)


def compared(ways: Mapping[str, Callable[[], object]], turns: int) -> dict[str, Any]:
    """CPU seconds of each way, and the ratios of the others to the last way."""
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


def drawn_spans(count: int, *, seed: int) -> tuple[list[list[Span]], list[list[Span]]]:
    """Gold and predicted spans of sentences; every entity is found, most with their type."""
    generator = random.Random(seed)
    gold: list[list[Span]] = []
    predicted: list[list[Span]] = []
    for _ in range(count):
        words = generator.randint(5, 40)
        cuts = sorted(generator.sample(range(words + 1), min(words, 2 * generator.randint(0, MOST))))
        spans = [Span(*pair, generator.choice(TYPES)) for pair in zip(cuts[::2], cuts[1::2], strict=False)]
        gold.append(spans)
        right = [(span, generator.random() < RIGHT) for span in spans]
        predicted.append([span if known else replace(span, label=generator.choice(TYPES)) for span, known in right])
    return gold, predicted


def one_by_one(*sides: Sequence[Counts], seed: int) -> Tensor:
    """A slow reference of `resampled_f1`: every sentence of every draw is drawn and counted by itself."""
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
