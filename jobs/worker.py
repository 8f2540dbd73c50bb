"""The only bridge from Ray Train to `lightner.training.fit`: one worker of a tuning run."""

from __future__ import annotations

import json
import tempfile
from contextlib import AbstractContextManager, nullcontext
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import torch
from ray import train
from ray.train.torch import TorchTrainer, prepare_model
from safetensors.torch import load_file
from torch import Tensor, nn

from jobs.session import Stopped
from lightner import backbone
from lightner.checkpoints import load_state
from lightner.rules import Plan
from lightner.training import PROMPT, Round, Saver, Worker, fit
from lightner.types import InputError, LabelSet, Sentence

# A little less than one, so that the drivers of as many trials as there are CPUs find room beside their workers.
_WORKER_CPUS = 0.9
_REPORTED = "reported.json"
_MISTAKE = f"{InputError.__module__}.{InputError.__qualname__}: "


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
    """Train on Ray; a run of the same name and storage goes on from its last checkpoint.

    Raises:
        InputError: a worker met one.
    """
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
    try:
        return trainer.fit()
    except train.WorkerGroupError as error:
        # A worker's exception arrives as the text of its traceback, which ends in the exception itself.
        for failure in error.worker_failures.values():
            _, found, message = str(failure).rpartition(_MISTAKE)
            if found:
                raise InputError(message.strip()) from error
        raise


def learned(result: train.Result, plan: Plan) -> dict[str, Tensor]:
    """The tensors of the prompt that a finished run left in its last checkpoint.

    Raises:
        Stopped: the run did not come to the end of its plan.
    """
    if result.checkpoint is None:
        raise Stopped
    with result.checkpoint.as_directory() as folder:
        _, counters = load_state(Path(folder))
        if counters["step"] != plan.steps:
            raise Stopped
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
            (Path(folder) / _REPORTED).write_text(json.dumps(metrics), encoding="utf-8")
            kept = train.Checkpoint.from_directory(folder)
            train.report(metrics, checkpoint=kept, checkpoint_dir_name=f"round_{done.epoch:03d}")

    with _folder(train.get_checkpoint()) as resume:
        if resume is not None:
            _repeat_last_report(Path(resume), task.plan)
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


def _repeat_last_report(resume: Path, plan: Plan) -> None:
    """Report the last round again: whoever was killed between the run's end and hearing of it would wait for ever."""
    metrics = json.loads((resume / _REPORTED).read_text(encoding="utf-8"))
    if metrics["step"] == plan.steps:
        train.report(metrics)


def _metrics(done: Round, plan: Plan) -> dict[str, Any]:
    metrics: dict[str, Any] = {
        "epoch": done.epoch,
        "step": done.step,
        "loss": done.loss,
        "prompt_length": plan.prompt_length,
        "learning_rate": plan.learning_rate,
    }
    if done.scores is not None:
        # Counts as text: Ray's own logs make a column of every number, and labels may be anything.
        counts = {name: astuple(each) for name, each in done.scores.types.items()}
        metrics |= {"f1": done.scores.micro.f1, "counts": json.dumps(counts)}
    return metrics


def _folder(checkpoint: train.Checkpoint | None) -> AbstractContextManager[str | None]:
    folder: AbstractContextManager[str | None] = nullcontext() if checkpoint is None else checkpoint.as_directory()
    return folder


def _wrap(module: nn.Module) -> nn.Module:
    wrapped: nn.Module = prepare_model(module)
    return wrapped
