"""Pretrain a backbone on Ray Train: `python jobs/pretrain.py --start DIR --open DIR --out DIR --steps N`.

Learns from openly labelled text (`--open`), labelled sets (`--sets`) and raw text with weak labels (`--raw`), whichever
are given. Resumable: after a kill the same command with the same `--name` and `--storage` resumes from the last state,
for as many `--steps` as it says then; other data, weights or settings are another run and need another `--name`. A
checkpoint in `--out` is replaced; files there that are not of it stay. `--backbone DIR` then tunes and serves on it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import ray
from ray import train
from ray.train.torch import TorchTrainer

from lightner.jobs import command
from lightner.jobs.pretrain_run import CURVE, FINAL, PICTURE, begin, check_place, check_sources, put, traits
from lightner.jobs.pretrain_worker import worker


def main() -> int:
    """Run the job; returns the exit status."""
    options = _parser().parse_args()
    return command.exit_status(lambda: make(options))


def make(options: argparse.Namespace) -> None:
    """Check, train, put the checkpoint in its place, and say where it is.

    Raises:
        InputError: an option does not fit what is there, or the run of that name is another one.
        OSError: the checkpoint cannot be written.
    """
    out = Path(options.out)
    check_sources(options)
    check_place(out)
    begin(Path(options.storage) / options.name, traits(options), steps=options.steps)
    ray.init()
    result = _trainer(options).fit()
    with result.checkpoint.as_directory() as folder:
        put(Path(folder) / FINAL, out)
        for name in (CURVE, PICTURE):
            growing = out.with_name(f".{out.name}.{name}")
            shutil.copy(Path(folder) / name, growing)
            growing.replace(Path(f"{out}.{name}"))
    print(f"checkpoint: {out}\ncurve: {out}.{CURVE}, {out}.{PICTURE}")


def _trainer(options: argparse.Namespace) -> TorchTrainer:
    config = {name: value for name, value in vars(options).items() if name != "out"}
    return TorchTrainer(
        worker,
        train_loop_config=config,
        scaling_config=train.ScalingConfig(
            num_workers=options.workers, use_gpu=options.gpu, resources_per_worker={"CPU": options.threads}
        ),
        run_config=train.RunConfig(
            name=options.name,
            storage_path=options.storage,
            failure_config=train.FailureConfig(max_failures=3),
            checkpoint_config=train.CheckpointConfig(num_to_keep=2),
        ),
    )


def _absolute(path: str) -> str:
    """A path that means the same in the workers, which run in folders of their own. An option's type."""
    return str(Path(path).expanduser().resolve())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add(
        "--start",
        type=_absolute,
        required=True,
        help="folder with a checkpoint of this job's, one of BART's family, or the files of all-MiniLM-L6-v2",
    )
    add("--open", type=_absolute, help="folder with passages.jsonl, groups.jsonl (docs/backbone.md)")
    add("--sets", type=_absolute, help="folder with one directory of .conll files per labelled set")
    add("--raw", type=_absolute, help="raw English text, plain or .xz, labelled by WordNet")
    add("--wordnet", type=_absolute, default="/usr/share/wordnet", help="folder of the WordNet database")
    add("--out", type=_absolute, required=True, help="where the finished checkpoint goes")
    add("--name", default="pretrain")
    add("--storage", type=_absolute, default="~/ray_results")
    add("--steps", type=int, required=True)
    add("--rate", type=float, default=3e-4)
    add("--batch-size", type=int, default=16, help="sentences per worker and step")
    add("--decoder-layers", type=int, default=2)
    add("--leave-out", nargs="*", default=[], help="sets of --sets that are kept out, to develop on")
    add("--hold-out-groups", type=float, default=0.05, metavar="SHARE", help="of the groups of --open, likewise")
    add("--constant", type=float, default=0.4, metavar="SHARE", help="of the steps, before the rate falls to zero")
    add("--average-every", type=int, default=25, metavar="STEPS", help="between averages of the weights of CPU workers")
    add("--workers", type=int, default=2)
    add("--threads", type=int, default=1, help="CPU threads of each worker")
    add("--gpu", action="store_true")
    add("--bf16", action="store_true", help="compute in bfloat16; weights stay in fp32")
    add("--report-every", type=int, default=50, help="steps between reports")
    add("--save-every", type=int, default=250, help="steps between saved states")
    add("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
