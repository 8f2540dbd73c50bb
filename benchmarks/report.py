"""Shared by benchmarks: command line, clocks, the circumstances of a figure, and the file of results.

Knows no benchmark.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lightner.data.formats import read
from lightner.model.backbone import Backbone
from lightner.types import Sentence

CHECKOUT = Path(__file__).resolve().parent.parent
EXAMPLE = CHECKOUT / "examples" / "recipes"
Cost = tuple[float, float]
"""Seconds by the clock, and of the processor, which other work on the machine moves less."""


def parser(description: str | None, *, must_write: bool = False, out: str = "FILE") -> argparse.ArgumentParser:
    """A command line that shows a benchmark's docstring as its help, with `--out` for its results."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", type=Path, required=must_write, metavar=out, help="for the results")
    return made


def named_files(text: str) -> tuple[str, list[str]]:
    """Name and files of `NAME=FILE:FILE`."""
    name, _, files = text.partition("=")
    return name, files.split(":")


def labelled_sets(given: Sequence[str]) -> Iterator[tuple[str, list[tuple[Sentence, ...]]]]:
    """Of each `NAME=FILE:FILE` the name, and the sentences of its files."""
    for text in given:
        name, files = named_files(text)
        yield name, list(map(read, files))


def circumstances(base: Backbone | None = None) -> dict[str, Any]:
    """The circumstances of a figure: backbone, if any, versions, hardware, date."""
    used = {} if base is None else {"backbone": {"name": base.name, "fingerprint": base.fingerprint}}
    device = "" if base is None else f", device {base.device}"
    return {
        **used,
        "versions": {name: version(name) for name in ("lightner-ray", "torch", "transformers", "ray")},
        "python": platform.python_version(),
        "hardware": f"{platform.machine()}, {os.cpu_count()} CPU cores{device}",
        "date": datetime.now(UTC).date().isoformat(),
    }


def now() -> Cost:
    """The time on both clocks."""
    return time.perf_counter(), time.process_time()


def since(began: Cost) -> Cost:
    """The time spent since `began`, a result of `now`."""
    clock, processor = now()
    return clock - began[0], processor - began[1]


def write(found: Mapping[str, Any], out: Path | None) -> None:
    """Write the results into `out`, if given."""
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(_json(found) + "\n", encoding="utf-8")


def print_and_write(found: Mapping[str, Any], out: Path | None) -> None:
    """Print the results as one JSON object, and write them as `write` does."""
    print(_json(found))
    write(found, out)


def _json(found: Mapping[str, Any]) -> str:
    return json.dumps(found, indent=2, default=str)
