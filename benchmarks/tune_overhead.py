"""Cost of a whole tuning job on a running Ray, and the part of it that is learning.

    python -m benchmarks.tune_overhead --out FILE.json
    python -m benchmarks.tune_overhead --checkout ANOTHER-CHECKOUT --out FILE.json
    python -m benchmarks.tune_overhead --out FILE.json -- --gpu --runs-per-gpu 1

Starts a private Ray, waits for it, then runs `jobs/tune.py` on the example domain with only the options after `--`. CPU
time is read from /proc every half second over the job and all processes of that Ray, so on a busy machine it means more
than wall time. `not_learning_s`: seconds of wall time of each trial as Ray Tune counts them, and of the final run since
its announcement, in which its (first) worker did not learn or score.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import report
from lightner.jobs.on_ray import local
from lightner.model import backbone
from lightner.store.registry import Registry

TRAIN = "examples/recipes/train.conll"
_EVERY_S = 0.5
_TICKS = os.sysconf("SC_CLK_TCK")
_MARKS = {"first_round": r"^scan ", "scanned": r"^kept as ", "final_run": r"^learning the winner", "gate": r"^gate: "}


def main(given: Sequence[str] | None = None) -> None:
    """Measure one job and write one JSON file."""
    parser = report.parser(__doc__)
    parser.add_argument("--checkout", type=Path, default=report.CHECKOUT, help="whose jobs/tune.py is measured")
    parser.add_argument("--train", default=TRAIN)
    parser.add_argument("more", nargs="*", metavar="-- OPTION", help="of jobs/tune.py")
    options = parser.parse_args(given)
    with tempfile.TemporaryDirectory() as home:
        found = measure(
            options.checkout.resolve(), (report.CHECKOUT / options.train).resolve(), Path(home), options.more
        )
    load = backbone.load(None)
    about = {**report.circumstances(load), "cpus": os.cpu_count(), "options": vars(options)}
    report.print_and_write({**about, **found}, options.out)


def measure(checkout: Path, train: Path, home: Path, more: Sequence[str] = ()) -> dict[str, Any]:
    """Seconds of the job in wall and CPU time, the time of each of its lines, and its learning seconds."""
    head = local.start()
    try:
        ready = _cpu_s({}, head.process.pid)
        command = [sys.executable, "jobs/tune.py", "--train", str(train), "--domain", "measured", *more]
        environment = {
            **local.environment(),
            "RAY_ADDRESS": head.address,
            "LIGHTNER_HOME": str(home),
            "PYTHONPATH": str(checkout),
        }
        began = time.monotonic()
        job = subprocess.Popen(command, cwd=checkout, env=environment, stdout=subprocess.PIPE, text=True)
        with _watched(ready, head.process.pid, job.pid) as seen:
            marks = _marks(job, began)
        if job.wait():
            raise SystemExit(f"error: the job ended with status {job.returncode}")
        wall = time.monotonic() - began
    finally:
        local.stop(head)
    _, artifact = Registry.open(str(home / "registry")).fetch("measured")
    tuning: Any = artifact.card.tuning
    cpu = sum(seen.values()) - sum(ready.values())
    # Cards of earlier checkouts lack it.
    learning = [row.get("learning_cpu_seconds") for row in (*tuning["scan"], tuning)]
    learned = sum(learning) if None not in learning else None
    clock = [row.get("learning_seconds") for row in (*tuning["scan"], tuning)]
    spent = [*(row["seconds"] for row in tuning["scan"]), marks["gate"] - marks["final_run"]]
    return {
        "wall_s": wall,
        "cpu_s": cpu,
        "learning_cpu_s": learned,
        "learning_share": learned and learned / cpu,
        "not_learning_s": None if None in clock else [a - b for a, b in zip(spent, clock, strict=True)],
        "marks_s": marks,
        "rounds": [row["rounds"] for row in tuning["scan"]],
        "final_rounds": tuning["stopped_after_round"],
        "load_average": os.getloadavg(),
    }


def _marks(job: subprocess.Popen[str], began: float) -> dict[str, float]:
    """Print the job's output; returns the first time of each of the lines looked for."""
    found: dict[str, float] = {}
    for line in job.stdout or ():
        print(line, end="", flush=True)
        for name, pattern in _MARKS.items():
            if name not in found and re.search(pattern, line):
                found[name] = time.monotonic() - began
    return found


@contextlib.contextmanager
def _watched(ready: Mapping[str, float], *roots: int) -> Iterator[dict[str, float]]:
    """CPU seconds by process, kept up to date while the block runs."""
    seen, done = dict(ready), threading.Event()

    def watch() -> None:
        while not done.wait(_EVERY_S):
            _cpu_s(seen, *roots)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def _cpu_s(seen: dict[str, float], *roots: int) -> dict[str, float]:
    """Update `seen` with `roots` and all their descendants; ended processes keep their last value."""
    table = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = entry.read_text().rpartition(")")[2].split()
            table[int(entry.parent.name)] = (int(fields[1]), fields[19], (int(fields[11]) + int(fields[12])) / _TICKS)
    members = set(roots)
    grown = True
    while grown:
        grown = False
        for pid, (parent, _, _) in table.items():
            if parent in members and pid not in members:
                members.add(pid)
                grown = True
    for pid in members & set(table):
        _, started, seconds = table[pid]
        seen[f"{pid}-{started}"] = seconds
    return seen


if __name__ == "__main__":
    main()
