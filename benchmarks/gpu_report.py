"""All figures that need a GPU: `python -m benchmarks.gpu_report --out FOLDER` writes gpu.md and gpu.json there.

The suite's GPU part; accuracy of bfloat16 against float32; throughput of bart-large's shapes with a hundred domains in
batches of 256, and its share of the floor, which is the bare encoder and decoder on the same rows and steps; prompt
tuning against full fine-tuning; memory. Random weights in the shapes of bart-large: the cost of a step does not depend
on the weights, but the number of decoded entities does, so the report has the number of steps. Accuracy is measured on
the embedded backbone with a prompt tuned on examples/recipes. `--device cpu` with small shapes tests the script itself.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

from benchmarks import report, step_cost
from lightner.data.formats import labels_of, read
from lightner.evaluation.scoring import evaluate
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.model.prompts import Guidance, Prompt
from lightner.tagger import Row, Work, finish, infer, prepare
from lightner.tuning import rules
from lightner.tuning.training import PromptModel, fit
from lightner.types import LabelSet, Sentence

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Shapes:
    """Shapes of the backbone and of its inputs."""

    repeats: int
    steps: int
    rounds: int | None
    width: int = 1024
    layers: int = 12
    batch: int = 256
    domains: int = 100


def main(given: Sequence[str] | None = None, shapes: Shapes | None = None) -> int:
    """Measure and write both files; returns the exit status of the suite's GPU part."""
    parser = report.parser(__doc__, must_write=True, out="FOLDER")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=10, help="of every throughput")
    parser.add_argument("--steps", type=int, default=20, help="of tuning")
    parser.add_argument("--rounds", type=int, help="of the accuracy's prompt (default: the rules')")
    options = parser.parse_args(given)
    shapes = shapes or Shapes(repeats=options.repeats, steps=options.steps, rounds=options.rounds)
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("--device: found no GPU that torch can use, expected one (see nvidia-smi)")
    status, summary = suite()
    base = large(shapes, device, torch.float32, seed=options.seed)
    found: dict[str, Any] = {
        **report.circumstances(base),
        "gpu": gpu_name(device), "shapes": {n: getattr(shapes, n) for n in Shapes.__slots__},
        "suite": {"status": status, "summary": summary},
        "accuracy": accuracy(device, shapes.rounds, seed=options.seed),
        "throughput": {"float32": throughput(base, shapes, seed=options.seed)},
    }  # fmt: skip
    del base
    half = large(shapes, device, torch.bfloat16, seed=options.seed)
    found["throughput"]["bfloat16"] = throughput(half, shapes, seed=options.seed)
    del half
    found["tuning"] = tuning(shapes, device, seed=options.seed)
    report.write(found, options.out / "gpu.json")
    (options.out / "gpu.md").write_text(page(found), encoding="utf-8")
    print(page(found))
    return status


