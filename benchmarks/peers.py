"""Speed, memory and cold start beside other libraries: GLiNER, a token classifier of transformers, spaCy.

    python -m venv ENV && ENV/bin/pip install torch==2.13.0 gliner==0.2.29
    python -m benchmarks.peers --gliner ENV/bin/python --folder FOLDER --out FILE.json

GLiNER needs other versions of transformers than ours, and so an environment of its own; without `--gliner` it is left
out. `--libraries gliner_bi` is its form whose labels are read ahead of the texts. Each library runs in one process
(`benchmarks/peers_worker.py`); they take turns, round by round, and ratios are medians over the rounds of what two did
in the same round. Cells that FILE.json has are not measured again. Threads wait for one another as the environment
says; beside other work set `OMP_WAIT_POLICY=PASSIVE`, with which they sleep.

Ours is the embedded backbone with a prompt that was tuned on examples/recipes for some steps, with its draft tagger; of
more than five labels with further names that no sentence has. It finds entities. The others have random weights and an
encoder of the same shape (spaCy: its own); GLiNER and the token classifier are made to find none, which is their best
case. Texts are recipes' words: a sentence of 20 words, or sentences of 200 words together. A library is given a list of
texts, and returns lists of entities.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.labels import labels_of as further_labels
from benchmarks.peers_worker import BATCH_SIZE
from lightner.data.formats import labels_of, read
from lightner.jobs.publish import bare, with_drafts
from lightner.labels import label_set
from lightner.model import backbone, embedded
from lightner.store import artifact as artifacts
from lightner.tuning import rules
from lightner.tuning.training import fit, folded_tensors

OURS = "ours"
GLINERS = ("gliner", "gliner_bi")
"""GLiNER in its default form, and with labels read by an encoder of their own, ahead of texts."""
WORDS, LABELS, BATCHES, THREADS = (20, 200), (5, 20, 50, 150), (1, BATCH_SIZE), (1, 2)
SENTENCE = 20
"""Words of a sentence."""
ALONE = {20: 6, 200: 2}
"""Texts that are tagged one by one in a round, by their words."""
FEWEST = 2
"""Rounds at least."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What is measured together."""

    labels: int
    threads: int
    batch: int
    words: int


def main() -> None:
    """Measure all cells that are missing; write after each."""
    parser = report.parser(__doc__, must_write=True)
    parser.add_argument("--folder", type=Path, required=True, help="for the models, which are made once")
    parser.add_argument("--gliner", metavar="PYTHON", help="of the environment that GLiNER is installed in")
    parser.add_argument("--libraries", nargs="+", default=["gliner", "token_classifier", "spacy"])
    parser.add_argument("--labels", type=int, nargs="+", default=list(LABELS))
    parser.add_argument("--threads", type=int, nargs="+", default=list(THREADS))
    parser.add_argument("--batches", type=int, nargs="+", choices=BATCHES, default=list(BATCHES))
    parser.add_argument("--words", type=int, nargs="+", choices=WORDS, default=list(WORDS))
    parser.add_argument("--rounds", type=int, default=7, help="at most")
    parser.add_argument("--seconds", type=float, default=12.0, help="after which a cell has no further round")
    parser.add_argument("--steps", type=int, default=80, help="for which our prompts are tuned")
    options = parser.parse_args()
    pythons = {name: python for name in (OURS, *options.libraries) if (python := python_of(name, options))}
    found = begun(options)
    for labels in options.labels:
        cells = [Cell(labels, *rest) for rest in product(options.threads, options.batches, options.words)]
        known = [row["cell"] for row in found["cells"]]
        missing = [cell for cell in cells if asdict(cell) not in known]
        if missing:
            measure(pythons, missing, found, options)


def python_of(library: str, options: argparse.Namespace) -> str | None:
    """The interpreter of the environment that a library is installed in, or None where it is not."""
    return options.gliner if library in GLINERS else sys.executable


def begun(options: argparse.Namespace) -> dict[str, Any]:
    """What FILE.json has, or nothing measured so far."""
    if options.out.exists():
        earlier: dict[str, Any] = json.loads(options.out.read_text(encoding="utf-8"))
        return earlier
    about = {**report.circumstances(backbone.load()), "options": vars(options), "libraries": {}}
    return {**about, "cold_start": [], "cells": []}


def measure(
    pythons: Mapping[str, str], cells: Sequence[Cell], found: dict[str, Any], options: argparse.Namespace
) -> None:
    """Add the cells, all of the same labels, to `found`, and the cold starts of the processes that measure them."""
    names = names_of(cells[0].labels)
    with ExitStack() as stack:
        workers = {}
        for name, python in pythons.items():
            place = options.folder / name / ("any" if name in GLINERS else str(len(names)))
            found["libraries"][name] = made(python, name, place, names, steps=options.steps)
            workers[name] = stack.enter_context(Worker.started(python, name, place, names))
        found["cold_start"].append(
            {"labels": len(names), "seconds": {name: each.cold_start_s for name, each in workers.items()}}
        )
        for cell in cells:
            row = {"cell": asdict(cell), **compared(workers, cell, rounds=options.rounds, seconds=options.seconds)}
            found["cells"].append(row)
            report.write(found, options.out)
            print(json.dumps({"cell": row["cell"], "times_as_fast": row["times_as_fast"]}), flush=True)


