"""Invented trials of a scan, for tests."""

from __future__ import annotations

from lightner.jobs import scan
from lightner.tuning.training import Round
from lightner.types import Counts, Scores


def trial(
    *hits: int, length: int = 8, rate: float = 1e-3, finished: bool = True, source: str | None = None
) -> scan.Trial:
    """A trial that found the given numbers of ten entities after its rounds."""
    history = tuple(Round(n, n, 1.0, Scores({"x": Counts(hit, 10, 10)})) for n, hit in enumerate(hits, 1))
    return scan.Trial(length, rate, history, 1.0, finished, started_from=source)
