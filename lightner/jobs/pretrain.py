"""The pretraining job: make a backbone on Ray Train.

Learns from openly labelled text, labelled sets and raw text with weak labels, whichever are given. After a kill the
same call with the same name and storage resumes from the last state, for as many steps as it asks for then; other
data, weights or settings are another run and need another name. A checkpoint in `out` is replaced; other files there
stay.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from ray import train
from ray.train.torch import TorchTrainer
from ray.util.queue import Queue

from lightner.jobs import command, pretrain_progress
from lightner.jobs.on_ray import session
from lightner.jobs.options import PretrainOptions
from lightner.jobs.pretrain_run import CURVE, FINAL, PICTURE, begin, check_place, check_sources, put, traits
from lightner.jobs.pretrain_worker import worker

_KEPT = "states are kept"  # of a job that is stopped


def main(options: PretrainOptions) -> int:
    """Run the job; returns the exit status."""
    try:
        return command.exit_status(lambda: make(options))
    except KeyboardInterrupt:
        return session.stopped(_KEPT)


def make(options: PretrainOptions) -> None:
    """Check, train, put the checkpoint in its place, and print where it is.

    Raises:
        InputError: an option does not fit the existing files, or the run of that name has other settings.
        OSError: the checkpoint cannot be written.
    """
    out = options.out
    check_sources(options)
    check_place(out)
    begin(options.storage / options.name, traits(options), steps=options.steps)
    session.connect(_KEPT)
    with pretrain_progress.shown(options.steps) as reports:
        result = _trainer(options, reports).fit()
    with result.checkpoint.as_directory() as folder:
        put(Path(folder) / FINAL, out)
        for name in (CURVE, PICTURE):
            growing = out.with_name(f".{out.name}.{name}")
            shutil.copy(Path(folder) / name, growing)
            growing.replace(Path(f"{out}.{name}"))
    print(f"checkpoint: {out}\ncurve: {out}.{CURVE}, {out}.{PICTURE}")


def _trainer(options: PretrainOptions, reports: Queue) -> TorchTrainer:
    return TorchTrainer(
        worker,
        train_loop_config={"options": options, "reports": reports},
        scaling_config=train.ScalingConfig(
            num_workers=options.workers, use_gpu=options.gpu, resources_per_worker={"CPU": options.threads}
        ),
        run_config=train.RunConfig(
            name=options.name,
            storage_path=str(options.storage),
            failure_config=train.FailureConfig(max_failures=3),
            checkpoint_config=train.CheckpointConfig(num_to_keep=2),
        ),
    )
