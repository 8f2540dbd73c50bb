"""Drawings of how costs grow, for `benchmarks.plots`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import markdown

Row: TypeAlias = Mapping[str, Any]
_REGISTRY = ("publish", "fetch", "resolve", "domains", "versions")


def growth() -> Figure:
    """Cost of tuning by what grows, of a text by domains, and of the registry's operations by versions."""
    found = markdown.read("growth")
    figure = Figure(figsize=(10, 4), layout="constrained")
    tuning, serving, registry = figure.subplots(ncols=3)
    _lines(tuning, found["tuning"], lambda row: (row[row["grows"]], row["all_s"]))
    _lines(serving, found["serving"], lambda row: (row["count"], 1000 * row["text_s"]))
    serving.set(yscale="linear", ylim=(0, None))
    rows = [row for row in found["registry"] if row["store"] == "folder"]
    for operation in _REGISTRY:
        _line(registry, operation, ((row["count"], 1000 * row[operation]) for row in rows))
    _named(tuning, "tuning, all steps", "sentences, labels or words", "s of processor time")
    _named(serving, "a text", "domains or label sets", "ms of processor time")
    _named(registry, "the registry in a folder", "versions and domains", "ms by the clock")
    return figure


def _lines(axes: Axes, rows: Sequence[Row], point: Callable[[Row], Sequence[float]]) -> None:
    """A line for each thing that grows."""
    for kind in dict.fromkeys(row["grows"] for row in rows):
        _line(axes, kind, (point(row) for row in rows if row["grows"] == kind))


def _line(axes: Axes, label: str, points: Iterable[Sequence[float]]) -> None:
    axes.loglog(*zip(*points, strict=True), marker="o", markersize=4, label=label)


def _named(axes: Axes, title: str, of_x: str, of_y: str) -> None:
    axes.set(title=title, xlabel=of_x, ylabel=of_y)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
