"""Loss of F1 and gain of time with weights in bfloat16, for prompts tuned in float32.

    OMP_NUM_THREADS=1 python -m benchmarks.precision NAME=TRAIN:TEST [...] --rounds 5 --out FILE.json

A prompt is tuned on each TRAIN by the rules at their first length and rate; TEST is tagged in both precisions in turn.
Times are medians of CPU time.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from benchmarks import report
from lightner.data.formats import labels_of, read
from lightner.evaluation import metrics
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.model.prompts import Prompt
from lightner.tagger import ScoredSpans, tag_words
from lightner.tuning import rules
from lightner.tuning.training import fit
from lightner.types import LabelSet, Sentence

EXACT = "float32"
DTYPES = {EXACT: torch.float32, "bfloat16": torch.bfloat16}


def main() -> None:
    """Measure both precisions on every data set."""
    parser = report.parser(__doc__)
    parser.add_argument("sets", nargs="+", metavar="NAME=TRAIN:TEST")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    bases = {name: backbone.load(dtype=dtype) for name, dtype in DTYPES.items()}
    rows = []
    for text in options.sets:
        name, files = report.named_files(text)
        train, test = map(read, files)
        rows.append({"name": name, **compare(bases, learned(bases[EXACT], train), test, options.rounds)})
        print(json.dumps(rows[-1]), flush=True)
    report.write({**report.circumstances(bases[EXACT]), "rows": rows}, options.out)


def learned(base: Backbone, train: Sequence[Sentence]) -> Prompt:
    """A prompt by the rules, without a scan."""
    plan = rules.plan(train, prompt_length=rules.PROMPT_LENGTHS[0], learning_rate=rules.LEARNING_RATES[0])
    return fit(base, LabelSet.of(labels_of(train)), train, (), plan).fold()


def compare(bases: Mapping[str, Backbone], prompt: Prompt, test: Sequence[Sentence], rounds: int) -> dict[str, Any]:
    """F1, CPU seconds, and the share of sentences tagged as in float32, for each of `bases`."""
    prompts = {name: _in(prompt, base.embedding.dtype) for name, base in bases.items()}
    seconds: dict[str, list[float]] = {name: [] for name in bases}
    tagged: dict[str, list[ScoredSpans]] = {}
    for _ in range(rounds):
        for name, base in bases.items():
            began = time.process_time()
            tagged[name] = tag_words(base, [(prompts[name], sentence.words) for sentence in test])
            seconds[name].append(time.process_time() - began)
    spans = {name: [[span for span, _ in row] for row in rows] for name, rows in tagged.items()}
    gold = [sentence.spans for sentence in test]
    medians = {name: statistics.median(those) for name, those in seconds.items()}
    return {
        "test_sentences": len(test),
        "f1": {name: metrics.score(gold, those).micro.f1 for name, those in spans.items()},
        "same_answers": {name: _same(spans[EXACT], those) for name, those in spans.items()},
        "cpu_s": medians,
        "speed_up": {name: medians[EXACT] / median for name, median in medians.items()},
    }


def _same(one: Sequence[Any], other: Sequence[Any]) -> float:
    return sum(a == b for a, b in zip(one, other, strict=True)) / len(one)


def _in(prompt: Prompt, dtype: torch.dtype) -> Prompt:
    device = prompt.label_vectors.device
    return replace(prompt, guidance=prompt.guidance.to(device, dtype), label_vectors=prompt.label_vectors.to(dtype))


if __name__ == "__main__":
    main()
