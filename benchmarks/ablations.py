"""What each part of a prompt and each rule is worth: F1 on development sentences with one of them changed.

    python -m benchmarks.ablations NAME=TRAIN:DEV [NAME=TRAIN:DEV ...] --seeds 3 --out FILE.json

Each run learns TRAIN by the rules (length 8, rate 0.01, no scan) but for what its way says, and reads at most 300
sentences of DEV. Sets, ways and seeds that FILE has are not measured again.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks import report
from lightner.data.formats import labels_of
from lightner.evaluation.scoring import evaluate
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.model.prompts import Guidance, PromptEncoder
from lightner.tuning import rules
from lightner.tuning.training import Tuning
from lightner.types import LabelSet, Sentence

READ = 300
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Way:
    """How a run differs from the rules.

    `pins` of its plan; `times_steps` as many steps; `without` prompts at these attention sites; `fixed` parts of the
    answer space stay as they begin; `nonsense`: label names are replaced by random letters.
    """

    pins: Mapping[str, Any] = field(default_factory=dict)
    times_steps: float = 1.0
    without: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    nonsense: bool = False


WAYS = {
    "as the rules": Way(),
    "no prompt in the encoder": Way(without=("encoder",)),
    "no prompt in the decoder": Way(without=("decoder",)),
    "no prompt in cross-attention": Way(without=("cross",)),
    "attention slots alone": Way({"feed_forward_slots": 0}),
    "feed-forward slots alone": Way(without=("encoder", "decoder", "cross")),
    "fixed average of label words": Way(fixed=("weights",)),
    "no residual": Way(fixed=("residual",)),
    "fixed answer space": Way(fixed=("weights", "residual")),
    "nonsense for label names": Way(nonsense=True),
    "label slots alone": Way({"prompt_length": 0, "feed_forward_slots": 32}),
    **{f"length {length}": Way({"prompt_length": length, "feed_forward_slots": 32}) for length in (1, 4, 16, 32)},
    "reparametrised, rate 0.002": Way({"reparametrisation_width": 512, "learning_rate": 0.002}),
    **{f"rate {rate}": Way({"learning_rate": rate}) for rate in (0.003, 0.03)},
    **{f"{times} times the steps": Way(times_steps=times) for times in (0.5, 2.0)},
    **{f"{slots} feed-forward slots": Way({"feed_forward_slots": slots}) for slots in (8, 32, 128, 256)},
    **{f"slots at {share} of the rate": Way({"slot_rate": share}) for share in (0.03, 0.3)},
    **{f"residuals at {share} of the rate": Way({"residual_rate": share}) for share in (0.03, 0.3)},
    **{f"dropout {share}": Way({"dropout": share}) for share in (0.0, 0.2)},
}


def main() -> None:
    """Measure every set, way and seed; write after each."""
    parser = report.parser(__doc__, must_write=True)
    parser.add_argument("sets", nargs="+", metavar="NAME=TRAIN:DEV")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--backbone")
    options = parser.parse_args()
    base = backbone.load(options.backbone)
    runs = report.Runs(options.out, base, lambda runs: {"means": means(runs)})
    for seed in range(options.seeds):
        for name, (train, dev) in report.labelled_sets(options.sets):
            for way in options.ways:
                runs.add(partial(measure, base, train, dev, WAYS[way], seed=seed), name=name, way=way, seed=seed)


def measure(
    base: Backbone, train: Sequence[Sentence], dev: Sequence[Sentence], way: Way, *, seed: int
) -> dict[str, float]:
    """F1 in percent of one run."""
    read = report.unseen(train, dev, most=READ)
    plan = rules.plan(train, prompt_length=8, learning_rate=0.01, seed=seed, pins=way.pins)
    plan = replace(plan, steps=round(plan.steps * way.times_steps))
    run = Tuning(base, labels_for(train, nonsense=way.nonsense), train, (), plan)
    for part in way.fixed:
        getattr(run.tuned.verbalizer, part).register_hook(torch.zeros_like)
    run.tuned.prompt = Without(run.tuned.prompt, way.without)
    for _ in run.rounds():
        pass
    return {"f1": round(100 * evaluate(base, run.tuned.fold(), read).micro.f1, 1)}


def labels_for(sentences: Sequence[Sentence], *, nonsense: bool) -> LabelSet:
    """The labels of the sentences; with `nonsense` their words are of random letters."""
    names = labels_of(sentences)
    if not nonsense:
        return LabelSet.of(names)
    drawn = random.Random(0)
    return LabelSet.of(names, {name: ["".join(drawn.choices(_LETTERS, k=6))] for name in names})


class Without(nn.Module):
    """A prompt that leaves out some attention sites, their label slots included."""

    def __init__(self, prompt: PromptEncoder, sites: Sequence[str]) -> None:
        super().__init__()
        self.prompt, self.sites = prompt, sites

    def forward(self) -> Guidance:
        return self._left(self.prompt())

    def fold(self) -> Guidance:
        return self._left(self.prompt.fold())

    def _left(self, guidance: Guidance) -> Guidance:
        out = {f"{part}.{site}" for part in ("key", "value") for site in self.sites}
        return Guidance.from_tensors({name: each for name, each in guidance.tensors().items() if name not in out})


def means(runs: Sequence[report.Run]) -> dict[str, dict[str, float]]:
    """Of each way the mean F1 over seeds of every set, and over the sets."""
    ways: dict[str, dict[str, float]] = {}
    for name, of_set in report.by_set(runs).items():
        for way in dict.fromkeys(run["way"] for run in of_set):
            own = [run["f1"] for run in of_set if run["way"] == way]
            ways.setdefault(way, {})[name] = round(statistics.mean(own), 1)
    return {way: {**sets, "all": round(statistics.mean(sets.values()), 1)} for way, sets in ways.items()}


if __name__ == "__main__":
    main()
