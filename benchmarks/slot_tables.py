"""Tables of more feed-forward slots, for `benchmarks.tables`: what they gain, by the sentences learned, and cost."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import report
from benchmarks.markdown import one, read, table
from benchmarks.names import NAMES

SENTENCES = {
    "ai100": 100,
    "music100": 100,
    "movie20": 143,
    "conll100": 160,
    "politics200": 200,
    "movie50": 286,
    "conll250": 414,
    "movie100": 658,
}
"""Of the sets, in their order."""
NUMBERS = (32, 128, 256)
FEWEST = 128
"""Sentences from which the rules give 128 slots."""
_WAYS = {"alone": "a text alone", "one": "32 texts, one domain", "mixed": "32 texts, 32 domains"}


def gains() -> str:
    """F1 by the number of slots, of every set and seed, what further slots gain, and the mean of larger sets."""
    rows, gained = [], {slots: list[float]() for slots in NUMBERS[1:]}
    found = report.by_set(read("feed_forward_slots")["runs"])
    for name, sentences in ((name, count) for name, count in SENTENCES.items() if name in found):
        f1 = {slots: _by_seed(found[name], slots) for slots in NUMBERS}
        gain = {slots: _gain(f1[NUMBERS[0]], f1[slots]) for slots in gained}
        cells = [", ".join(one(each) for each in by_seed.values()) for by_seed in f1.values()]
        cells += ["" if each is None else f"{each:+.1f}" for each in gain.values()]
        rows.append([NAMES[name], str(sentences), *cells])
        for slots, each in gain.items():
            if sentences >= FEWEST and each is not None:
                gained[slots].append(each)
    means = [f"**{statistics.fmean(each):+.1f}** ({len(each)} sets)" for each in gained.values()]
    rows.append([f"mean of those of {FEWEST} sentences or more", *("" for _ in range(1 + len(NUMBERS))), *means])
    return table(("set", "sentences", *(f"{slots} slots" for slots in NUMBERS), "128 gain", "256 gain"), rows)


def _by_seed(runs: Sequence[report.Run], slots: int) -> dict[int, float]:
    return {run["seed"]: run["f1"] for run in runs if run["way"] == f"{slots} feed-forward slots"}


def _gain(few: Mapping[int, float], many: Mapping[int, float]) -> float | None:
    """The mean difference over the seeds that both have; None where there is none."""
    both = [many[seed] - few[seed] for seed in sorted(set(few) & set(many))]
    return statistics.fmean(both) if both else None


def costs(name: str = "slots") -> str:
    """Bytes, loads and rates by the number of slots, each against the fewest."""
    found: Mapping[str, Any] = read(name)["slots"]
    first = next(iter(found.values()))
    header = ("slots", "in memory, MB", "files, MB", "load, ms", *_WAYS.values(), "many domains against one")
    rows = []
    for slots, each in found.items():
        sizes = [f"{each[key] / 1e6:.2f}" for key in ("memory_bytes", "file_bytes")]
        times = each["milliseconds"]
        rates = [f"{first['milliseconds'][way] / times[way]:.2f}" for way in _WAYS]
        rows.append([slots, *sizes, one(each["load_ms"]), *rates, f"**{times['one'] / times['mixed']:.2f}**"])
    return table(header, rows)
