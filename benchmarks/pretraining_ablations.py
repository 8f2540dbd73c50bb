"""What each part of pretraining is worth: F1 on development sentences after equally many steps with one part changed.

    python -m benchmarks.pretraining_ablations NAME=TRAIN:DEV [NAME=TRAIN:DEV ...] --start DIR --open DIR --sets DIR \
        --raw FILE --leave-out wnut17 --steps 860 --folder FOLDER --out FILE.json

Every way pretrains from the weights in `--start` with the same batches, one process of one thread; 860 steps of 32
sentences take about 20 minutes of an x86-64 core. Its weights are kept in FOLDER, then measured on each set: F1 from
label names alone, and with a prompt tuned on TRAIN by the rules (length 8, rate 0.01, no scan), on 300 sentences of DEV
at most. Weights that FOLDER has are not made again, and runs that FILE has are not measured again.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch
from transformers import PreTrainedModel

from benchmarks import ablations, report
from lightner.data.formats import labels_of
from lightner.evaluation.scoring import evaluate
from lightner.jobs.options import PretrainOptions
from lightner.jobs.pretrain_worker import material
from lightner.model import backbone, embedded, starts, untuned
from lightner.model.backbone import Backbone
from lightner.model.label_states import LabelStates, label_states
from lightner.model.untuned import label_prompt
from lightner.model.verbalizer import LabelPieces
from lightner.pretraining import convert, mixture, objective
from lightner.pretraining.development import Development
from lightner.pretraining.loop import PretrainSettings, Report, Workers, pretrain
from lightner.pretraining.mixture import Mixture, Recipe
from lightner.pretraining.objective import WORD_LOSS_WEIGHT, Pretrainer
from lightner.pretraining.open_text import OpenText
from lightner.types import LabelSet, Sentence


@dataclass(frozen=True, slots=True)
class Way:
    """How pretraining differs from what ships.

    `word_loss` counts for so much; `dropout` on states; `open_text` or none; label vectors are plain averages of the
    `embeddings` of their words, in pretraining and afterwards. `tuned`: the name in `ablations.WAYS` of how its prompts
    are tuned.
    """

    word_loss: float = WORD_LOSS_WEIGHT
    dropout: float = 0.1
    open_text: bool = True
    embeddings: bool = False
    tuned: str = "as the rules"


WAYS = {
    "as shipped": Way(),
    "no residual": Way(tuned="no residual"),
    "label vectors of embeddings": Way(embeddings=True),
    "no word-label loss": Way(word_loss=0.0),
    "no open text": Way(open_text=False),
    "no dropout": Way(dropout=0.0),
}


def main() -> None:
    """Pretrain every way, then measure it; write after each run."""
    options = _options()
    base = backbone.load(str(options.start))
    runs = report.Runs(options.out, base, lambda runs: {"steps": options.steps, "means": means(runs)})
    for way in options.ways:
        made = weights(WAYS[way], options)
        for name, (train, dev) in report.labelled_sets(options.named):
            for seed in range(options.seeds):
                runs.add(partial(measure, made, train, dev, WAYS[way], seed), name=name, way=way, seed=seed)


def _options() -> argparse.Namespace:
    parser = report.parser(__doc__, must_write=True)
    parser.add_argument("named", nargs="+", metavar="NAME=TRAIN:DEV")
    for name in ("--start", "--folder"):
        parser.add_argument(name, type=Path, required=True, metavar="DIR")
    for name in ("--open", "--sets", "--raw"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--leave-out", nargs="*", default=[], metavar="SET")
    parser.add_argument("--steps", type=int, default=860)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--seeds", type=int, default=1)
    return parser.parse_args()


def weights(way: Way, options: argparse.Namespace) -> Backbone:
    """The weights of a way, made if they are not there; ways that differ in tuning alone share them."""
    name = next(name for name, each in WAYS.items() if replace(each, tuned=way.tuned) == way)
    folder = options.folder / name.replace(" ", "-")
    if not embedded.is_checkpoint(folder):
        make(folder, way, options)
    return backbone.load(str(folder))


def make(folder: Path, way: Way, options: argparse.Namespace) -> None:
    """Pretrain in one way, and keep the weights."""
    begin = convert.start(options.start, decoder_layers=2)
    set_dropout(begin.model, way.dropout)
    base = backbone.prepare("pretrained", begin.model, begin.tokenizer, device="cpu", default=begin.default)
    source, recipe = sources(way, options), Recipe(batch_size=32)
    torch.manual_seed(0)
    pretrainer = Pretrainer(base, source.sources, word_loss=way.word_loss)
    settings = PretrainSettings(options.steps, options.rate, save_every=options.steps, average_every=1, bf16=True)

    def draw_at(step: int) -> mixture.Draw:
        return mixture.draw(source, recipe, random.Random(f"0-{step}"), progress=step / options.steps)

    def say(line: Report, _: object) -> None:
        print(f"{folder.name}: step {line.step}, loss {line.loss:.3f}, {line.left_s:.0f} s left", flush=True)

    began = report.now()
    with read_as(way):
        pretrain(pretrainer, draw_at, settings, workers=Workers(), resume=None, develop=Development, report=say)
    embedded.save(folder, begin.model, begin.tokenizer, pretrainer.default(), f"After {options.steps} steps.\n")
    print(f"{folder.name}: {report.since(began)[1] / 60:.1f} minutes of processor time", flush=True)


def sources(way: Way, options: argparse.Namespace) -> Mixture:
    """What a way learns from."""
    none = Path()  # neither is written
    read = PretrainOptions(
        start=options.start,
        out=none,
        storage=none,
        steps=options.steps,
        open=options.open,
        sets=options.sets,
        raw=options.raw,
        leave_out=tuple(options.leave_out),
    )
    whole, _ = material(read)
    return whole if way.open_text else replace(whole, text=OpenText())


def set_dropout(model: PreTrainedModel, share: float) -> None:
    """Set the dropout on states, which the layers of the model keep each for itself."""
    model.config.dropout = share
    for module in model.modules():
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = share


@contextmanager
def read_as(way: Way) -> Iterator[None]:
    """Labels are read as in this way."""
    with ExitStack() as patched:
        if way.embeddings:
            for module in (objective, starts, untuned):
                patched.enter_context(patch.object(module, "label_states", of_embeddings))
        yield


def of_embeddings(base: Backbone, pieces: LabelPieces) -> LabelStates:
    """Label states whose vectors, unlike the slots, are not read in context."""
    return replace(label_states(base, pieces), pieces=base.embedding[pieces.ids])


def measure(
    base: Backbone, train: Sequence[Sentence], dev: Sequence[Sentence], way: Way, seed: int
) -> dict[str, float]:
    """F1 in percent with the tuned prompt, and from label names alone."""
    read = report.unseen(train, dev, most=ablations.READ)
    with read_as(way):
        names = evaluate(base, label_prompt(base, LabelSet.of(labels_of(train))), read).micro.f1
        found = ablations.measure(base, train, dev, ablations.WAYS[way.tuned], seed=seed)
    return {"f1": found["f1"], "f1_names": round(100 * names, 1)}


def means(runs: Sequence[report.Run]) -> dict[str, dict[str, float]]:
    """Of each way the mean of each figure over seeds and sets."""
    ways = dict.fromkeys(run["way"] for run in runs)
    return {way: report.means([run for run in runs if run["way"] == way], ("f1", "f1_names")) for way in ways}


if __name__ == "__main__":
    main()