def suite() -> tuple[int, str]:
    """Exit status and last line of `pytest -m gpu`; its tests skip themselves without a GPU."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-m",
        "gpu",
        "tests/model/test_gpu.py",
        "tests/jobs/test_gpu_ray.py",
    ]
    done = subprocess.run(command, cwd=report.CHECKOUT, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout, file=sys.stderr)
    return done.returncode, (done.stdout.strip().splitlines() or [done.stderr.strip()])[-1]


def large(shapes: Shapes, device: torch.device, dtype: torch.dtype, *, seed: int) -> Backbone:
    """The random backbone on the device in a precision."""
    made = step_cost.random_backbone(width=shapes.width, layers=shapes.layers, seed=seed)
    made.model.to(device=device, dtype=dtype)
    return made


def accuracy(device: torch.device, rounds: int | None, *, seed: int) -> dict[str, Any]:
    """F1 on the example's test sentences in both precisions, and the share of sentences with equal answers.

    The prompt is tuned once, in float32 weights, with the rules' longest prompt and lowest rate.
    """
    whole = backbone.load(None, device=device)
    train, test = read(str(report.EXAMPLE / "train.conll")), read(str(report.EXAMPLE / "test.conll"))
    labels = LabelSet.of(labels_of(train))
    plan = rules.plan(
        train, prompt_length=max(rules.PROMPT_LENGTHS), learning_rate=min(rules.LEARNING_RATES), seed=seed
    )
    if rounds is not None:
        plan = replace(plan, rounds=rounds, steps=min(plan.steps, rounds))
    prompt = fit(whole, labels, train, (), plan).fold()
    half = backbone.load(None, device=device, dtype=torch.bfloat16)
    cast = Prompt(labels, prompt.guidance.to(device, torch.bfloat16), prompt.label_vectors.to(torch.bfloat16))
    answers = [_answers(base, own, test) for base, own in ((whole, prompt), (half, cast))]
    alike = sum(one == other for one, other in zip(*answers, strict=True))
    return {
        "sentences": len(test),
        "f1_float32": evaluate(whole, prompt, test).micro.f1,
        "f1_bfloat16": evaluate(half, cast, test).micro.f1,
        "answered_alike": alike / len(test),
    }


def throughput(base: Backbone, shapes: Shapes, *, seed: int) -> dict[str, Any]:
    """Sentences per second of mixed batches from words to spans, of the model part alone, and of the floor."""
    rows = mixed_rows(base, shapes, seed=seed)
    _reset(base.device)
    total = _median_s(base.device, lambda: _whole(base, rows), shapes.repeats)
    work = prepare(base, rows)
    model_part = _median_s(base.device, lambda: infer(base, work), shapes.repeats)
    lengths = [len(each.ids) for each in infer(base, work).decoded]
    peak = _peak_mib(base.device)
    bare = _median_s(base.device, lambda: floor(base, work, lengths), shapes.repeats)
    return {
        "sentences_per_s": shapes.batch / total,
        "model_sentences_per_s": shapes.batch / model_part,
        "floor_sentences_per_s": shapes.batch / bare,
        "share_of_floor": bare / total,
        "decoder_steps": max(lengths) + 1,
        "mean_ids_per_sentence": statistics.mean(lengths),
        "peak_mib": peak,
    }


def mixed_rows(base: Backbone, shapes: Shapes, *, seed: int) -> list[Row]:
    """A batch of sentences of 32 sub-words whose domains take turns; prompts differ in length."""
    rng = random.Random(seed)
    prompts = [_random_prompt(base, length=rng.choice(rules.PROMPT_LENGTHS), seed=n) for n in range(shapes.domains)]
    found = step_cost.sentences(seed, count=shapes.batch)
    return [Row(prompts[number % len(prompts)], sentence.words) for number, sentence in enumerate(found)]


@torch.inference_mode()
def floor(base: Backbone, work: Work, lengths: Sequence[int]) -> None:
    """The bare encoder once and the bare decoder step by step, for the rows that decoding kept at each step."""
    encoder, decoder = base.model.get_encoder(), base.model.get_decoder()
    hidden = encoder(input_ids=work.batch.input_ids, attention_mask=work.batch.attention_mask).last_hidden_state
    mask = work.batch.attention_mask
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    hidden, mask = hidden[order], mask[order]
    for step in range(max(lengths) + 1):
        alive = sum(length >= step for length in lengths)
        if alive < len(hidden):
            keep = torch.arange(alive, device=hidden.device)
            hidden, mask = hidden[:alive], mask[:alive]
            cache.batch_select_indices(keep)
        decoder(
            input_ids=torch.full((alive, 1), 2, device=hidden.device), encoder_hidden_states=hidden,
            encoder_attention_mask=mask, past_key_values=cache, use_cache=True,
        )  # fmt: skip


def tuning(shapes: Shapes, device: torch.device, *, seed: int) -> dict[str, dict[str, float]]:
    """Steps per second and peak memory of prompt tuning and of fine-tuning, each on a fresh backbone."""
    rows = {}
    for variant in step_cost.VARIANTS:
        base = large(shapes, device, torch.float32, seed=seed)
        _reset(device)
        running = step_cost.steps_of(variant, base, steps=shapes.steps + 2, seed=seed)
        learned = next(running)
        times = [_timed(device, lambda running=running: next(running)) for _ in range(shapes.steps + 2)][2:]
        rows[variant] = {
            "learned_numbers": learned,
            "steps_per_s": 1 / statistics.median(times),
            "peak_mib": _peak_mib(device),
        }
        del base, running
    return rows


def page(found: dict[str, Any]) -> str:
    """The report as Markdown."""
    shapes, accurate = found["shapes"], found["accuracy"]
    rates = "\n".join(
        f"| {name} | {row['sentences_per_s']:.0f} | {row['model_sentences_per_s']:.0f} | "
        f"{row['floor_sentences_per_s']:.0f} | {100 * row['share_of_floor']:.0f} % | {row['decoder_steps']} | "
        f"{row['mean_ids_per_sentence']:.1f} | {row['peak_mib']:.0f} |"
        for name, row in found["throughput"].items()
    )
    steps = "\n".join(
        f"| {name} | {row['learned_numbers']:,} | {row['steps_per_s']:.2f} | {row['peak_mib']:.0f} |"
        for name, row in found["tuning"].items()
    )
    return f"""# On a GPU, {found["date"]}

