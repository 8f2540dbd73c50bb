"""Tables in Markdown, and the files of results that they are made from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks import report

RESULTS = report.CHECKOUT / "benchmarks" / "results"
Row = Sequence[str]


def read(name: str) -> Any:
    """The results of one benchmark."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def table(header: Row, rows: Iterable[Row]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("|" + "|".join("---" if cell == "---" else f" {cell} " for cell in line) + "|" for line in lines)


def ms(seconds: float) -> str:
    """Seconds as milliseconds, with one decimal."""
    return one(1000 * seconds)


def percent(share: float) -> str:
    """A share in percent, with one decimal."""
    return one(100 * share)


def one(value: float) -> str:
    """A number with one decimal."""
    return f"{value:.1f}"
