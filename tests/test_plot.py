"""The scan's picture and table: readable files in the run's storage."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib.image
import pytest

from jobs import plot, scan
from tests.test_jobs import trial

TRIALS = (trial(1, 5, 7, 6), trial(1, 3, rate=0.01, finished=False))


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_picture_and_table_are_kept_in_the_runs_folder(tmp_path: Path, scheme: str) -> None:
    where = plot.keep(f"{scheme}{tmp_path}/runs/", "people-1", TRIALS, TRIALS[0])
    assert where == f"{scheme}{tmp_path}/runs/people-1"
    folder = tmp_path / "runs" / "people-1"
    assert (folder / "scan.txt").read_text() == scan.table(TRIALS, TRIALS[0]) + "\n"
    assert (folder / "scan.png").read_bytes() == plot.picture(TRIALS, TRIALS[0])


def test_the_picture_shows_every_trial() -> None:
    pixels = matplotlib.image.imread(io.BytesIO(plot.picture(TRIALS, TRIALS[0])))
    alone = matplotlib.image.imread(io.BytesIO(plot.picture(TRIALS[:1], TRIALS[0])))
    assert pixels.shape == alone.shape
    assert pixels.shape[0] > 400
    assert (pixels != alone).any()
