"""Shared by benchmarks: command line, clocks, the circumstances of a figure, and the file of results.

Knows no benchmark.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lightner.data.formats import read
from lightner.model.backbone import Backbone
from lightner.types import Sentence

CHECKOUT = Path(__file__).resolve().parent.parent
EXAMPLE = CHECKOUT / "examples" / "recipes"
Run = dict[str, Any]
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


def labelled_sets(given: Sequence[str]) -> list[tuple[str, list[tuple[Sentence, ...]]]]:
    """Of each `NAME=FILE:FILE` the name, and the sentences of its files; all are read before hours are spent on one."""
    named = map(named_files, given)
    return [(name, list(map(read, files))) for name, files in named]


def unseen(train: Sequence[Sentence], dev: Sequence[Sentence], *, most: int) -> list[Sentence]:
    """At most so many sentences of `dev`, drawn at random, none of which is in `train`."""
    known = {sentence.words for sentence in train}
    left = [sentence for sentence in dev if sentence.words not in known]
    return random.Random(0).sample(left, min(most, len(left)))


def circumstances(base: Backbone | None = None) -> dict[str, Any]:
    """The circumstances of a figure: backbone, if any, versions, hardware, date."""
    used = {} if base is None else {"backbone": {"name": base.name, "fingerprint": base.fingerprint}}
    device = "" if base is None else f", device {base.device}"
    return {
        **used,
        "versions": {name: version(name) for name in ("lightner-ray", "torch", "transformers", "ray")},
        "python": platform.python_version(),
        "hardware": f"{platform.machine()}, {os.cpu_count()} CPU cores{device}",
        "date": _today(),
    }


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


class Runs:
    """The runs of a benchmark, in a file from which a later call resumes.

    What `named` gives, such as set and seed, names a run; a run that the file has is not measured again. `summary`
    makes further parts of the file of all runs.
    """

    def __init__(
        self, out: Path | None, base: Backbone, summary: Callable[[Sequence[Run]], Mapping[str, Any]] = lambda _: {}
    ) -> None:
        self._out, self._base, self._summary = out, base, summary
        self.rows = runs_before(out, base)

    def add(self, measure: Callable[[], Mapping[str, Any]], **named: Any) -> None:
        """Measure and write the run of this name, unless it is there."""
        if any(named.items() <= run.items() for run in self.rows):
            return
        self.rows.append({**named, **measure(), "date": _today()})
        brief = {key: value for key, value in self.rows[-1].items() if not isinstance(value, list)}
        print(json.dumps(brief, default=str), flush=True)
        write({**circumstances(self._base), **self._summary(self.rows), "runs": self.rows}, self._out)


def runs_before(out: Path | None, base: Backbone) -> list[Run]:
    """The runs that a file has, if it is there."""
    return list(results_before(out, base).get("runs", ()))


def results_before(out: Path | None, base: Backbone) -> dict[str, Any]:
    """The results that a file has, if it is there; those of another backbone are refused."""
    if out is None or not out.exists():
        return {}
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    if found["backbone"]["fingerprint"] != base.fingerprint:
        raise SystemExit(f"{out}: found runs of another backbone, expected {base.fingerprint[:12]}; name another file")
    return found


def fill(
    out: Path | None,
    base: Backbone,
    parts: Mapping[str, Callable[[], Any]],
    *,
    summary: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda _: {},
    given: Mapping[str, Any] | None = None,
) -> None:
    """Measure the parts of a benchmark that its file lacks; print and write each as soon as it is known.

    What was `given` to the benchmark, and what `summary` makes of all parts, is written beside them.
    """
    found = {**results_before(out, base), **circumstances(base), **(given or {})}
    for key, part in parts.items():
        if key not in found:
            found[key] = part()
        print(json.dumps({key: found[key]}), flush=True)
        write({**found, **summary(found)}, out)


def by_set(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """The runs of each set, in the order in which the sets come."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run["name"], []).append(run)
    return found


def means(runs: Sequence[Run], figures: Iterable[str]) -> dict[str, float]:
    """The mean over the runs of each figure, to a decimal."""
    return {figure: round(statistics.mean(run[figure] for run in runs), 1) for figure in figures}


def spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation; of one value there is no deviation."""
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None


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
