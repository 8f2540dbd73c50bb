"""Draw the results of benchmarks, from the JSON files beside their notes.

    python -m benchmarks.plots

Each drawing is `benchmarks/results/NAME.svg` and names the SHA-256 of what it was drawn from;
`tests/docs/test_plots.py` fails where that is not what lies beside it. Figures of F1 are strict, micro, in percent; a
dot is a seed.
"""

from __future__ import annotations

import hashlib
import statistics
import textwrap
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import cost_plots, cost_tables, markdown, report, tables
from benchmarks.names import METHODS, NAMES
from lightner.jobs.plot import svg

_PUBLISHED = {"sought": "sought", "stage B": "stage_b", "paper, BART-large, chosen on test": "paper"}
_COLUMN = 9  # characters of a name under a drawing of a dozen sets
_WIDTH, _OF_A_NAME = 8, 0.8  # inches, of a drawing at least, and of a name
_MARKS = ("_", "x", "+", "1", "2")


def main() -> None:
    """Write every drawing."""
    for name in DRAWINGS:
        (markdown.RESULTS / f"{name}.svg").write_bytes(drawing(name))


def drawing(name: str) -> bytes:
    """The drawing as SVG; the same results make the same bytes with the same matplotlib."""
    return svg(DRAWINGS[name](), name, Source=source(name))


def source(name: str) -> str:
    """What a drawing is made from, in a line: the SHA-256 of its results and of the published figures."""
    files = (markdown.RESULTS / f"{each}.json" for each in (name, "published"))
    return "sha256 " + " ".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)


def few_shot() -> Figure:
    """F1 of every seed of every set that was tuned on, beside what others have."""
    runs = report.by_set(markdown.read("few_shot")["runs"])
    figure, axes = _figure()
    _dots(axes, [[100 * run["test_f1"] for run in of_set] for of_set in runs.values()], "tuned by the rules")
    _beside(axes, list(runs), _PUBLISHED)
    return _finished(figure, axes, [NAMES[name] for name in runs])


def baselines() -> Figure:
    """F1 of every seed of prompt tuning and of each other method, by set."""
    found = report.by_set(markdown.read("baselines")["runs"])
    prompts = report.by_set(markdown.read("few_shot")["runs"])
    figure, axes = _figure()
    _dots(axes, [[100 * run["test_f1"] for run in prompts[name]] for name in found], "prompt tuning")
    for number, (method, said) in enumerate(METHODS.items(), start=1):
        own = [[100 * run["test_f1"] for run in runs if run["method"] == method] for runs in found.values()]
        if any(own):
            _dots(axes, own, said, mark=_MARKS[number], color=f"C{number}")
    axes.set(ylabel="F1", ylim=(0, 100))
    return _finished(figure, axes, [NAMES[name] for name in found])


def ablations() -> Figure:
    """Mean change in F1 of each way of tuning, against the rules."""
    changes = tables.changes()
    figure = Figure(figsize=(8, 0.25 * len(changes) + 1), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color="grey", linewidth=1)
    for place, of_sets in enumerate(reversed(changes.values())):
        axes.plot(of_sets, [place] * len(of_sets), "o", color="C0", alpha=0.4)
        axes.plot(statistics.fmean(of_sets), place, "|", color="C1", markersize=14)
    axes.set_yticks(range(len(changes)), list(reversed(changes)), fontsize="small")
    axes.set_xlabel("change in F1 on development sentences; a dot is a set, the line their mean")
    axes.grid(axis="x", alpha=0.3)
    return figure


def zero_shot() -> Figure:
    """F1 from label names alone, beside what GLiNER published."""
    rows = {row["name"]: row["f1"] for row in markdown.read("zero_shot")["rows"]}
    figure, axes = _figure()
    _dots(axes, [[f1] for f1 in rows.values()], "label names alone")
    _beside(axes, list(rows), {name: name for name in tables.published() if name.startswith("GLiNER")})
    return _finished(figure, axes, [tables.whole(name) for name in rows])


def labelling_order() -> Figure:
    """F1 by number of labelled sentences, suggested ones and random ones."""
    means: Mapping[str, Any] = markdown.read("labelling_order")["means"]
    figure, axes = _figure()
    for color, (name, ways) in enumerate(means.items()):
        for (way, by_number), line in zip(ways.items(), ("-", ":"), strict=True):
            numbers = [int(number) for number in by_number]
            label = f"{tables.whole(name).strip('`')}, {way}"
            axes.plot(numbers, list(by_number.values()), line, marker="o", color=f"C{color}", label=label)
    axes.set(xlabel="labelled sentences", ylabel="F1", xticks=numbers)
    axes.legend(fontsize="small")
    return figure


def transfer() -> Figure:
    """What each source adds to each target."""
    matrix: Mapping[str, Mapping[str, float]] = markdown.read("transfer")["matrix"]
    names = [_in_lines(NAMES[name]) for name in matrix]
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.subplots()
    gains = [[matrix[target].get(source, float("nan")) for source in matrix] for target in matrix]
    largest = max(abs(gain) for of_target in matrix.values() for gain in of_target.values())
    shown = axes.imshow(gains, cmap="RdBu", vmin=-2 * largest, vmax=2 * largest)
    for row, column in product(range(len(names)), repeat=2):
        if row != column:
            axes.text(column, row, f"{gains[row][column]:+.1f}", ha="center", va="center", fontsize="small")
    axes.set_xticks(range(len(names)), names, fontsize="small")
    axes.set_yticks(range(len(names)), names, fontsize="small")
    axes.set(xlabel="source", ylabel="target")
    figure.colorbar(shown, label="gain in F1")
    return figure


