"""The scan as a picture and a table in the run's storage: F1 of every trial by round."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jobs import scan, storage
from jobs.scan import Trial

PICTURE, TABLE = "scan.png", "scan.txt"


def keep(place: str, name: str, trials: Sequence[Trial], chosen: Trial) -> str:
    """Write both into the folder of run `name` in the storage at `place`; returns where that is."""
    where = storage.inside(place, name)
    files, folder = storage.opened(where)
    files.create_dir(folder, recursive=True)
    for file, content in ((PICTURE, picture(trials, chosen)), (TABLE, scan.table(trials, chosen).encode() + b"\n")):
        with files.open_output_stream(f"{folder}/{file}") as stream:
            stream.write(content)
    return where


def picture(trials: Sequence[Trial], chosen: Trial) -> bytes:
    """A PNG with a line for every trial; the chosen one is thick, with a mark at the round where a run should end."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for trial in trials:
        rounds = range(1, len(trial.curve) + 1)
        name = f"length {trial.prompt_length}, rate {trial.learning_rate:g}"
        name += "" if trial.finished else " (stopped early)"
        axes.plot(
            rounds,
            [100 * f1 for f1 in trial.curve],
            label=name,
            linewidth=3 if trial == chosen else 1.2,
            linestyle="-" if trial.finished else "--",
        )
    axes.plot([chosen.rounds], [100 * chosen.f1], "ko", label="chosen")
    axes.set(xlabel="round", ylabel="F1 on held sentences", ylim=(0, 100))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize="small")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120, metadata={"Software": None})
    return file.getvalue()
