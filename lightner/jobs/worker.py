"""One worker of a tuning run: the only bridge from Ray to `lightner.tuning.cross_validation.run_folds`.

A run of one worker learns in the process of its trial; a run of several is a Ray Train run.
"""

from __future__ import annotations

import functools
import platform
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from ray import train, tune
from ray.exceptions import ActorDiedError
from ray.train.torch import TorchConfig, TorchTrainer, prepare_model
from ray.tune.integration.ray_train import TuneReportCallback
from torch import distributed, nn

from lightner.jobs import _snapshots, devices
from lightner.jobs.on_ray import storage
from lightner.model import backbone, sharding
from lightner.model.backbone import Backbone
from lightner.model.prompts import Prompt
from lightner.tuning.cross_validation import Fold, History, read_history, run_folds
from lightner.tuning.rules import Plan
from lightner.tuning.self_training import with_unlabelled
from lightner.tuning.training import Saver, Worker
from lightner.types import InputError, LabelSet, Sentence

# A little less than one, so that with one trial per CPU the trials' drivers still fit next to their workers.
_WORKER_CPUS = 0.9
_MISTAKE = f"{InputError.__module__}.{InputError.__qualname__}: "
Metrics: TypeAlias = "dict[str, Any]"
Checkpoint: TypeAlias = "train.Checkpoint | tune.Checkpoint"
_Report: TypeAlias = "Callable[[Metrics, Saver | None], None]"


