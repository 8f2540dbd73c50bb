"""One Ray Train worker of a pretraining run: the bridge from Ray to `lightner.pretraining`."""

from __future__ import annotations

import io
import json
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from ray import train
from ray.train.torch import prepare_model
from ray.util.queue import Queue
from torch import nn

from lightner.jobs import devices, pretrain_progress
from lightner.jobs.options import PretrainOptions
from lightner.jobs.pretrain_run import CURVE, FINAL, PICTURE, STATE
from lightner.model import backbone, embedded
from lightner.model.embedded import Checkpoint
from lightner.pretraining import convert, mixture, open_text, raw, wordnet
from lightner.pretraining.development import developed
from lightner.pretraining.loop import PretrainSettings, Report, Workers, pretrain
from lightner.pretraining.mixture import Mixture, Recipe
from lightner.pretraining.objective import Pretrainer
from lightner.tuning.training import Saver
from lightner.types import Sentence

_CHECKED = 200
_Sentences = tuple[Sentence, ...]


def worker(config: dict[str, Any]) -> None:
    """Draw batches, train, report. CPU workers average their weights; GPU workers exchange gradients at every step."""
    options: PretrainOptions = config["options"]
    context = train.get_context()
    rank, count = context.get_world_rank(), context.get_world_size()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    device = devices.device(gpu=options.gpu)
    begin = convert.start(options.start, decoder_layers=options.decoder_layers)
    base = backbone.prepare("pretrained", begin.model, begin.tokenizer, device=device, default=begin.default)
    source, kept_out = material(options)
    pretrainer = Pretrainer(base, source.sources).to(base.device)
    settings = PretrainSettings(
        steps=options.steps,
        rate=options.rate,
        constant=options.constant,
        seed=options.seed,
        bf16=options.bf16,
        report_every=options.report_every,
        save_every=options.save_every,
        average_every=options.average_every,
    )
    recipe = Recipe(batch_size=options.batch_size)

    def draw_at(step: int) -> mixture.Draw:
        rng = random.Random(f"{settings.seed}-{rank}-{step}")
        return mixture.draw(source, recipe, rng, progress=step / settings.steps)

    with _folder_of(train.get_checkpoint()) as resume:
        pretrain(
            pretrainer,
            draw_at,
            settings,
            workers=Workers(rank, count) if count == 1 else _several(rank, count, gpu=options.gpu),
            resume=None if resume is None else Path(resume),
            develop=lambda: developed(base, kept_out),
            report=_reporter(pretrainer, begin, rank=rank, count=count, resume=resume, reports=config["reports"]),
        )


def material(options: PretrainOptions) -> tuple[Mixture, Mapping[str, Sequence[_Sentences]]]:
    """Training data to draw batches from, and held-out data to develop on: labelled sets, and groups."""
    text = open_text.OpenText()
    groups: tuple[open_text.Group, ...] = ()
    if options.open:
        text, groups = open_text.load(options.open).without_groups(options.hold_out_groups, seed=0)
    sets: tuple[mixture.LabelledSet, ...] = ()
    held: Sequence[_Sentences] = ()
    if options.sets:
        sets = mixture.load_sets(options.sets, leave_out=options.leave_out)
        held = left_out(options.sets, options.leave_out)
    weak = (raw.load(options.raw), wordnet.load(options.wordnet)) if options.raw else None
    return Mixture(sets, text, weak), {"sets": held, "groups": [group.sentences for group in groups]}


def left_out(folder: Path, names: Sequence[str]) -> Sequence[_Sentences]:
    """Some sentences of each of these sets, to develop on."""
    if not names:
        return []
    learned = [each.name for each in folder.iterdir() if each.name not in names]
    return [_sample((*each.filled, *each.empty)) for each in mixture.load_sets(folder, leave_out=learned)]


def _sample(sentences: _Sentences) -> _Sentences:
    return tuple(random.Random(0).sample(sentences, min(_CHECKED, len(sentences))))


def _several(rank: int, count: int, *, gpu: bool) -> Workers:
    return Workers(rank, count, wrap=_wrap) if gpu else Workers(rank, count, averages=True)


def _wrap(module: nn.Module) -> nn.Module:
    wrapped: nn.Module = prepare_model(module, parallel_strategy_kwargs={"find_unused_parameters": True})
    return wrapped


def _reporter(
    pretrainer: Pretrainer, begin: Checkpoint, *, rank: int, count: int, resume: str | None, reports: Queue
) -> Callable[[Report, Saver | None], None]:
    """A function that sends reports to the job, and keeps states that are due with the curve and a whole checkpoint."""
    curve = [] if resume is None else (Path(resume) / CURVE).read_text(encoding="utf-8").splitlines()

    def report(line: Report, save: Saver | None) -> None:
        metrics = {
            "step": line.step,
            "loss": line.loss,
            "sentences_per_s": round(line.sentences_per_s * count, 1),
            "left_s": round(line.left_s),
            **{f"f1_{name}": f1 for name, f1 in line.development.f1.items()},
        }
        curve.append(json.dumps(metrics))
        if rank == 0:
            pretrain_progress.send(reports, metrics)
        if save is None or rank != 0:
            if save is not None:
                train.report(metrics)
            return
        with tempfile.TemporaryDirectory() as folder:
            save(Path(folder))
            (Path(folder) / CURVE).write_text("\n".join(curve) + "\n", encoding="utf-8")
            (Path(folder) / PICTURE).write_bytes(picture([json.loads(each) for each in curve]))
            card = f"Backbone at step {line.step}.\n"
            backbone.record_calibration(begin.model, line.development.calibration)
            embedded.save(Path(folder) / FINAL, begin.model, begin.tokenizer, pretrainer.default(), card)
            kept = train.Checkpoint.from_directory(folder)
            train.report(metrics, checkpoint=kept, checkpoint_dir_name=f"{STATE}{line.step:07d}")

    return report


def picture(curve: Sequence[Mapping[str, float]]) -> bytes:
    """A PNG of loss and of F1 on held-out data, by step."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    losses = figure.subplots()
    losses.plot([line["step"] for line in curve], [line["loss"] for line in curve], color="0.6", label="loss")
    losses.set(xlabel="step", ylabel="loss")
    scores = losses.twinx()
    scores.set(ylabel="F1 on what is kept out", ylim=(0, 100))
    for name in sorted({name for line in curve for name in line if name.startswith("f1_")}):
        lines = [line for line in curve if name in line]
        f1 = [100 * line[name] for line in lines]
        scores.plot([line["step"] for line in lines], f1, marker=".", label=name.removeprefix("f1_"))
    figure.legend(loc="outside upper center", ncols=3, fontsize="small")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120, metadata={"Software": None})
    return file.getvalue()


def _folder_of(checkpoint: train.Checkpoint | None) -> AbstractContextManager[str | None]:
    folder: AbstractContextManager[str | None] = nullcontext() if checkpoint is None else checkpoint.as_directory()
    return folder
