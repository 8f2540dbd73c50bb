"""Whether unlabelled sentences help: one round of self-training, measured on development sentences.

    python -m benchmarks.self_training NAME=TRAIN:POOL[:DEV] [NAME=TRAIN:POOL[:DEV] ...] --seeds 3 --out FILE

A prompt tuned by the rules on TRAIN (length 8, rate 0.01, no scan) reads the sentences of POOL without their labels.
Those in which it found something, and is at least so sure of each entity (`--scores`, before calibration, which keeps
their order), are learned from beside TRAIN, which is repeated until it is as long: each part has half of the weight.
The second prompt begins anew and takes half as many steps more. F1 in percent on DEV, or on half of POOL that is drawn
for it, and how many sentences were kept. Sets and seeds that FILE has are not measured again.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from typing import Any

from benchmarks import report
from lightner.data.formats import labels_of
from lightner.evaluation.scoring import evaluate
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.model.prompts import Prompt
from lightner.tuning import rules
from lightner.tuning.self_training import found_in, joined, longer
from lightner.tuning.training import fit
from lightner.types import LabelSet, Sentence

READ, MEASURED = 200, 300
"""At most so many sentences of POOL and of DEV."""


def main() -> None:
    """Measure every set and seed; write after each."""
    parser = report.parser(__doc__, must_write=True)
    parser.add_argument("sets", nargs="+", metavar="NAME=TRAIN:POOL[:DEV]")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scores", type=float, nargs="+", default=[0.5, 0.8, 0.95])
    parser.add_argument("--backbone")
    options = parser.parse_args()
    base = backbone.load(options.backbone)
    runs = report.Runs(options.out, base, lambda runs: {"means": means(runs)})
    for name, (train, pool, *dev) in report.labelled_sets(options.sets):
        for seed in range(options.seeds):
            parts = parted(train, pool, *dev, seed=seed)
            runs.add(partial(measure, base, train, *parts, options.scores, seed=seed), name=name, seed=seed)


def parted(
    train: Sequence[Sentence], pool: Sequence[Sentence], dev: Sequence[Sentence] = (), *, seed: int
) -> tuple[list[Sentence], list[Sentence]]:
    """The sentences to read without labels and those to measure on; none is in both or in `train`."""
    seen = {sentence.words for sentence in (*train, *dev)}
    unseen = list({each.words: each for each in pool if each.words not in seen}.values())
    random.Random(seed).shuffle(unseen)
    half = len(unseen) if dev else len(unseen) // 2
    return unseen[:half][:READ], [*dev, *unseen[half:]][:MEASURED]


def measure(
    base: Backbone,
    train: Sequence[Sentence],
    unlabelled: Sequence[Sentence],
    dev: Sequence[Sentence],
    scores: Sequence[float],
    *,
    seed: int,
) -> dict[str, Any]:
    """The figures of one seed."""
    plan = rules.plan(train, prompt_length=8, learning_rate=0.01, seed=seed)
    labels = LabelSet.of(labels_of(train))

    def f1(sentences: Sequence[Sentence], by: rules.Plan) -> tuple[Prompt, float]:
        prompt = fit(base, labels, sentences, (), by).fold()
        return prompt, round(100 * evaluate(base, prompt, dev).micro.f1, 1)

    first, alone = f1(train, plan)
    found: dict[str, Any] = {"labelled": len(train), "unlabelled": len(unlabelled), "without": alone}
    found["without, as many steps"] = f1(train, longer(plan))[1]
    for score in scores:
        kept = found_in(base, first, unlabelled, least=score)
        found[f"from {score}"] = f1(joined(train, kept), longer(plan))[1] if kept else alone
        found[f"kept from {score}"] = len(kept)
    return found


def means(runs: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Of each set the mean over seeds of each figure, and under `all` that of the sets."""
    named = {"name", "seed", "labelled", "unlabelled", "date"}
    figures = [figure for figure in runs[0] if figure not in named]
    of_sets = {name: report.means(of_set, figures) for name, of_set in report.by_set(runs).items()}
    return {**of_sets, "all": report.means(list(of_sets.values()), figures)}


if __name__ == "__main__":
    main()
