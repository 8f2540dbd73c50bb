"""The only bridge from Ray Train to `lightner.training.fit`: one worker of a tuning run."""

from __future__ import annotations

import tempfile
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ray import train
from ray.train.torch import TorchTrainer, prepare_model
from safetensors.torch import load_file
from torch import Tensor, nn

from lightner import backbone
from lightner.rules import Plan
from lightner.training import PROMPT, Round, Saver, Worker, fit
from lightner.types import LabelSet, Sentence

# A little less than one, so that the drivers of as many trials as there are CPUs find room beside their workers.
_WORKER_CPUS = 0.9


@dataclass(frozen=True)
class Run:
    """One training run: what to learn from, by which plan, and where it keeps its checkpoints."""

    name: str
    storage: str
    backbone: str | None
    labels: LabelSet
    train: tuple[Sentence, ...]
    dev: tuple[Sentence, ...]
    plan: Plan
    workers: int = 1
    gpu: bool = False


def run(task: Run, callbacks: list[Any] | None = None) -> train.Result:
    """Train on Ray; a run of the same name and storage goes on from its last checkpoint."""
    trainer = TorchTrainer(
        _work,
        train_loop_config={"task": task},
        scaling_config=train.ScalingConfig(
            num_workers=task.workers,
            use_gpu=task.gpu,
            resources_per_worker={"CPU": _WORKER_CPUS, **({"GPU": 1} if task.gpu else {})},
        ),
        run_config=train.RunConfig(
            name=task.name,
            storage_path=task.storage,
            callbacks=callbacks,
            failure_config=train.FailureConfig(max_failures=3),
            checkpoint_config=train.CheckpointConfig(num_to_keep=2),
            logging_config=train.LoggingConfig(log_level="WARNING"),
        ),
    )
    return trainer.fit()


def learned(result: train.Result) -> dict[str, Tensor]:
    """The tensors of the prompt that a finished run left in its last checkpoint."""
    with result.checkpoint.as_directory() as folder:
        tensors: dict[str, Tensor] = load_file(Path(folder) / PROMPT)
    return tensors


def _work(config: dict[str, Any]) -> None:
    task: Run = config["task"]
    context = train.get_context()
    device = "cuda" if task.gpu and torch.cuda.is_available() else "cpu"
    base = backbone.load(task.backbone, device=device)
    worker = Worker(rank=context.get_world_rank(), count=context.get_world_size(), wrap=_wrap)

    def on_round(done: Round, save: Saver) -> None:
        metrics = _metrics(done, task.plan)
        if worker.rank != 0:
            train.report(metrics)
            return
        with tempfile.TemporaryDirectory() as folder:
            save(Path(folder))
            kept = train.Checkpoint.from_directory(folder)
            train.report(metrics, checkpoint=kept, checkpoint_dir_name=f"round_{done.epoch:03d}")

    with _folder(train.get_checkpoint()) as resume:
        fit(
            base,
            task.labels,
            task.train,
            task.dev,
            task.plan,
            worker=worker,
            resume=None if resume is None else Path(resume),
            on_round=on_round,
        )


def _metrics(done: Round, plan: Plan) -> dict[str, Any]:
    metrics: dict[str, Any] = {
        "epoch": done.epoch,
        "step": done.step,
        "loss": done.loss,
        "prompt_length": plan.prompt_length,
        "learning_rate": plan.learning_rate,
    }
    if done.scores is not None:
        micro = done.scores.micro
        metrics |= {"f1": micro.f1, "precision": micro.precision, "recall": micro.recall}
    return metrics


def _folder(checkpoint: train.Checkpoint | None) -> AbstractContextManager[str | None]:
    folder: AbstractContextManager[str | None] = nullcontext() if checkpoint is None else checkpoint.as_directory()
    return folder


def _wrap(module: nn.Module) -> nn.Module:
    wrapped: nn.Module = prepare_model(module)
    return wrapped
