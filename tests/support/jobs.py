"""Start, watch and kill tuning jobs in tests."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from lightner.jobs.on_ray import local
from lightner.jobs.worker import Run
from lightner.tuning import rules
from lightner.types import LabelSet, Sentence, Span
from tests.support.paths import CHECKOUT

PIN = "{steps: 16, rounds: 4, batch_size: 8, reparametrisation_width: 8, warm_up_steps: 2}"
WHOLE = f"{PIN[:-1]}, folds: 2, early_stopping: false}}"
SLOW = "{steps: 64, rounds: 16, batch_size: 8, reparametrisation_width: 8, warm_up_steps: 2}"

SENTENCES = (Sentence(("ada", "lives", "here"), (Span(0, 1, "person"),)),) * 2
PLAN = rules.plan(SENTENCES, prompt_length=2, learning_rate=0.01)
RUN = Run("one", "/nowhere", None, "0" * 64, LabelSet.of(["person"]), (), PLAN, 1)


def words(place: Path, domain: str, *more: str, pin: str = "pin.yaml", train: str = "train.conll") -> list[str]:
    return [
        "jobs/tune.py", "--train", str(place / train), "--domain", domain, "--backbone", str(place / "tiny"),
        "--registry", str(place / "registry"), "--storage", str(place / "runs"), "--pin", str(place / pin),
        "--lengths", "2", "--rates", "0.01", *more,
    ]  # fmt: skip


def start(head: local.Head | None, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
    """Start a job on that Ray, or on its own one."""
    environment = {**local.environment(), **({"RAY_ADDRESS": head.address} if head else {})}
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, *arguments], cwd=CHECKOUT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )


def wait_for(log: Path, pattern: str, process: subprocess.Popen[bytes], *, within_s: float = 240) -> None:
    deadline = time.monotonic() + within_s
    while not re.search(pattern, log.read_text(errors="replace")):
        assert process.poll() is None, log.read_text(errors="replace")
        assert time.monotonic() < deadline, log.read_text(errors="replace")
        time.sleep(0.2)


def descendants(title: str, head: local.Head) -> list[int]:
    """Processes of that head whose title begins with `title`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            belongs = str(head.folder).encode() in (entry / "environ").read_bytes()
            belongs |= any(head.folder.name in os.readlink(link) for link in (entry / "fd").iterdir())
        except OSError:
            continue
        if command.startswith(title.encode()) and belongs:
            found.append(int(entry.name))
    return found


def kill(title: str, head: local.Head) -> None:
    """SIGKILL the processes of that head whose title begins with `title`; at least one must exist."""
    found = descendants(title, head)
    assert found
    for pid in found:
        os.kill(pid, signal.SIGKILL)
