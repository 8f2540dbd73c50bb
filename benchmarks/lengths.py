"""What reading the rows of a batch by length saves: a step of tuning and the encoder's pass, with and without it.

    OMP_NUM_THREADS=1 python -m benchmarks.lengths NAME=FILE [...] --out FILE.json

Both ways take turns batch by batch in one process; each figure is the median ratio of a pair. Batches of tuning are
those of the rules; those of the encoder are 32 sentences drawn at random, as a busy service gets them.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.few_shot import circumstances
from lightner.data.formats import labels_of, read
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.model.batching import encode
from lightner.model.forward import encode as read_batch
from lightner.tagger import Row, prepare
from lightner.tuning import rules
from lightner.tuning.training import PromptModel
from lightner.types import LabelSet, Sentence

SERVED = 32
Timed = Callable[[], object]


def main() -> None:
    """Measure every data set and write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", metavar="NAME=FILE")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--backbone")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    base = backbone.load(options.backbone)
    rows = []
    for text in options.sets:
        name, _, file = text.partition("=")
        rows.append({"name": name, **measure(base, read(file), options.pairs)})
        print(json.dumps(rows[-1]), flush=True)
    options.out.write_text(json.dumps({**circumstances(base), "rows": rows}, indent=2) + "\n", encoding="utf-8")


def measure(base: Backbone, sentences: Sequence[Sentence], pairs: int) -> dict[str, Any]:
    """Median time by length as a part of the time all at once, of steps and of the encoder's passes."""
    ways = {"by_length": base, "at_once": replace(base, sharded=True)}  # sharded ones read all rows at once
    plan = rules.plan(sentences, prompt_length=8, learning_rate=1e-2)
    labels = LabelSet.of(labels_of(sentences))
    models = {way: PromptModel(each, labels, plan) for way, each in ways.items()}
    rng, found = random.Random(0), {"step": [], "encoder": []}
    for _ in range(pairs):
        rows = rng.sample(list(sentences), min(plan.batch_size, len(sentences)))
        found["step"].append({way: seconds(lambda m=each, r=rows: step(m, r)) for way, each in models.items()})
        rows = rng.choices(list(sentences), k=SERVED)
        found["encoder"].append({way: seconds(lambda m=each, r=rows: serve(m, r)) for way, each in models.items()})
    return {
        "sentences": len(sentences),
        "batch_size": plan.batch_size,
        **{
            f"{what}_ratio": statistics.median(pair["by_length"] / pair["at_once"] for pair in those[1:])
            for what, those in found.items()
        },
        **{
            f"{what}_seconds": statistics.median(pair["by_length"] for pair in those[1:])
            for what, those in found.items()
        },
    }


def step(model: PromptModel, rows: Sequence[Sentence]) -> None:
    """Forward and backward; the optimizer is the same either way."""
    examples = encode(model.backbone.tokenizer, [row.words for row in rows])
    torch.autograd.backward(model(rows, examples))


def serve(model: PromptModel, rows: Sequence[Sentence]) -> None:
    """The encoder's part of answering."""
    base, prompt = model.backbone, model.fold()
    work = prepare(base, [Row(prompt, row.words) for row in rows])
    with torch.inference_mode():
        read_batch(base, work.batch, work.guidance, work.labels)


def seconds(run: Timed) -> float:
    """Processor time, which other work on the machine moves less than the clock."""
    began = time.process_time()
    run()
    return time.process_time() - began


if __name__ == "__main__":
    main()
