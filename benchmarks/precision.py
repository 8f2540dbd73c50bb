"""Faster ways to read on a processor: bfloat16, compiled graphs, ONNX, int8, for prompts tuned in float32.

    OMP_NUM_THREADS=1 python -m benchmarks.precision NAME=TRAIN:TEST [...] --rounds 5 --out FILE.json

A prompt is tuned on each TRAIN by the rules at their first length and rate; TEST is tagged in all ways in turn, as one
list and one sentence at a time. Times are medians of CPU time, after a first round in which graphs are compiled. Ways
other than `float32` and `bfloat16` need the packages named in `benchmarks.encoders`.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks import encoders, report
from lightner.data.formats import labels_of
from lightner.evaluation import metrics
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.model.prompts import Prompt
from lightner.tagger import ScoredSpans, tag_words
from lightner.tuning import rules
from lightner.tuning.training import fit
from lightner.types import LabelSet, Sentence

EXACT = "float32"
BASES = {EXACT: torch.float32, "bfloat16": torch.bfloat16}
GRAPHS: dict[str, tuple[str, encoders.Runner]] = {
    "compiled": (EXACT, encoders.compiled),
    "compiled bfloat16": ("bfloat16", encoders.compiled),
    "onnx": (EXACT, encoders.in_onnx),
    "onnx int8": (EXACT, encoders.in_onnx_int8),
}
"""The precision of all but the encoder, and what runs the encoder."""


@dataclass(frozen=True, slots=True)
class Way:
    """A backbone and the prompt in its precision."""

    base: Backbone
    prompt: Prompt


def main() -> None:
    """Measure all ways on every data set."""
    parser = report.parser(__doc__)
    parser.add_argument("sets", nargs="+", metavar="NAME=TRAIN:TEST")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ways", nargs="*", choices=GRAPHS, default=[], help="beside float32 and bfloat16")
    options = parser.parse_args()
    bases = {name: backbone.load(dtype=dtype) for name, dtype in BASES.items()}
    rows = []
    for name, (train, test) in report.labelled_sets(options.sets):
        ways = ways_of(bases, learned(bases[EXACT], train), options.ways)
        rows.append({"name": name, **compare(ways, test, options.rounds)})
        print(json.dumps(rows[-1]), flush=True)
        report.write({**report.circumstances(bases[EXACT]), "rows": rows}, options.out)


def learned(base: Backbone, train: Sequence[Sentence]) -> Prompt:
    """A prompt by the rules, without a scan."""
    plan = rules.plan(train, prompt_length=rules.PROMPT_LENGTHS[0], learning_rate=rules.LEARNING_RATES[0])
    return fit(base, LabelSet.of(labels_of(train)), train, (), plan).fold()


def ways_of(bases: Mapping[str, Backbone], prompt: Prompt, graphs: Sequence[str]) -> dict[str, Way]:
    """All ways by name."""
    ways = {name: Way(base, _in(prompt, base.embedding.dtype)) for name, base in bases.items()}
    for name in graphs:
        precision, runner = GRAPHS[name]
        plain = ways[precision]
        ways[name] = replace(plain, base=encoders.with_encoder(plain.base, plain.prompt.guidance, runner))
    return ways


def compare(ways: Mapping[str, Way], test: Sequence[Sentence], rounds: int) -> dict[str, Any]:
    """F1, the share of sentences tagged as in float32, and CPU seconds, of each way."""
    seconds: dict[str, dict[str, list[float]]] = {"list": {}, "alone": {}}
    tagged: dict[str, list[ScoredSpans]] = {}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            rows = [(way.prompt, sentence.words) for sentence in test]
            tagged[name], list_s = timed(lambda way=way, rows=rows: tag_words(way.base, rows))
            _, alone_s = timed(lambda way=way, rows=rows: [tag_words(way.base, [row]) for row in rows])
            if turn:
                seconds["list"].setdefault(name, []).append(list_s)
                seconds["alone"].setdefault(name, []).append(alone_s)
    spans = {name: [[span for span, _ in row] for row in rows] for name, rows in tagged.items()}
    gold = [sentence.spans for sentence in test]
    return {
        "test_sentences": len(test),
        "f1": {name: round(100 * metrics.score(gold, those).micro.f1, 1) for name, those in spans.items()},
        "same_answers": {name: _same(spans[EXACT], those) for name, those in spans.items()},
        **{f"speed_up, {how}": speed_ups(those) for how, those in seconds.items()},
        "cpu_s": seconds,
    }


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What `work` returns and the CPU seconds it takes."""
    began = time.process_time()
    done = work()
    return done, time.process_time() - began


def speed_ups(seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """How many times as fast as float32: the median of the rounds' ratios."""
    pairs = {name: zip(seconds[EXACT], those, strict=True) for name, those in seconds.items()}
    return {name: round(statistics.median(exact / other for exact, other in both), 2) for name, both in pairs.items()}


def _same(one: Sequence[Any], other: Sequence[Any]) -> float:
    return round(sum(a == b for a, b in zip(one, other, strict=True)) / len(one), 3)


def _in(prompt: Prompt, dtype: torch.dtype) -> Prompt:
    device = prompt.label_vectors.device
    return replace(prompt, guidance=prompt.guidance.to(device, dtype), label_vectors=prompt.label_vectors.to(dtype))


if __name__ == "__main__":
    main()
