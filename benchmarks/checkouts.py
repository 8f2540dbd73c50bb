"""This checkout against another one, in turns: a step of tuning, loading a prompt, texts a second, bytes of a prompt.

    OMP_NUM_THREADS=1 python -m benchmarks.checkouts --other CHECKOUT --folder FOLDER --rounds 15 --out FILE.json

Each runs in a process of its own with its own backbone and the prompt that it tunes for 80 steps on examples/recipes.
Figures are processor times; ratios, of this checkout over the other, are medians of those of the rounds.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import report
from lightner.model import backbone

WORKER = "benchmarks/checkout_worker.py"
WAYS = ("eight steps", "load", "40 texts, together", "40 texts, one by one")


class Checkout:
    """A process in a checkout."""

    def __init__(self, checkout: Path, folder: Path, stack: ExitStack) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        own = shutil.copy(report.CHECKOUT / WORKER, folder / "worker.py")
        paths = {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, str(own), str(folder)],
                cwd=checkout,
                env=os.environ | paths,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        stack.callback(self._process.terminate)
        self.prompt_bytes = int(self._answer())

    def spent(self, way: str) -> float:
        """Processor seconds of one way, run once."""
        assert self._process.stdin is not None
        self._process.stdin.write(way + "\n")
        self._process.stdin.flush()
        return float(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        if not (line := self._process.stdout.readline()):
            raise RuntimeError(f"the process of {self._process.args} ended")
        return line


def main() -> None:
    """Measure both and write one JSON file."""
    parser = report.parser(__doc__)
    parser.add_argument("--other", type=Path, required=True, help="an earlier checkout")
    parser.add_argument("--folder", type=Path, required=True, help="for the prompts")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    options = parser.parse_args()
    folder = options.folder.resolve()
    with ExitStack() as stack:
        here = Checkout(report.CHECKOUT, folder / "here", stack)
        other = Checkout(options.other.resolve(), folder / "other", stack)
        found = {
            **report.circumstances(backbone.load()),
            "rounds": options.rounds,
            "prompt_bytes": {"here": here.prompt_bytes, "other": other.prompt_bytes},
            "ways": {way: compared(here, other, way, options.rounds) for way in options.ways},
        }
    report.print_and_write(found, options.out)


def compared(here: Checkout, other: Checkout, way: str, rounds: int) -> dict[str, Any]:
    """Medians of both, after a first round, and of the ratios."""
    pairs = [(here.spent(way), other.spent(way)) for _ in range(rounds + 1)][1:]
    ours, theirs = zip(*pairs, strict=True)
    ratios = sorted(one / two for one, two in pairs)
    return {
        "here_s": statistics.median(ours),
        "other_s": statistics.median(theirs),
        "ratio": statistics.median(ratios),
        "quartiles": [ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]],
    }


if __name__ == "__main__":
    main()
