"""The pretraining loop: steps over drawn batches, on one worker or several, with reports and a resumable state.

Knows no Ray: the caller says how to wrap the model for several workers, and what to do with reports.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lightner.pretraining.averaging import average, prime
from lightner.pretraining.development import Development
from lightner.pretraining.mixture import Draw
from lightner.pretraining.objective import Pretrainer
from lightner.tuning.checkpoints import load_state, save_state
from lightner.tuning.training import Saver
from lightner.types import InputError

_CLIP = 1.0
_ENCODER_RATE = 0.4
_PROMPT_RATE = 10.0


@dataclass(frozen=True)
class PretrainSettings:
    """Steps and learning rates: `rate` is the decoder's; the encoder's is 0.4 times as high, the prompts' ten times.

    The rate warms up over the first `warm_up` steps, stays constant until the share `constant` of the steps, and falls
    to zero from there. Until it falls, a run may be made longer or shorter. Workers that average do so every
    `average_every` steps.
    """

    steps: int
    rate: float = 3e-4
    warm_up: int = 200
    constant: float = 0.4
    report_every: int = 50
    save_every: int = 250
    average_every: int = 25
    seed: int = 0
    bf16: bool = False

    def __post_init__(self) -> None:
        for name in ("report_every", "save_every"):
            if getattr(self, name) % self.average_every:
                raise InputError(
                    f"pretraining: found {name} {getattr(self, name)}, expected a multiple of {self.average_every},"
                    " after which all workers have one state"
                )


@dataclass(frozen=True)
class Workers:
    """This process among data-parallel workers, which exchange gradients at every step (`wrap`) or average weights."""

    rank: int = 0
    count: int = 1
    averages: bool = False
    wrap: Callable[[nn.Module], nn.Module] = lambda module: module


@dataclass(frozen=True)
class Report:
    """A line of progress: mean loss since the last report, this worker's sentences per second, seconds left, and what
    was found in held-out data, if measured."""

    step: int
    loss: float
    sentences_per_s: float
    left_s: float
    development: Development


def trainable(pretrainer: Pretrainer) -> list[dict[str, object]]:
    """Parameter groups: all parameters except the shared word embeddings and the encoder's positions."""
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
    draw_at: Callable[[int], Draw],
    settings: PretrainSettings,
    *,
    workers: Workers,
    resume: Path | None,
    develop: Callable[[], Development],
    report: Callable[[Report, Saver | None], None],
) -> None:
    """Run to `settings.steps`; `draw_at(step)` is this worker's batch at a step, independent of earlier steps.

    All random draws of a step, dropout included, depend only on the seed, the worker and the step, so that a killed and
    resumed run ends with the same weights as an uninterrupted one.
    """
    optimizer = torch.optim.AdamW(trainable(pretrainer), lr=settings.rate, fused=True)
    prime(optimizer)
    done = 0 if resume is None else _resume(pretrainer, optimizer, resume)
    module = workers.wrap(pretrainer)
    pretrainer.model.train()
    losses: list[float] = []
    since, seen = time.monotonic(), 0
    for step in range(done + 1, settings.steps + 1):
        draw = draw_at(step)
        losses.append(_step(module, optimizer, draw, settings, step=step, rank=workers.rank))
        seen += len(draw.sentences)
        last = step == settings.steps
        if workers.averages and workers.count > 1 and (step % settings.average_every == 0 or last):
            average(optimizer, workers.count)
        if step % settings.report_every and step % settings.save_every and not last:
            continue
        elapsed = time.monotonic() - since
        left_s = elapsed / len(losses) * (settings.steps - step)
        saves = step % settings.save_every == 0 or last
        found = _developed(pretrainer, develop) if saves and workers.rank == 0 else Development()
        line = Report(step, sum(losses) / len(losses), seen / elapsed, left_s, found)
        report(line, _saver(pretrainer, optimizer, step) if saves else None)
        losses, seen, since = [], 0, time.monotonic()
    pretrainer.model.eval()


def _developed(pretrainer: Pretrainer, develop: Callable[[], Development]) -> Development:
    pretrainer.model.eval()
    found = develop()
    pretrainer.model.train()
    return found


def _step(
    module: nn.Module, optimizer: torch.optim.Optimizer, draw: Draw, settings: PretrainSettings, *, step: int, rank: int
) -> float:
    for group in optimizer.param_groups:
        group["lr"] = settings.rate * rate_share(settings, step) * group["share"]
    rng = random.Random(f"{settings.seed}-{rank}-{step}")
    torch.manual_seed(rng.getrandbits(63))
    device = next(module.parameters()).device
    with torch.autocast(device.type, torch.bfloat16, enabled=settings.bf16):
        loss: Tensor = module(draw, rng)
    torch.autograd.backward(loss)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    norm = float(nn.utils.clip_grad_norm_(parameters, _CLIP))
    if math.isfinite(norm):
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(loss.detach())


def rate_share(settings: PretrainSettings, step: int) -> float:
    """The factor on the learning rate at `step`, counted from 1."""
    falling = (settings.steps - step + 1) / max(1.0, (1 - settings.constant) * settings.steps)
    return min(1.0, step / max(1, settings.warm_up), falling)


def _resume(pretrainer: Pretrainer, optimizer: torch.optim.Optimizer, folder: Path) -> int:
    weights, counters = load_state(folder, optimizer)
    pretrainer.load_state_dict(weights, strict=False)
    return int(counters["step"])


def _saver(pretrainer: Pretrainer, optimizer: torch.optim.Optimizer, step: int) -> Saver:
    def save(folder: Path) -> None:
        weights = {name: parameter for name, parameter in pretrainer.named_parameters() if parameter.requires_grad}
        save_state(folder, weights, optimizer, {"step": step})

    return save
