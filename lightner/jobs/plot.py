"""Pictures of a tuning job: F1 of every trial by round, as a picture, a page and a table, and the calibration.

In the run's storage and next to the prompt.
"""

from __future__ import annotations

import html
import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lightner.evaluation.calibration import Calibrated
from lightner.jobs import scan
from lightner.jobs.on_ray import storage
from lightner.jobs.scan import Trial

PICTURE, PAGE, TABLE = "scan.png", "scan.html", "scan.txt"
CALIBRATION = "calibration.png"
_STYLE = "body{font-family:sans-serif;margin:2em}svg{max-width:100%;height:auto}pre{overflow-x:auto}"


def contents(name: str, trials: Sequence[Trial], chosen: Trial) -> dict[str, bytes]:
    """Picture, page and table of the run `name`, by file name."""
    return {
        PICTURE: picture(trials, chosen),
        PAGE: page(name, trials, chosen),
        TABLE: scan.table(trials, chosen).encode() + b"\n",
    }


def keep(place: str, name: str, files: Mapping[str, bytes]) -> str:
    """Write the `files` into the folder of run `name` in the storage at `place`; returns where that is."""
    where = storage.inside(place, name)
    system, folder = storage.opened(where)
    system.create_dir(folder, recursive=True)
    for file, content in files.items():
        with system.open_output_stream(f"{folder}/{file}") as stream:
            stream.write(content)
    return where


def picture(trials: Sequence[Trial], chosen: Trial) -> bytes:
    """A PNG with a line for every trial; the chosen one is thick, with a mark at its best round."""
    file = io.BytesIO()
    _figure(trials, chosen).savefig(file, format="png", dpi=120, metadata={"Software": None})
    return file.getvalue()


def calibration_picture(found: Calibrated) -> bytes:
    """A PNG: how often entities of a score are right, before and after calibration; precision and recall by threshold.

    Marks are as large as their bins have entities.
    """
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(ncols=2)
    left.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle=":")
    both = (("before", found.error_before, found.bins_before), ("after", found.error_after, found.bins_after))
    for name, error, bins in both:
        scores, shares = [each.score for each in bins], [each.right for each in bins]
        [line] = left.plot(scores, shares, label=f"{name}: expected error {100 * error:.1f} %", linewidth=1.2)
        left.scatter(scores, shares, s=[20 + 200 * each.count / found.guesses for each in bins], color=line.get_color())
    left.set(xlabel="score", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
    for name in ("precision", "recall"):
        right.plot([each.threshold for each in found.curve], [getattr(each, name) for each in found.curve], label=name)
    right.axvline(found.calibration.threshold, color="grey", linestyle=":", label="tuned threshold")
    right.set(xlabel="threshold", xlim=(0, 1), ylim=(0, 1))
    for axes in (left, right):
        axes.legend(fontsize="small")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120, metadata={"Software": None})
    return file.getvalue()


def page(name: str, trials: Sequence[Trial], chosen: Trial) -> bytes:
    """An HTML page that needs no other file: the picture as SVG, its words as text, and the table."""
    drawing = svg(_figure(trials, chosen), name).decode()
    title = html.escape(f"Scan {name}")
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n{drawing[drawing.index('<svg') :]}"
        f"<pre>{html.escape(scan.table(trials, chosen))}</pre>\n</body>\n</html>\n"
    ).encode()


def svg(figure: Figure, salt: str, **metadata: str) -> bytes:
    """An SVG whose text stays text, so that it can be searched and read out; its ids follow from `salt`."""
    file = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, **metadata})
    return file.getvalue()


def _figure(trials: Sequence[Trial], chosen: Trial) -> Figure:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for trial in trials:
        name = f"length {trial.prompt_length}, rate {trial.learning_rate:g}"
        name += f" from {trial.started_from}" if trial.started_from else ""
        name += "" if trial.finished else f" ({trial.unfinished})"
        axes.plot(
            range(1, len(trial.curve) + 1),
            [100 * f1 for f1 in trial.curve],
            label=name,
            linewidth=3 if trial == chosen else 1.2,
            linestyle="-" if trial.finished else "--",
        )
    axes.plot([chosen.rounds], [100 * chosen.f1], "ko", label="chosen")
    axes.set(xlabel="round", ylabel="F1 on held sentences", ylim=(0, 100))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize="small")
    return figure