def self_training() -> Figure:
    """Gain of each run by unlabelled sentences, by set."""
    runs = report.by_set(markdown.read("self_training")["runs"])
    figure, axes = _figure()
    axes.axhline(0, color="grey", linewidth=1)
    gains = [[run["from 0.5"] - run["without"] for run in of_set] for of_set in runs.values()]
    _dots(axes, gains, "with unlabelled sentences, minus without")
    axes.set_ylabel("gain in F1")
    return _finished(figure, axes, [NAMES[name] for name in runs])


def peers() -> Figure:
    """How many times as fast ours is, by number of labels, one thread."""
    cells = [row for row in markdown.read("peers")["cells"] if row["cell"]["threads"] == 1]
    figure = Figure(figsize=(8, 4), layout="constrained")
    for axes, batch in zip(figure.subplots(ncols=2, sharey=True), (1, 32), strict=True):
        axes.axhline(1, color="grey", linewidth=1)
        for (peer, color), (words, line) in product(
            (("gliner", "C0"), ("token_classifier", "C1")), ((20, "-"), (200, "--"))
        ):
            of_line = [row for row in cells if (row["cell"]["batch"], row["cell"]["words"]) == (batch, words)]
            shown = sorted((row["cell"]["labels"], row["times_as_fast"][peer]["processor_s"]) for row in of_line)
            label = f"{cost_tables.LIBRARIES[peer]}, {words} words"
            axes.loglog(*zip(*shown, strict=True), line, marker="o", color=color, label=label)
        axes.set(title="a text alone" if batch == 1 else f"{batch} texts together", xlabel="labels")
        _ticks(axes, [0.5, 1, 2, 4, 8])
    axes.legend(fontsize="small")
    figure.axes[0].set_ylabel("times as fast as")
    return figure


def labels() -> Figure:
    """Milliseconds of processor time by the number of labels."""
    cost = markdown.read("labels")["cost"]
    figure, axes = _figure()
    said = {"labels_read": "reading the labels, once", "one_text": "a text alone", "batch_of_32": "32 texts together"}
    for way, label in said.items():
        times = [1000 * row[way]["processor_s"] for row in cost]
        axes.loglog([row["labels"] for row in cost], times, marker="o", label=label)
    axes.set(xlabel="labels", ylabel="ms of processor time")
    _ticks(axes, [10, 20, 50, 100, 200, 400])
    axes.legend(fontsize="small")
    return figure


DRAWINGS: dict[str, Callable[[], Figure]] = {
    "ablations": ablations,
    "baselines": baselines,
    "few_shot": few_shot,
    "growth": cost_plots.growth,
    "labelling_order": labelling_order,
    "labels": labels,
    "peers": peers,
    "self_training": self_training,
    "transfer": transfer,
    "zero_shot": zero_shot,
}


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, 4), layout="constrained")
    return figure, figure.subplots()


def _dots(axes: Axes, values: Sequence[Sequence[float]], label: str, *, mark: str = "o", color: str = "C0") -> None:
    places = [place for place, of_set in enumerate(values) for _ in of_set]
    shown = [value for of_set in values for value in of_set]
    axes.plot(places, shown, mark, color=color, alpha=0.7, label=label)


def _beside(axes: Axes, names: Sequence[str], sources: Mapping[str, str]) -> None:
    for number, (label, key) in enumerate(sources.items()):
        f1: Mapping[str, float] = tables.published()[key]["f1"]
        places = [place for place, name in enumerate(names) if name in f1]
        shown = [f1[names[place]] for place in places]
        axes.plot(places, shown, _MARKS[number], color=f"C{number + 1}", markersize=11, label=label)
    axes.set(ylabel="F1", ylim=(0, 100))


def _finished(figure: Figure, axes: Axes, names: Sequence[str]) -> Figure:
    figure.set_figwidth(max(_WIDTH, _OF_A_NAME * len(names)))
    axes.set_xticks(range(len(names)), [_in_lines(name) for name in names], fontsize="small")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize="small", loc="lower right")
    return figure


def _in_lines(name: str) -> str:
    return textwrap.fill(name.strip("`").replace("/", "/ ").replace("_", "_ "), _COLUMN, break_long_words=False)


def _ticks(axes: Axes, of_y: Sequence[float]) -> None:
    for axis, ticks in ((axes.xaxis, (1, 5, 20, 50, 150)), (axes.yaxis, of_y)):
        low, high = axis.get_view_interval()
        shown = [tick for tick in ticks if low <= tick <= high]
        axis.set_ticks(shown, [f"{tick:g}" for tick in shown])
    axes.minorticks_off()
    axes.grid(alpha=0.3)


if __name__ == "__main__":
    main()