@dataclass(frozen=True)
class Run:
    """One training run: its sentences, its plan, the round at which it ends, and where it keeps checkpoints.

    `fingerprint` is that of the backbone, which each worker loads by its name. All folds learn in the same workers, in
    turn, and start from the prompt `source` of another domain if given. `shard`: several workers spread the frozen
    weights among themselves. `begun`: the checkpoint of a shorter run from which this one resumes. `unlabelled`
    sentences are learned from with what the prompts in `teacher`, the checkpoint of a run of the same folds, find in
    them. `per_gpu`: how many runs of one worker share a GPU. `cpus`: CPUs that concurrent single-worker runs share when
    the job started its own Ray; otherwise each run gets one.
    """

    name: str
    storage: str
    backbone: str | None
    fingerprint: str
    labels: LabelSet
    folds: tuple[Fold, ...]
    plan: Plan
    last: int
    workers: int = 1
    gpu: bool = False
    per_gpu: int = 1
    cpus: int = 0
    shard: bool = False
    source: Prompt | None = None
    started_from: str | None = None
    begun: Checkpoint | None = None
    unlabelled: tuple[Sentence, ...] = ()
    teacher: Checkpoint | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of learning and scoring, wall and CPU time, since the process started or resumed the run.

    With several workers, those of the first.
    """

    clock_s: float
    cpu_s: float


def work_alone(task: Run) -> None:
    """Learn in this process, which is a trial's; resumes from the trial's last checkpoint."""

    def report(metrics: Metrics, save: Saver | None) -> None:
        if save is None:
            tune.report(metrics)
            return
        with tempfile.TemporaryDirectory() as folder:
            save(Path(folder))
            tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(folder))

    with _folder(tune.get_checkpoint() or task.begun) as resume:
        _learn(task, Worker(), resume, report)


def work_together(task: Run, name: str) -> None:
    """Learn in several workers of Ray Train, for the trial in this process.

    A run of the same name and storage resumes from its last checkpoint, or begins anew if that was lost. Raises
    InputError if a worker raised one.
    """
    try:
        _fit(_trainer(task, name), storage.inside(task.storage, name))
    except train.WorkerGroupError as error:
        # A worker's exception arrives as the text of its traceback, which ends with the exception itself.
        for failure in error.worker_failures.values():
            _, found, message = str(failure).rpartition(_MISTAKE)
            if found:
                raise InputError(message.strip()) from error
        raise


def _fit(trainer: TorchTrainer, run: str) -> None:
    """Resume the run in that folder or at that URL, or begin it anew if the states of its snapshot were lost."""
    try:
        trainer.fit()
    except ActorDiedError as error:
        if not _snapshots.names_lost_states(error):
            raise
        _snapshots.remove(run)
        trainer.fit()


def _trainer(task: Run, name: str) -> TorchTrainer:
    return TorchTrainer(
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
            name=name,
            storage_path=task.storage,
            callbacks=[TuneReportCallback()],
            failure_config=train.FailureConfig(max_failures=3),
            checkpoint_config=train.CheckpointConfig(num_to_keep=2),
            logging_config=train.LoggingConfig(log_level="WARNING"),
        ),
    )


def _work(config: Mapping[str, Any]) -> None:
    task: Run = config["task"]
    context = train.get_context()
    rank = context.get_world_rank()

    def report(metrics: Metrics, save: Saver | None) -> None:
        if save is None or rank != 0:
            train.report(metrics)
            return
        with tempfile.TemporaryDirectory() as folder:
            save(Path(folder))
            kept = train.Checkpoint.from_directory(folder)
            train.report(metrics, checkpoint=kept, checkpoint_dir_name=f"round_{metrics['epoch']:03d}")

    with _folder(train.get_checkpoint() or task.begun) as resume:
        worker = Worker(rank=rank, count=context.get_world_size(), wrap=_wrap)
        _learn(task, worker, resume, report)


def _learn(task: Run, worker: Worker, resume: str | None, report: _Report) -> None:
    base = backbone_of(task)
    clock, processor = time.perf_counter(), time.process_time()

    def on_round(history: History, save: Saver) -> None:
        cost = Cost(time.perf_counter() - clock, time.process_time() - processor)
        report(_metrics(history, task.plan, cost), save)

    if resume is not None and len(history := read_history(Path(resume))) == task.last:
        # A process killed between the run's end and the news of it would wait for the last report for ever.
        report(_metrics(history, task.plan, Cost(0.0, 0.0)), None)
    run_folds(
        base,
        task.labels,
        folds_of(task, base, worker),
        task.plan,
        last=task.last,
        worker=worker,
        resume=None if resume is None else Path(resume),
        source=task.source,
        on_round=on_round,
    )


def folds_of(task: Run, base: Backbone, worker: Worker) -> tuple[Fold, ...]:
    """What the run learns from: its folds, with what its teacher finds in unlabelled sentences, if it has one.

    All workers learn from what the first one finds.
    """
    if task.teacher is None:
        return task.folds
    with task.teacher.as_directory() as folder:
        folds = with_unlabelled(base, task.labels, task.folds, task.unlabelled, Path(folder))
    if worker.count == 1:
        return folds
    shared = [folds]
    distributed.broadcast_object_list(shared, src=0, device=base.device)
    return shared[0]


def backbone_of(task: Run) -> Backbone:
    """The run's backbone on this process's device.

    Raises InputError if there is no such device, or if the backbone's name leads to another model here than where the
    job began.
    """
    base = _loaded(task.backbone, devices.device(gpu=task.gpu), shard=task.shard)
    if base.fingerprint != task.fingerprint:
        raise InputError(
            f"backbone {base.name!r}: found fingerprint {base.fingerprint[:12]} on node {platform.node()}, expected"
            f" {task.fingerprint[:12]} as where the job runs: the same model under this name on every node"
        )
    return base


@functools.lru_cache(maxsize=1)
def _loaded(name: str | None, device: torch.device, *, shard: bool) -> Backbone:
    """The backbone, loaded once by a process that runs one trial after the other."""
    if shard:
        return sharding.shard(backbone.load(name), device)  # a whole model need not fit onto the device
    return backbone.load(name, device=device)


def _metrics(history: History, plan: Plan, cost: Cost) -> Metrics:
    done = history[-1]
    metrics: Metrics = {
        "epoch": done.epoch,
        "step": done.step,
        "timesteps_total": done.step,  # the x-axis of Ray's loggers, which a resumed run has to continue
        "loss": done.loss,
        "prompt_length": plan.prompt_length,
        "learning_rate": plan.learning_rate,
        "learning_s": cost.clock_s,
        "learning_cpu_s": cost.cpu_s,
    }
    return metrics if done.scores is None else {**metrics, "f1": done.scores.micro.f1}


def _folder(checkpoint: Checkpoint | None) -> AbstractContextManager[str | None]:
    folder: AbstractContextManager[str | None] = nullcontext() if checkpoint is None else checkpoint.as_directory()
    return folder


def _wrap(module: nn.Module) -> nn.Module:
    # It is already on the backbone's device, which is not Ray's device if a cluster only counts GPUs.
    wrapped: nn.Module = prepare_model(module, move_to_device=False)
    return wrapped
