"""One step of prompt tuning against one step of full fine-tuning of the same backbone: time, and memory at its peak.

    OMP_NUM_THREADS=1 python -m benchmarks.step_cost --out FILE.json

Random weights in the shapes of bart-base, made here: the cost of a step does not depend on the weights. Times are of
steps that take turns in one process; memory is measured in a process per variant, above that of the loaded model.
"""

from __future__ import annotations

import argparse
import copy
import gc
import random
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import BartConfig, BartModel

from benchmarks import report
from lightner.model import embedded
from lightner.model.backbone import Backbone, prepare, step_precision
from lightner.model.prompts import NO_GUIDANCE
from lightner.pretraining.objective import read as read_batch
from lightner.tuning import rules
from lightner.tuning.training import Tuning
from lightner.types import LabelSet, Sentence, Span

VARIANTS = ("prompt", "full", "full_but_embedding")
"""Prompt tuning; fine-tuning of every weight; fine-tuning as `baselines.py` does it, without the input embedding."""
LABELS = LabelSet.of(["person", "place"])
BATCH = 16
_NAMES, _PLACES = ("John", "Mary", "George"), ("London", "China", "Texas")
_FILLERS = ("the", "house", "was", "in", "a", "new", "time", "of", "year", "and", "with", "people")
_WORDS = 30  # of one sub-word each; with the two special ones 32
_CLIP = 1.0
_MIB = 2**20


def main(given: Sequence[str] | None = None) -> None:
    """Measure and write one JSON file; with `--memory VARIANT` only print the memory of that variant."""
    parser = report.parser(__doc__)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory", choices=VARIANTS, help=argparse.SUPPRESS)
    options = parser.parse_args(given)
    base = random_backbone(width=options.width, layers=options.layers, seed=options.seed)
    count = options.warm_up + options.steps
    if options.memory:
        print(extra_peak_mib(base, options.memory, steps=count, seed=options.seed))
        return
    sizes = {name: _memory_apart(name, options) for name in VARIANTS}
    times = step_times(base, steps=options.steps, warm_up=options.warm_up, seed=options.seed)
    rows = {name: {**times[name], "extra_peak_mib": sizes[name]} for name in VARIANTS}
    found = {**report.circumstances(base), "threads": torch.get_num_threads(), "options": vars(options), "rows": rows}
    report.print_and_write({**found, "prompt_against": ratios(rows)}, options.out)


def random_backbone(*, width: int, layers: int, seed: int) -> Backbone:
    """A random BART of bart-base's shapes (width 768, 6 layers in either half) or smaller, with the embedded tokenizer.

    The vocabulary has the size of bart-base's, of which the tokenizer uses the beginning.
    """
    tokenizer = embedded.load().tokenizer
    config = BartConfig(
        vocab_size=50265,
        d_model=width,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=12 if width % 12 == 0 else 2,
        decoder_attention_heads=12 if width % 12 == 0 else 2,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.eos_token_id,
        forced_eos_token_id=None,
    )
    torch.manual_seed(seed)
    return prepare(f"random-bart-{width}-{layers}", BartModel(config), tokenizer)


def sentences(seed: int, count: int = 8 * BATCH) -> tuple[Sentence, ...]:
    """Sentences of lower-cased words of one sub-word in the embedded tokenizer, each with a person and a place."""
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        words = [rng.choice(_FILLERS) for _ in range(_WORDS)]
        person, place = rng.sample(range(_WORDS), 2)
        words[person], words[place] = rng.choice(_NAMES).lower(), rng.choice(_PLACES).lower()
        spans = sorted([Span(person, person + 1, "person"), Span(place, place + 1, "place")])
        found.append(Sentence(tuple(words), tuple(spans)))
    return tuple(found)


