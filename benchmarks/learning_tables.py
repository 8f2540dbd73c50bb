"""Tables of prompts that learn whole training files, or start from another domain's, for `benchmarks.tables`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from benchmarks import report
from benchmarks.full_data import PROMPT
from benchmarks.markdown import ms, one, percent, read, table
from benchmarks.names import METHODS, NAMES
from benchmarks.transfer import ALONE, by_seed, chosen, of_source


def full_data() -> str:
    """Every run on whole training files; of each method the one that is best on development sentences is bold."""
    header = ("set", "method", "rate", "passes", "steps", "development F1", "test F1", "a step, ms", "memory, MB")
    rows = []
    for name, of_set in report.by_set(read("full_data")["runs"]).items():
        best = best_on_dev(of_set)
        for run in of_set:
            f1 = [percent(run["dev_f1"]), percent(run["test_f1"])]
            shown = [f"**{each}**" for each in f1] if run in best else f1
            sizes = [f"{run['rate']:g}", f"{run['passes']:g}", f"{run['steps']:,}"]
            rows.append([NAMES[name], way_of(run), *sizes, *shown, *_spent(run)])
    return table(header, rows)


def full_data_classes() -> str:
    """F1 of each class on the test sentences, of the runs that measured it."""
    runs = [run for run in read("full_data")["runs"] if "test_classes" in run]
    classes = list(dict.fromkeys(label for run in runs for label in run["test_classes"]))
    rows = []
    for run in runs:
        f1 = [percent(run["test_f1"]), *(_of_class(run, label) for label in classes)]
        rows.append([NAMES[run["name"]], way_of(run), f"{run['passes']:g}", *f1])
    return table(("set", "method", "passes", "all", *classes), rows)


def transfer() -> str:
    """F1 of every target from its label words, and what each source adds."""
    found = read("transfer")
    matrix: Mapping[str, Mapping[str, float]] = found["matrix"]
    alone = {name: of_source(of_set, ALONE, "f1") for name, of_set in report.by_set(found["runs"]).items()}
    rows = []
    for target, gains in matrix.items():
        cells = [f"{gains[source]:+.1f}" if source in gains else "" for source in matrix]
        rows.append([NAMES[target], one(alone[target]), *cells])
    return table(("target", ALONE, *(NAMES[source] for source in matrix)), rows)


def transfer_pairs() -> str:
    """Of all pairs, and of those of CrossNER's domains, how many gain and what they gain on the mean."""
    matrix: Mapping[str, Mapping[str, float]] = read("transfer")["matrix"]
    pairs = [(target, source) for target, gains in matrix.items() for source in gains]
    crossner = [pair for pair in pairs if all(NAMES[name].startswith("CrossNER") for name in pair)]
    rows = []
    for said, some in (("all", pairs), ("CrossNER's domains among themselves", crossner)):
        gains = [matrix[target][source] for target, source in some]
        rows.append([said, str(len(gains)), str(sum(each > 0 for each in gains)), f"{statistics.mean(gains):+.1f}"])
    return table(("pairs", "number", "gain", "mean"), rows)


def transfer_chosen() -> str:
    """Of every target and seed the start that cross-validation takes, what it adds, and what the best would."""
    rows, gained = [], [list[float](), list[float]()]
    for name, of_set in report.by_set(read("transfer")["runs"]).items():
        for own in by_seed(of_set):
            base = of_source(own, ALONE, "f1")
            took, best = chosen(own), max(own, key=lambda run: run["f1"])
            for each, run in zip(gained, (took, best), strict=True):
                each.append(run["f1"] - base)
            rows.append([NAMES[name], *(_start(run, base) for run in (took, best))])
    rows.append(["mean", *(f"**{statistics.mean(each):+.1f}**" for each in gained)])
    return table(("target", "chosen by cross-validation", "best on what is read"), rows)


def best_on_dev(runs: Sequence[report.Run]) -> list[report.Run]:
    """Of each method the run with the best F1 on development sentences."""
    methods = dict.fromkeys(run["method"] for run in runs)
    return [max((run for run in runs if run["method"] == each), key=lambda run: run["dev_f1"]) for each in methods]


def way_of(run: report.Run) -> str:
    """What a run on a whole training file learned."""
    return f"prompt of length {run['length']}" if run["method"] == PROMPT else METHODS[run["method"]]


def _start(run: report.Run, base: float) -> str:
    said = NAMES.get(run["source"], run["source"])
    return f"{said}, {run['f1'] - base:+.1f}"


def _of_class(run: report.Run, label: str) -> str:
    found = run["test_classes"].get(label)
    return "" if found is None else percent(found)


def _spent(run: report.Run) -> list[str]:
    step = ms(run["processor_s"] / run["steps"]) if "processor_s" in run else ""
    return [step, f"{run['memory_bytes'] / 1e6:,.0f}"]