Command: `python -m benchmarks.gpu_report --out FOLDER`. {found["gpu"]}, {found["hardware"]}, Python
{found["python"]}, {found["versions"]}.

`pytest -m gpu`: {found["suite"]["summary"]} (status {found["suite"]["status"]}).

Accuracy, embedded backbone, {accurate["sentences"]} sentences of examples/recipes: F1
{100 * accurate["f1_float32"]:.1f} in float32, {100 * accurate["f1_bfloat16"]:.1f} in bfloat16;
{100 * accurate["answered_alike"]:.1f} % of the sentences are answered alike.

Throughput, random weights of width {shapes["width"]} with {shapes["layers"]} + {shapes["layers"]} layers, batches of
{shapes["batch"]} sentences of 32 sub-words, {shapes["domains"]} domains; medians of {shapes["repeats"]}. The floor is
the bare encoder and decoder on the same rows and steps.

| precision | sentences/s | model part | floor | share of floor | decoder steps | ids per sentence | peak MiB |
|---|---|---|---|---|---|---|---|
{rates}

Tuning, the same shapes, batches of {step_cost.BATCH}; medians of {shapes["steps"]} steps after 2.

| variant | learned numbers | steps/s | peak MiB |
|---|---|---|---|
{steps}
"""


def _answers(base: Backbone, prompt: Prompt, sentences: Sequence[Sentence]) -> list[Any]:
    work = prepare(base, [Row(prompt, sentence.words) for sentence in sentences])
    return [[span for span, _ in each] for each in finish(work, infer(base, work))]


def _whole(base: Backbone, rows: Sequence[Row]) -> None:
    work = prepare(base, rows)
    finish(work, infer(base, work))


def _random_prompt(base: Backbone, *, length: int, seed: int) -> Prompt:
    """An untrained prompt of the rules' shape."""
    plan = step_cost.plan_for(step_cost.sentences(seed, count=step_cost.BATCH), steps=1, seed=seed)
    model = PromptModel(base, step_cost.LABELS, replace(plan, prompt_length=length, feed_forward_slots=4 * length))
    made = model.fold()
    dtype = base.embedding.dtype
    guidance: Guidance = made.guidance.to(base.device, dtype)
    return Prompt(step_cost.LABELS, guidance, made.label_vectors.to(base.device, dtype))


def _median_s(device: torch.device, work: Callable[[], Any], repeats: int) -> float:
    times = [_timed(device, work) for _ in range(repeats + 1)]
    return statistics.median(times[1:])


def _timed(device: torch.device, work: Callable[[], Any]) -> float:
    """Seconds until the device has finished."""
    _settle(device)
    began = time.perf_counter()
    work()
    _settle(device)
    return time.perf_counter() - began


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _reset(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _peak_mib(device: torch.device) -> float:
    """The peak memory of tensors since `_reset`, weights included; NaN without a GPU."""
    return torch.cuda.max_memory_allocated(device) / _MIB if device.type == "cuda" else float("nan")


def gpu_name(device: torch.device) -> str:
    """The GPU's model, or a note that there is no GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU: the script was only tried"


if __name__ == "__main__":
    sys.exit(main())
