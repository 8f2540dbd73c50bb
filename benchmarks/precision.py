"""What weights in bfloat16 cost in F1 and save in time, when prompts tuned in float32 are used with them.

    OMP_NUM_THREADS=1 python -m benchmarks.precision NAME=TRAIN:TEST [...] --rounds 5 --out FILE.json

A prompt is tuned on each TRAIN by the rules at their first length and rate; TEST is tagged in both precisions in turn.
Times are medians of the processor's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.few_shot import circumstances
from lightner import backbone, metrics, rules
from lightner.backbone import Backbone
from lightner.formats import labels_of, read
from lightner.prompts import Prompt
from lightner.tagger import ScoredSpans, tag_words
from lightner.training import fit
from lightner.types import LabelSet, Sentence

DTYPES = (torch.float32, torch.bfloat16)


def main() -> None:
    """Measure every data set and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", metavar="NAME=TRAIN:TEST")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    bases = {dtype: backbone.load(dtype=dtype) for dtype in DTYPES}
    rows = []
    for text in options.sets:
        name, _, files = text.partition("=")
        train, test = map(read, files.split(":"))
        rows.append({"name": name, **compare(bases, learned(bases[torch.float32], train), test, options.rounds)})
        print(json.dumps(rows[-1]), flush=True)
    found = json.dumps({**circumstances(bases[torch.float32]), "rows": rows}, indent=2)
    if options.out:
        options.out.write_text(found + "\n", encoding="utf-8")


def learned(base: Backbone, train: Sequence[Sentence]) -> Prompt:
    """A prompt by the rules, without a scan."""
    plan = rules.plan(train, prompt_length=rules.PROMPT_LENGTHS[0], learning_rate=rules.LEARNING_RATES[0])
    return fit(base, LabelSet.of(labels_of(train)), train, (), plan).fold()


def compare(
    bases: Mapping[torch.dtype, Backbone], prompt: Prompt, test: Sequence[Sentence], rounds: int
) -> dict[str, Any]:
    """F1 and processor seconds in each precision, and the share of sentences that are tagged alike."""
    prompts = {dtype: _in(prompt, dtype) for dtype in bases}
    seconds: dict[torch.dtype, list[float]] = {dtype: [] for dtype in bases}
    tagged: dict[torch.dtype, list[ScoredSpans]] = {}
    for _ in range(rounds):
        for dtype, base in bases.items():
            began = time.process_time()
            tagged[dtype] = tag_words(base, [(prompts[dtype], sentence.words) for sentence in test])
            seconds[dtype].append(time.process_time() - began)
    spans = {dtype: [[span for span, _ in row] for row in rows] for dtype, rows in tagged.items()}
    gold = [sentence.spans for sentence in test]
    same = sum(one == other for one, other in zip(spans[torch.float32], spans[torch.bfloat16], strict=True))
    medians = {dtype: statistics.median(those) for dtype, those in seconds.items()}
    return {
        "test_sentences": len(test),
        "f1": {str(dtype): metrics.score(gold, those).micro.f1 for dtype, those in spans.items()},
        "same_answers": same / len(test),
        "cpu_s": {str(dtype): median for dtype, median in medians.items()},
        "speed_up": medians[torch.float32] / medians[torch.bfloat16],
    }


def _in(prompt: Prompt, dtype: torch.dtype) -> Prompt:
    device = prompt.label_vectors.device
    return replace(prompt, guidance=prompt.guidance.to(device, dtype), label_vectors=prompt.label_vectors.to(dtype))


if __name__ == "__main__":
    main()
