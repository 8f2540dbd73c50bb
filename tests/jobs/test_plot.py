"""The scan's picture and table: readable files in the run's storage."""

from __future__ import annotations

import io
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import pytest

from lightner.evaluation.calibration import Guess, calibrate
from lightner.jobs import plot, scan
from tests.support.scans import trial

TRIALS = (trial(1, 5, 7, 6), trial(1, 3, rate=0.01, finished=False))


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_picture_page_and_table_are_kept_in_the_runs_folder(tmp_path: Path, scheme: str) -> None:
    where = plot.keep(f"{scheme}{tmp_path}/runs/", "people-1", plot.contents("people-1", TRIALS, TRIALS[0]))
    assert where == f"{scheme}{tmp_path}/runs/people-1"
    folder = tmp_path / "runs" / "people-1"
    assert (folder / "scan.txt").read_text() == scan.table(TRIALS, TRIALS[0]) + "\n"
    assert (folder / "scan.png").read_bytes() == plot.picture(TRIALS, TRIALS[0])
    assert (folder / "scan.html").read_bytes() == plot.page("people-1", TRIALS, TRIALS[0])


def test_the_picture_shows_every_trial() -> None:
    pixels = matplotlib.image.imread(io.BytesIO(plot.picture(TRIALS, TRIALS[0])))
    alone = matplotlib.image.imread(io.BytesIO(plot.picture(TRIALS[:1], TRIALS[0])))
    assert pixels.shape == alone.shape
    assert pixels.shape[0] > 400
    assert (pixels != alone).any()


def test_the_calibration_is_drawn_before_and_after(tmp_path: Path) -> None:
    guesses = [Guess("dish", 0.5 + number / 200, number % 3 > 0) for number in range(100)]
    found = calibrate(guesses, gold=100)
    assert found is not None
    pixels = matplotlib.image.imread(io.BytesIO(plot.calibration_picture(found)))
    alone = matplotlib.image.imread(io.BytesIO(plot.calibration_picture(replace(found, bins_after=()))))
    assert pixels.shape == alone.shape
    assert (pixels != alone).any()


def test_the_page_holds_picture_and_table_and_needs_nothing_else() -> None:
    trials = (replace(TRIALS[0], started_from="<b>&@v000001"), TRIALS[1])
    text = plot.page("people-1", trials, trials[0]).decode()
    seen = _Seen()
    seen.feed(text)
    seen.close()
    words = " ".join(seen.words)
    assert "length 8, rate 0.01 (stopped early)" in words
    assert "from <b>&@v000001" in words, "escaped once, in picture and table"
    assert scan.table(trials, trials[0]) in seen.words
    assert {"svg", "pre", "h1"} <= set(seen.tags)
    assert not {"script", "link", "img", "iframe", "b"} & set(seen.tags)
    assert not [target for target in seen.targets if not target.startswith("#")]


class _Seen(HTMLParser):
    """Tags, texts and link targets of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.targets += [value or "" for name, value in attrs if name in ("href", "src", "xlink:href")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)
