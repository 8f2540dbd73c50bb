"""The only bridge from Ray Train to `lightner.selection.run_folds`: one worker of a tuning run."""

from __future__ import annotations

import tempfile
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ray import train
from ray.train.torch import TorchConfig, TorchTrainer, prepare_model
from safetensors.torch import load_file
from torch import Tensor, distributed, nn

from jobs.session import Stopped
from lightner import backbone
from lightner.prompts import Prompt
from lightner.rules import Plan
from lightner.selection import Fold, History, fold_folder, read_history, run_folds
from lightner.training import PROMPT, Saver, Worker
from lightner.types import InputError, LabelSet

# A little less than one, so that the drivers of as many trials as there are CPUs find room beside their workers.
_WORKER_CPUS = 0.9
_MISTAKE = f"{InputError.__module__}.{InputError.__qualname__}: "


@dataclass(frozen=True)
class Run:
    """One training run: what to learn from, by which plan to which of its rounds, and where it keeps checkpoints.

    All folds learn in the same workers, in turn, and start from the prompt `source` of another domain if there is one.
    """

    name: str
    storage: str
    backbone: str | None
    labels: LabelSet
    folds: tuple[Fold, ...]
    plan: Plan
    last: int
    workers: int = 1
    gpu: bool = False
    source: Prompt | None = None
    started_from: str | None = None


def run(task: Run, callbacks: list[Any] | None = None) -> train.Result:
    """Train on Ray; a run of the same name and storage goes on from its last checkpoint.

    Raises:
        InputError: a worker met one.
    """
    trainer = TorchTrainer(
        _work,
        train_loop_config={"task": task},
        # A torch without CUDA has no NCCL, on a cluster that only counts GPUs; the driver's torch is the workers'.
        torch_config=TorchConfig(backend="nccl" if task.gpu and distributed.is_nccl_available() else "gloo"),
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


def learned(result: train.Result, task: Run) -> dict[str, Tensor]:
    """The tensors of the prompt that a finished run of one fold left in its last checkpoint.

    Raises:
        Stopped: the run did not come to its end.
    """
    measured(result, task)
    with result.checkpoint.as_directory() as folder:
        tensors: dict[str, Tensor] = load_file(fold_folder(Path(folder), 0) / PROMPT)
    return tensors


def measured(result: train.Result, task: Run) -> History:
    """The scores that a finished run left in its last checkpoint, by round.

    Raises:
        Stopped: the run did not come to its end.
    """
    history = so_far(result)
    if len(history) != task.last:
        raise Stopped
    return history


def so_far(result: train.Result) -> History:
    """The scores in the last checkpoint of a run, by round; none where it has no checkpoint."""
    if result.checkpoint is None:
        return ()
    with result.checkpoint.as_directory() as folder:
        return read_history(Path(folder))


def _work(config: dict[str, Any]) -> None:
    task: Run = config["task"]
    context = train.get_context()
    device = "cuda" if task.gpu and torch.cuda.is_available() else "cpu"
    base = backbone.load(task.backbone, device=device)
    worker = Worker(rank=context.get_world_rank(), count=context.get_world_size(), wrap=_wrap)

    def on_round(history: History, save: Saver) -> None:
        metrics = _metrics(history, task.plan)
        if worker.rank != 0:
            train.report(metrics)
            return
        with tempfile.TemporaryDirectory() as folder:
            save(Path(folder))
            kept = train.Checkpoint.from_directory(folder)
            train.report(metrics, checkpoint=kept, checkpoint_dir_name=f"round_{len(history):03d}")

    with _folder(train.get_checkpoint()) as resume:
        if resume is not None:
            _repeat_last_report(read_history(Path(resume)), task)
        run_folds(
            base,
            task.labels,
            task.folds,
            task.plan,
            last=task.last,
            worker=worker,
            resume=None if resume is None else Path(resume),
            source=task.source,
            on_round=on_round,
        )


def _repeat_last_report(history: History, task: Run) -> None:
    """Report the last round again: whoever was killed between the run's end and hearing of it would wait for ever."""
    if len(history) == task.last:
        train.report(_metrics(history, task.plan))


def _metrics(history: History, plan: Plan) -> dict[str, Any]:
    done = history[-1]
    metrics: dict[str, Any] = {
        "epoch": done.epoch,
        "step": done.step,
        "loss": done.loss,
        "prompt_length": plan.prompt_length,
        "learning_rate": plan.learning_rate,
    }
    return metrics if done.scores is None else {**metrics, "f1": done.scores.micro.f1}


def _folder(checkpoint: train.Checkpoint | None) -> AbstractContextManager[str | None]:
    folder: AbstractContextManager[str | None] = nullcontext() if checkpoint is None else checkpoint.as_directory()
    return folder


def _wrap(module: nn.Module) -> nn.Module:
    # It already is where the backbone is, which is not Ray's device where a cluster only counts GPUs.
    wrapped: nn.Module = prepare_model(module, move_to_device=False)
    return wrapped
