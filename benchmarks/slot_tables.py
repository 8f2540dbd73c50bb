"""Tables of more feed-forward slots, for `benchmarks.tables`: what they gain, by the sentences learned, and cost."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import report
from benchmarks.markdown import one, read, table

SETS = {
    "conll50": ("CoNLL-2003, 50 of each type", 82),
    "ai100": ("CrossNER AI", 100),
    "music100": ("CrossNER music", 100),
    "movie20": ("MIT Movie 20-shot", 143),
    "conll100": ("CoNLL-2003, 100 of each type", 160),
    "politics200": ("CrossNER politics", 200),
    "movie50": ("MIT Movie 50-shot", 286),
    "conll250": ("CoNLL-2003, 250 of each type", 414),
    "movie100": ("MIT Movie 100-shot", 658),
}
"""Names and numbers of sentences of the sets, in the order of the latter."""
NUMBERS = (32, 128, 256)
_WAYS = {"alone": "a text alone", "one": "32 texts, one domain", "mixed": "32 texts, 32 domains"}


def gains() -> str:
    """F1 by the number of slots, of every set and seed, and what further slots gain in the mean over seeds."""
    rows = [_gain_row(name, runs) for name, runs in _runs_by_set().items()]
    return table(("set", "sentences", *(f"{slots} slots" for slots in NUMBERS), "128 gain", "256 gain"), rows)


def _runs_by_set() -> Mapping[str, Sequence[report.Run]]:
    found = report.by_set(read("feed_forward_slots")["runs"])
    return {name: found[name] for name in SETS if name in found}


def _gain_row(name: str, runs: Sequence[report.Run]) -> list[str]:
    said, sentences = SETS[name]
    f1 = {slots: {run["seed"]: run["f1"] for run in runs if run["way"] == _way(slots)} for slots in NUMBERS}
    cells = [", ".join(one(each) for each in by_seed.values()) for by_seed in f1.values()]
    return [said, str(sentences), *cells, *(_gain(f1[NUMBERS[0]], f1[slots]) for slots in NUMBERS[1:])]


def _way(slots: int) -> str:
    return f"{slots} feed-forward slots"


def _gain(few: Mapping[int, float], many: Mapping[int, float]) -> str:
    """The mean difference over the seeds that both have."""
    both = [many[seed] - few[seed] for seed in sorted(set(few) & set(many))]
    return f"{statistics.fmean(both):+.1f}" if both else ""


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
