"""Cost of decoding, against encoder and one decoder pass over the finished output, and against the reference.

    OMP_NUM_THREADS=1 python -m benchmarks.decoding --out FILE.json

The embedded backbone and a prompt tuned here for a few steps on examples/recipes, whose test sentences are decoded,
with its draft tagger ("drafted", as prompts are served) and without ("greedy"). All ways take turns in one process;
ratios are of medians.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks import report
from lightner.data.formats import labels_of, read
from lightner.model import backbone, forward
from lightner.model._decoder import DecoderCache
from lightner.model.backbone import Backbone
from lightner.model.decoding import Decoded, greedy, greedy_reference
from lightner.model.prompts import Prompt
from lightner.tagger import Row, Work, prepare
from lightner.tuning import rules
from lightner.tuning.draft_learning import draft_tagger
from lightner.tuning.training import PromptModel, fit
from lightner.types import LabelSet

WAYS = ("encoder", "one_pass", "drafted", "greedy", "reference")


@dataclass(frozen=True)
class Case:
    """An encoded batch, and its decoded output."""

    work: Work
    encoded: forward.Encoded
    decoded: tuple[Decoded, ...]


def main() -> None:
    """Measure batches of one and of `--rows`, and print one JSON object."""
    parser = report.parser(__doc__)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=80, help="of tuning the prompt")
    options = parser.parse_args()
    base = backbone.load()
    bare = learned(base, steps=options.steps).fold()
    prompt = replace(bare, draft_tagger=draft_tagger(base, bare, read(report.EXAMPLE / "train.conll")))
    sentences = [sentence.words for sentence in read(report.EXAMPLE / "test.conll")]
    alone = [case(base, prompt, [words]) for words in sentences[: options.rounds]]
    together = [case(base, prompt, sentences[: options.rows])] * options.rounds
    found = {
        **report.circumstances(base),
        "threads": torch.get_num_threads(),
        "options": vars(options),
        "batch of 1": measured(base, alone),
        f"batch of {options.rows}": measured(base, together),
    }
    report.print_and_write(found, options.out)


def learned(base: Backbone, *, steps: int) -> PromptModel:
    """A prompt trained enough to find some entities, so that outputs have a realistic length."""
    sentences = read(report.EXAMPLE / "train.conll")
    labels = LabelSet.of(labels_of(sentences))
    plan = rules.plan(
        sentences, prompt_length=rules.PROMPT_LENGTHS[0], learning_rate=rules.LEARNING_RATES[0], seed=0
    ).with_pins({"steps": steps, "rounds": 1})
    return fit(base, labels, sentences, (), plan)


@torch.inference_mode()
def case(base: Backbone, prompt: Prompt, sentences: Sequence[tuple[str, ...]]) -> Case:
    """Make a case of sentences, all with one prompt."""
    work = prepare(base, [Row(prompt, words) for words in sentences])
    encoded = forward.encode(base, work.batch, work.guidance, work.labels)
    return Case(work, encoded, tuple(greedy(base, encoded, work.guidance)))


def measured(base: Backbone, cases: Sequence[Case]) -> dict[str, Any]:
    """Median seconds of every way, ratios, and lengths of outputs; checks that all ways decode the same."""
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for each in cases:
        for way, run in _ways(base, each).items():
            began = time.perf_counter()
            outcome = run()
            seconds[way].append(time.perf_counter() - began)
            if way in ("drafted", "greedy", "reference"):
                assert [row.ids for row in outcome] == [row.ids for row in each.decoded]
    medians = {way: statistics.median(those) for way, those in seconds.items()}
    floor = medians["encoder"] + medians["one_pass"]
    steps = [len(row.ids) + 1 for each in cases for row in each.decoded]
    return {
        "seconds": medians,
        "steps": {"mean": statistics.mean(steps), "most": max(steps)},
        "against encoder and one pass": {way: (medians["encoder"] + medians[way]) / floor for way in WAYS[2:]},
        "reference against": {way: medians["reference"] / medians[way] for way in WAYS[2:4]},
        "reference against, with the encoder": {
            way: (medians["encoder"] + medians["reference"]) / (medians["encoder"] + medians[way]) for way in WAYS[2:4]
        },
    }


def _ways(base: Backbone, each: Case) -> Mapping[str, Callable[[], Any]]:
    work, encoded = each.work, each.encoded
    longest = max(len(row.ids) for row in each.decoded) + 1
    read_back = torch.tensor([[forward.START, *row.ids, *[0] * (longest - 1 - len(row.ids))] for row in each.decoded])

    def one_pass() -> object:
        # The quicker of the two possible ways, which decoding uses.
        with torch.inference_mode():
            cache = DecoderCache(base, encoded.hidden, encoded.attention_mask, work.guidance)
            return encoded.scores(cache.read(encoded.read_back(read_back.to(encoded.hidden.device))))

    def encoder() -> object:
        with torch.inference_mode():
            return forward.encode(base, work.batch, work.guidance, work.labels)

    return {
        "encoder": encoder,
        "one_pass": one_pass,
        "drafted": lambda: greedy(base, encoded, work.guidance, taggers=[row.prompt.draft_tagger for row in work.rows]),
        "greedy": lambda: greedy(base, encoded, work.guidance),
        "reference": lambda: greedy_reference(base, encoded, work.guidance),
    }


if __name__ == "__main__":
    main()
