"""Pretrain the embedded backbone on Ray Train: `python jobs/pretrain.py --start DIR --sets DIR --raw FILE --out DIR`.

Resumable: the same command with the same `--name` and `--storage` goes on where it stopped, for as many `--steps` as it
says then and on other workers; other data, weights or settings are another run and need another `--name`. A checkpoint
in `--out` is replaced; files there that are not of it stay.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
import torch
from ray import train
from ray.train.torch import TorchTrainer, prepare_model
from torch import nn

from lightner.jobs import command
from lightner.jobs.pretrain_run import STATE, begin, check_place, check_sets, put, traits
from lightner.model import backbone, embedded
from lightner.model.embedded import Checkpoint
from lightner.pretraining import convert, mixture, wordnet
from lightner.pretraining.loop import Report, Settings, pretrain, zero_shot_f1
from lightner.pretraining.objective import Pretrainer
from lightner.types import LabelSet

logger = logging.getLogger(__name__)
FINAL, CURVE = "checkpoint", "curve.jsonl"
_CHECKED = 200


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
    check_sets(Path(options.sets), options.leave_out)
    check_place(out)
    begin(Path(options.storage) / options.name, traits(options), steps=options.steps)
    ray.init()
    result = _trainer(options).fit()
    with result.checkpoint.as_directory() as folder:
        put(Path(folder) / FINAL, out)
        growing, curve = out.with_name(f".{out.name}.{CURVE}"), Path(f"{out}.{CURVE}")
        shutil.copy(Path(folder) / CURVE, growing)
        growing.replace(curve)
    print(f"checkpoint: {out}\ncurve: {curve}")


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


def worker(config: dict[str, Any]) -> None:
    """One Ray Train worker: the bridge from Ray to `lightner.pretraining`."""
    context = train.get_context()
    rank, size = context.get_world_rank(), context.get_world_size()
    torch.manual_seed(config["seed"])
    torch.set_num_threads(config["threads"])
    begin = convert.start(Path(config["start"]), decoder_layers=config["decoder_layers"])
    base = backbone.prepare("embedded", begin.model, begin.tokenizer, device=_device(), default=begin.default)
    sources = mixture.load_sources(Path(config["sets"]), leave_out=config["leave_out"])
    pretrainer = Pretrainer(base, [source.name for source in sources]).to(base.device)
    names = ("steps", "rate", "seed", "bf16", "report_every")
    settings = Settings(evaluate_every=config["save_every"], **{name: config[name] for name in names})
    recipe = mixture.Recipe(batch_size=config["batch_size"] * size)
    thesaurus = wordnet.load(config["wordnet"])

    def batches(step: int) -> Iterator[mixture.Draw]:
        # Every worker draws the same batches and takes its share of each, so that none waits for another.
        rng = random.Random(f"{config['seed']}-{step}")
        text = mixture.endless_raw(Path(config["raw"]), seed=config["seed"] + step)
        weak = mixture.alike(text, size=recipe.batch_size, rng=rng)
        for draw in mixture.draws(sources, weak, thesaurus, recipe, rng):
            yield replace(draw, sentences=draw.sentences[rank::size] or draw.sentences[:1])

    held = mixture.load_sources(Path(config["sets"]), leave_out=[source.name for source in sources])
    left_out = [*held[0].filled, *held[0].empty]
    sample = random.Random(0).sample(left_out, min(_CHECKED, len(left_out)))
    with _folder_of(train.get_checkpoint()) as resume:
        pretrain(
            pretrainer,
            batches,
            settings,
            wrap=_wrap,
            rank=rank,
            resume=resume,
            evaluate=lambda: zero_shot_f1(pretrainer, sample, LabelSet.of(held[0].labels)),
            report=_reporter(pretrainer, begin, rank=rank, size=size, steps=settings.steps, resume=resume),
        )


def _reporter(
    pretrainer: Pretrainer, begin: Checkpoint, *, rank: int, size: int, steps: int, resume: Path | None
) -> Callable[[Report, Callable[[Path], None] | None], None]:
    """Logs every report, and keeps a state, the curve so far and a whole checkpoint where there is one to keep."""
    curve = [] if resume is None else (resume / CURVE).read_text(encoding="utf-8").splitlines()

    def report(line: Report, save: Callable[[Path], None] | None) -> None:
        metrics = {"step": line.step, "loss": line.loss, "f1": line.zero_shot_f1, "speed": line.sentences_per_s * size}
        curve.append(json.dumps(metrics))
        if rank == 0:
            logger.warning("step %d/%d %s", line.step, steps, metrics)
        if save is None or rank != 0:
            if save is not None:
                train.report(metrics)
            return
        with tempfile.TemporaryDirectory() as folder:
            save(Path(folder))
            (Path(folder) / CURVE).write_text("\n".join(curve) + "\n", encoding="utf-8")
            card = f"Embedded backbone at step {line.step}.\n"
            embedded.save(Path(folder) / FINAL, begin.model, begin.tokenizer, pretrainer.default(), card)
            kept = train.Checkpoint.from_directory(folder)
            train.report(metrics, checkpoint=kept, checkpoint_dir_name=f"{STATE}{line.step:07d}")

    return report


def _wrap(module: nn.Module) -> nn.Module:
    wrapped: nn.Module = prepare_model(module, parallel_strategy_kwargs={"find_unused_parameters": True})
    return wrapped


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


class _folder_of:  # noqa: N801 - a context manager used like a function
    """The local folder of a Ray checkpoint, or None where there is none."""

    def __init__(self, checkpoint: train.Checkpoint | None) -> None:
        self.context = None if checkpoint is None else checkpoint.as_directory()

    def __enter__(self) -> Path | None:
        return None if self.context is None else Path(self.context.__enter__())

    def __exit__(self, *problem: Any) -> None:
        if self.context is not None:
            self.context.__exit__(*problem)


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
        help="folder with the files of all-MiniLM-L6-v2, or a checkpoint of this job's",
    )
    add("--sets", type=_absolute, required=True, help="folder with one directory of .conll files per labelled set")
    add("--raw", type=_absolute, required=True, help="raw English text, plain or .xz")
    add("--wordnet", type=_absolute, default="/usr/share/wordnet", help="folder of the WordNet database")
    add("--out", type=_absolute, required=True, help="where the finished checkpoint goes")
    add("--name", default="pretrain")
    add("--storage", type=_absolute, default="~/ray_results")
    add("--steps", type=int, required=True)
    add("--rate", type=float, default=3e-4)
    add("--batch-size", type=int, default=16, help="sentences per worker and step")
    add("--decoder-layers", type=int, default=2)
    add("--leave-out", nargs="*", default=["wnut17"], help="sets kept for the development check")
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
