"""The pretraining loop: steps over drawn batches, reports and a resumable state.

Knows no Ray: whoever calls it passes how to wrap the model for several workers, and what to do with reports.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lightner.evaluation.metrics import score
from lightner.model.batching import collate, encode
from lightner.model.decoding import greedy
from lightner.model.forward import encode as encode_batch
from lightner.model.forward import stack_labels
from lightner.model.starts import label_guidance
from lightner.model.verbalizer import average, label_pieces
from lightner.pretraining.mixture import Draw
from lightner.pretraining.objective import Pretrainer
from lightner.tuning.checkpoints import load_state, save_state
from lightner.types import LabelSet, Sentence

_CLIP = 1.0
_ENCODER_RATE = 0.4
_PROMPT_RATE = 10.0
_DECAY = 0.5


@dataclass(frozen=True)
class Settings:
    """How long and how fast: `rate` is the decoder's; the encoder takes 0.4 of it and prompts ten times.

    The rate warms up over the first `warm_up` steps, stays, and falls to zero over the last half. So a run may be
    made longer or shorter while it goes on, as long as the fall has not begun.
    """

    steps: int
    rate: float = 3e-4
    warm_up: int = 200
    report_every: int = 50
    evaluate_every: int = 250
    seed: int = 0
    bf16: bool = False


@dataclass(frozen=True)
class Report:
    """One line of progress; `state` is a folder to keep where a resumable state was written."""

    step: int
    loss: float
    sentences_per_s: float
    zero_shot_f1: float | None


def trainable(pretrainer: Pretrainer) -> list[dict[str, object]]:
    """Parameter groups: everything but the shared word embeddings and the encoder's positions."""
    groups: dict[float, list[nn.Parameter]] = {1.0: [], _ENCODER_RATE: [], _PROMPT_RATE: []}
    for name, parameter in pretrainer.named_parameters():
        frozen = "shared" in name or "embed_tokens" in name or "encoder.embed_positions" in name
        parameter.requires_grad_(not frozen)
        if not frozen:
            inside = name.removeprefix("model.")
            share = _PROMPT_RATE if name.startswith("prompts.") else _ENCODER_RATE if "encoder." in inside[:8] else 1.0
            groups[share].append(parameter)
    decay = {1.0: 0.01, _ENCODER_RATE: 0.01, _PROMPT_RATE: 0.0}
    return [{"params": those, "share": share, "weight_decay": decay[share]} for share, those in groups.items()]


def pretrain(
    pretrainer: Pretrainer,
    batches: Callable[[int], Iterator[Draw]],
    settings: Settings,
    *,
    wrap: Callable[[nn.Module], nn.Module],
    rank: int,
    resume: Path | None,
    evaluate: Callable[[], float],
    report: Callable[[Report, Callable[[Path], None] | None], None],
) -> None:
    """Run to `settings.steps`; `batches(step)` starts the stream behind that step."""
    optimizer = torch.optim.AdamW(trainable(pretrainer), lr=settings.rate, fused=True)
    begin = 0
    if resume is not None:
        weights, counters = load_state(resume, optimizer)
        pretrainer.load_state_dict(weights, strict=False)
        begin = int(counters["step"])
    model = wrap(pretrainer)
    rng = random.Random(f"{settings.seed}-{begin}")
    stream = batches(begin)
    losses: list[float] = []
    since, seen = time.monotonic(), 0
    for step in range(begin + 1, settings.steps + 1):
        draw = next(stream)
        losses.append(_step(model, optimizer, draw, rng, settings, step))
        seen += len(draw.sentences)
        if step % settings.report_every and step != settings.steps:
            continue
        speed = seen / (time.monotonic() - since)
        whole = step % settings.evaluate_every == 0 or step == settings.steps
        f1 = evaluate() if whole and rank == 0 else None
        line = Report(step, sum(losses) / len(losses), speed, f1)
        report(line, _saver(pretrainer, optimizer, step) if whole else None)
        losses, seen, since = [], 0, time.monotonic()


def _step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    draw: Draw,
    rng: random.Random,
    settings: Settings,
    step: int,
) -> float:
    for group in optimizer.param_groups:
        group["lr"] = settings.rate * rate_share(settings, step) * group["share"]
    device = next(model.parameters()).device.type
    with torch.autocast(device, torch.bfloat16, enabled=settings.bf16):
        loss: Tensor = model(draw, rng)
    torch.autograd.backward(loss)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    norm = float(nn.utils.clip_grad_norm_(parameters, _CLIP))
    if math.isfinite(norm):
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(loss.detach())


def rate_share(settings: Settings, step: int) -> float:
    """Share of the full rate at `step`, counted from 1."""
    falling = (settings.steps - step + 1) / max(1.0, _DECAY * settings.steps)
    return min(1.0, step / max(1, settings.warm_up), falling)


def _saver(pretrainer: Pretrainer, optimizer: torch.optim.Optimizer, step: int) -> Callable[[Path], None]:
    def save(folder: Path) -> None:
        weights = {name: parameter for name, parameter in pretrainer.named_parameters() if parameter.requires_grad}
        save_state(folder, weights, optimizer, {"step": step})

    return save


@torch.no_grad()
def zero_shot_f1(pretrainer: Pretrainer, sentences: list[Sentence], labels: LabelSet, *, batch_size: int = 32) -> float:
    """Micro F1 on a set that was left out, from its label words alone (no free slots)."""
    backbone = pretrainer.backbone
    pieces = label_pieces(backbone.tokenizer, labels).to(backbone.device)
    vectors = average(torch.zeros(pieces.ids.shape, device=backbone.device), pieces, backbone.embedding)
    guidance = label_guidance(backbone, pieces, vectors)
    predicted = []
    for start in range(0, len(sentences), batch_size):
        part = sentences[start : start + batch_size]
        examples = encode(backbone.tokenizer, [sentence.words for sentence in part])
        batch = collate(examples, pad=backbone.tokenizer.pad_token_id, device=backbone.device)
        encoded = encode_batch(backbone, batch, guidance, stack_labels([vectors], [0] * len(part)))
        for row in greedy(backbone, encoded, guidance):
            predicted.append([span for span, _ in row.spans(labels.names, encoded.space)])
    return score([sentence.spans for sentence in sentences], predicted).micro.f1