def plan_for(train: Sequence[Sentence], *, steps: int, seed: int) -> rules.Plan:
    """The rules' plan of the longest scanned prompt, with batches of `BATCH`; every step is a round."""
    whole = rules.plan(
        train, prompt_length=max(rules.PROMPT_LENGTHS), learning_rate=min(rules.LEARNING_RATES), seed=seed
    )
    return replace(whole, batch_size=BATCH, steps=steps, rounds=steps, warm_up_steps=0)


def steps_of(variant: str, base: Backbone, *, steps: int, seed: int) -> Iterator[int]:
    """Prepare, then do one step per item; the first item, 0, comes before any step. Items count trained numbers.

    The `full` variants change the backbone.
    """
    train = sentences(seed)
    plan = plan_for(train, steps=steps, seed=seed)
    if variant == "prompt":
        run = Tuning(base, LABELS, train, (), plan)
        learns = sum(p.numel() for p in run.tuned.parameters())
        yield learns
        yield from (learns for _ in run.rounds())
    else:
        yield from _fine_tuning(base, train, plan, embedding=variant == "full")


def step_times(base: Backbone, *, steps: int, warm_up: int, seed: int) -> dict[str, dict[str, Any]]:
    """Median seconds per step of every variant, in wall and CPU time; steps take turns."""
    own = {name: base if name == "prompt" else _copy(base) for name in VARIANTS}
    running = {name: steps_of(name, own[name], steps=warm_up + steps, seed=seed) for name in VARIANTS}
    learns = {name: next(run) for name, run in running.items()}
    spent: dict[str, list[report.Cost]] = {name: [] for name in VARIANTS}
    for number in range(warm_up + steps):
        for name, run in running.items():
            began = report.now()
            next(run)
            if number >= warm_up:
                spent[name].append(report.since(began))
    return {
        name: {
            "learned_numbers": learns[name],
            "step_s": statistics.median(clock for clock, _ in spent[name]),
            "step_cpu_s": statistics.median(processor for _, processor in spent[name]),
            "steps_cpu_s": [round(processor, 4) for _, processor in spent[name]],
        }
        for name in VARIANTS
    }


def extra_peak_mib(base: Backbone, variant: str, *, steps: int, seed: int) -> float:
    """Peak memory of this process during the steps, above its memory with the model loaded."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = _status_mib("VmRSS")
    for _ in steps_of(variant, base, steps=steps, seed=seed):
        pass
    return round(_status_mib("VmHWM") - before, 1)


def ratios(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Prompt tuning's figures as a share of each other variant's."""
    names = ("step_s", "step_cpu_s", "extra_peak_mib")
    return {
        other: {name: round(rows["prompt"][name] / rows[other][name], 3) for name in names} for other in VARIANTS[1:]
    }


def _fine_tuning(base: Backbone, train: Sequence[Sentence], plan: rules.Plan, *, embedding: bool) -> Iterator[int]:
    base.model.requires_grad_(True)
    base.embedding.requires_grad_(embedding)
    parameters = [p for p in base.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-5, weight_decay=plan.weight_decay)
    precision, rng = step_precision(base.device, bf16=plan.bf16), random.Random(plan.seed)
    learns = sum(p.numel() for p in parameters)
    yield learns
    for _ in range(plan.steps):
        with base.dropping(plan.dropout), precision:
            loss = read_batch(base, rng.sample(train, plan.batch_size), LABELS, NO_GUIDANCE).pointer_loss
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(parameters, _CLIP)
        optimizer.step()
        yield learns


def _copy(base: Backbone) -> Backbone:
    return replace(base, model=copy.deepcopy(base.model))


def _memory_apart(variant: str, options: argparse.Namespace) -> float:
    """Run `extra_peak_mib` in a separate process."""
    numbers = [f"--{name}={getattr(options, name)}" for name in ("width", "layers", "seed")]
    command = [sys.executable, "-m", "benchmarks.step_cost", "--memory", variant, *numbers, "--steps=3", "--warm-up=0"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def _status_mib(name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found, name
    return int(found[1]) * 1024 / _MIB


if __name__ == "__main__":
    main()