def made(python: str, name: str, place: Path, names: Sequence[str], *, steps: int) -> str:
    """Make the library's model in `place`, if it is not there; returns the library's version."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if name == OURS and not place.exists():
        tune(place, names, steps=steps)
    with Worker.process(python, name, place) as process:
        answer = asked(process, {"labels": list(names), "make": str(embedded.FOLDER)})
    return str(answer["version"])


def tune(place: Path, names: Sequence[str], *, steps: int) -> None:
    """Tune a prompt for some steps on examples/recipes, with labels that it has and labels that it has not."""
    base, sentences = backbone.load(), read(report.EXAMPLE / "train.conll")
    labels = label_set(list(names))
    plan = rules.plan(
        sentences, prompt_length=rules.PROMPT_LENGTHS[0], learning_rate=rules.LEARNING_RATES[0], seed=0
    ).with_pins({"steps": steps, "rounds": 1})
    model = fit(base, labels, sentences, (), plan)
    prompt = bare("recipes", base, model.labels, folded_tensors(model), sentences=sentences)
    artifacts.save(with_drafts(base, prompt, sentences), place)


def names_of(count: int) -> list[str]:
    """The labels of examples/recipes, then further ones."""
    own = labels_of(read(report.EXAMPLE / "train.conll"))
    return [*own, *(name for name in further_labels(count).names if name not in own)][:count]


def texts_of(words: int, count: int) -> list[str]:
    """Texts of so many words: one sentence if they are `SENTENCE`, else whole sentences, of which the last is cut."""
    sentences = [[word for word in each.words if word.isalnum()] for each in read(report.EXAMPLE / "test.conll")]
    texts = []
    for number in range(count):
        turned = sentences[number % len(sentences) :] + sentences[: number % len(sentences)]
        whole = [word for each in turned for word in ([*each, "."] if words > SENTENCE else each)]
        texts.append(" ".join([*whole[: words - 1], "."]))
    return texts


@dataclass(frozen=True, slots=True)
class Worker:
    """A library's running process, the labels of its jobs, and the time from its start to its first answer."""

    running: subprocess.Popen[str]
    labels: tuple[str, ...]
    cold_start_s: float

    @classmethod
    @contextmanager
    def process(cls, python: str, name: str, place: Path) -> Iterator[subprocess.Popen[str]]:
        """A process that waits for jobs."""
        script = report.CHECKOUT / "benchmarks" / "peers_worker.py"
        settings = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
        running = subprocess.Popen(
            [python, str(script), name, str(place)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(report.CHECKOUT), **settings},
        )
        try:
            yield running
        finally:
            running.kill()
            running.communicate()

    @classmethod
    @contextmanager
    def started(cls, python: str, name: str, place: Path, labels: Sequence[str]) -> Iterator[Worker]:
        """A process that has answered once."""
        began = time.perf_counter()
        with cls.process(python, name, place) as running:
            asked(running, {"labels": list(labels), "threads": 1, "calls": [texts_of(SENTENCE, 1)]})
            yield cls(running, tuple(labels), time.perf_counter() - began)

    def tag(self, cell: Cell) -> dict[str, float]:
        """Run the cell's texts once."""
        texts = texts_of(cell.words, BATCH_SIZE if cell.batch > 1 else ALONE[cell.words])
        calls = [texts] if cell.batch > 1 else [[text] for text in texts]
        answer = asked(self.running, {"labels": list(self.labels), "threads": cell.threads, "calls": calls})
        return {**answer, "texts": len(texts)}


def asked(running: subprocess.Popen[str], job: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a job."""
    assert running.stdin is not None
    assert running.stdout is not None
    running.stdin.write(json.dumps(job) + "\n")
    running.stdin.flush()
    line = running.stdout.readline()
    if not line:
        raise RuntimeError(f"{running.args}: found an end, expected an answer to {job['labels'][:3]}")
    answer: dict[str, Any] = json.loads(line)
    return answer


def compared(workers: Mapping[str, Worker], cell: Cell, *, rounds: int, seconds: float) -> dict[str, Any]:
    """Medians of each library in a cell, and how many times as fast ours is, each round by itself."""
    turns: list[dict[str, dict[str, float]]] = []
    began = time.perf_counter()
    for worker in workers.values():  # to get warm
        worker.tag(replace(cell, batch=1))
    for number in range(rounds):
        order = list(workers)
        order = order[number % len(order) :] + order[: number % len(order)]
        turns.append({name: workers[name].tag(cell) for name in order})
        if number + 1 >= FEWEST and time.perf_counter() - began > seconds:
            break
    clocks = ("clock_s", "processor_s")
    return {
        "rounds": len(turns),
        "texts_per_second": {
            name: {
                clock: statistics.median(turn[name]["texts"] / turn[name][clock] for turn in turns) for clock in clocks
            }
            for name in workers
        },
        "times_as_fast": {
            name: {
                clock: statistics.median(turn[name][clock] / turn[OURS][clock] for turn in turns) for clock in clocks
            }
            for name in workers
            if name != OURS
        },
        "peak_megabytes": {name: max(turn[name]["peak_bytes"] for turn in turns) / 1e6 for name in workers},
        "entities_per_text": {name: turns[0][name]["entities"] / turns[0][name]["texts"] for name in workers},
    }


if __name__ == "__main__":
    main()
