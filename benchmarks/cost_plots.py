"""Drawings of how costs grow, for `benchmarks.plots`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import markdown

_REGISTRY = ("publish", "fetch", "resolve", "domains", "versions")


def growth() -> Figure:
    """Cost of tuning by what grows, of a text by domains, and of the registry's operations by versions."""
    found = markdown.read("growth")
    figure = Figure(figsize=(10, 4), layout="constrained")
    tuning, serving, registry = figure.subplots(ncols=3)
    for kind in dict.fromkeys(row["grows"] for row in found["tuning"]):
        _line(tuning, kind, ((row[kind], row["all_s"]) for row in found["tuning"] if row["grows"] == kind))
    for kind in dict.fromkeys(row["grows"] for row in found["serving"]):
        _line(serving, kind, ((row["count"], 1000 * row["text_s"]) for row in found["serving"] if row["grows"] == kind))
    serving.set(yscale="linear", ylim=(0, None))
    for operation in _REGISTRY:
        rows = [row for row in found["registry"] if row["store"] == "folder"]
        _line(registry, operation, ((row["count"], 1000 * row[operation]) for row in rows))
    _named(tuning, "tuning, all steps", "sentences, labels or words", "s of processor time")
    _named(serving, "a text", "domains or label sets", "ms of processor time")
    _named(registry, "the registry in a folder", "versions and domains", "ms by the clock")
    return figure


def _line(axes: Axes, label: str, points: Iterable[Sequence[float]]) -> None:
    axes.loglog(*zip(*points, strict=True), marker="o", markersize=4, label=label)


def _named(axes: Axes, title: str, of_x: str, of_y: str) -> None:
    axes.set(title=title, xlabel=of_x, ylabel=of_y)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
