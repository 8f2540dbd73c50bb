"""Pretrain on a GPU for so many minutes: measure its speed, lay the schedule out for what is left, run.

    python -m scripts.pretrain_on_gpu --minutes 12 --out DIR -- --start DIR --open DIR --sets DIR --raw FILE

What comes after `--` are options of `lightner pretrain`. Both runs compute in bfloat16 with one worker and 256
sentences a step. The first is short; from its curve come the seconds that a run needs to begin and those of a step, and
from these the steps of the second, which ends with the checkpoint in DIR.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
BATCH, PROBE, MULTIPLE = 256, 50, 25
"""Sentences of a step; steps of the first run; what numbers of steps are multiples of."""
RESERVE_S = 45.0
"""For development scores, the last checkpoint, and a speed that varies."""


@dataclass(frozen=True)
class Speed:
    """What a run costs in seconds: before its first step, and for each step."""

    begin_s: float
    step_s: float


def main(given: Sequence[str] | None = None) -> int:
    """Run both; returns the exit status of the run that failed, or 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cpu", action="store_true", help="to try the script on a machine without a GPU")
    parser.add_argument("--batch-size", type=int, default=BATCH)
    parser.add_argument("options", nargs="*", metavar="OPTION", help="of lightner pretrain")
    chosen = parser.parse_args(given)
    began = time.monotonic()
    probe = chosen.out.with_name(f"{chosen.out.name}-probe")
    device = [] if chosen.cpu else ["--gpu", "--bf16"]
    common = [*chosen.options, *device, "--workers", "1", "--batch-size", str(chosen.batch_size)]
    status = pretrain(common, probe, PROBE)
    if status:
        return status
    took = time.monotonic() - began
    speed = speed_of(probe.with_name(f"{probe.name}.curve.jsonl"), took, batch=chosen.batch_size)
    steps = steps_for(60 * chosen.minutes - took, speed)
    print(f"{speed.step_s:.3f} s a step, {speed.begin_s:.0f} s to begin: {steps} steps", flush=True)
    return pretrain(common, chosen.out, steps) if steps else 1


def pretrain(options: Sequence[str], out: Path, steps: int) -> int:
    """Run the job in its own process; returns its exit status."""
    command = [sys.executable, str(CHECKOUT / "jobs" / "pretrain.py"), *options]
    reports = ["--report-every", str(MULTIPLE), "--save-every", str(max(MULTIPLE, steps // 4 // MULTIPLE * MULTIPLE))]
    return subprocess.run(
        [*command, *reports, "--out", str(out), "--name", out.name, "--steps", str(steps)], check=False
    ).returncode


def speed_of(curve: Path, took_s: float, *, batch: int) -> Speed:
    """The speed of a run that took so long, from its curve: its last report is of steps after the first ones."""
    last = json.loads(curve.read_text(encoding="utf-8").splitlines()[-1])
    step_s = batch / last["sentences_per_s"]
    return Speed(max(0.0, took_s - last["step"] * step_s), step_s)


def steps_for(left_s: float, speed: Speed) -> int:
    """The steps of a run that ends in time, 0 if none does."""
    possible = (left_s - speed.begin_s - RESERVE_S) / speed.step_s
    return max(0, int(possible) // MULTIPLE * MULTIPLE)


if __name__ == "__main__":
    sys.exit(main())
