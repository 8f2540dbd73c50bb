"""Prompt tuning against other ways to learn on the same backbone, where there is much to learn from.

    OMP_NUM_THREADS=1 python -m benchmarks.full_data NAME=TRAIN:DEV:TEST --methods prompt fine_tuning --passes 1 4 \
        [--lengths 8 64] [--rates R ...] --out FILE.json

A run learns TRAIN, so many times over, at one rate, with what else the rules give, in a process of its own: its memory
is what the largest resident size rose by while it learned. Of each method the run with the best F1 on DEV is what
counts; TEST is only scored. `--lengths` are those of prompts; the other methods are of `benchmarks/baselines.py`,
and so are their rates, unless given. Runs that FILE has are not measured again.
"""

from __future__ import annotations

import itertools
import multiprocessing
import resource
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

from benchmarks import baselines, report
from benchmarks.baselines import Learner, Scorer, Sentences
from lightner.data.formats import labels_of
from lightner.evaluation.scoring import evaluate
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.tuning import rules
from lightner.tuning.training import fit
from lightner.types import LabelSet

PROMPT = "prompt"
_KIB = 1024


def main() -> None:
    """Measure every set, method, length, number of passes, rate and seed; write after each."""
    parser = report.parser(__doc__, must_write=True)
    parser.add_argument("sets", nargs="+", metavar="NAME=TRAIN:DEV:TEST")
    parser.add_argument("--methods", nargs="+", choices=sorted(LEARNERS), default=(PROMPT, "fine_tuning"))
    parser.add_argument("--passes", nargs="+", type=float, required=True)
    parser.add_argument("--lengths", nargs="+", type=int, default=rules.PROMPT_LENGTHS[:1])
    parser.add_argument("--rates", nargs="+", type=float)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--backbone")
    options = parser.parse_args()
    runs = report.Runs(options.out, backbone.load(options.backbone))
    for name, files in report.labelled_sets(options.sets):
        for named in ways(options.methods, options.lengths, options.passes, options.rates, options.seeds):
            runs.add(partial(alone, options.backbone, files, **named), name=name, **named)


def ways(
    methods: Sequence[str],
    lengths: Sequence[int],
    passes: Sequence[float],
    rates: Sequence[float] | None,
    seeds: int,
) -> Iterator[dict[str, Any]]:
    """What names a run, of each run; only prompts have a length."""
    for method in methods:
        own = rates or (rules.LEARNING_RATES if method == PROMPT else baselines.RATES[method])
        every = itertools.product(lengths if method == PROMPT else [0], passes, own, range(seeds))
        yield from ({"method": method, "length": n, "passes": p, "rate": r, "seed": s} for n, p, r, s in every)


def alone(name: str | None, files: Sequence[Sentences], **named: Any) -> dict[str, Any]:
    """The figures of a run, from a process that does nothing else."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(learn, name, files, **named).result()


def learn(
    name: str | None,
    files: Sequence[Sentences],
    *,
    method: str,
    length: int,
    passes: float,
    rate: float,
    seed: int,
) -> dict[str, Any]:
    """Learn the first file; F1 on the others, seconds on both clocks and memory of learning."""
    train, dev, test = files
    base, labels = backbone.load(name), LabelSet.of(labels_of(train))
    plan = rules.plan(train, prompt_length=length, learning_rate=rate, seed=seed)
    steps = max(plan.rounds, round(passes * len(train) / plan.batch_size))
    plan = rules.plan(train, prompt_length=length, learning_rate=rate, seed=seed, pins={"steps": steps})
    began, before = report.now(), _largest_bytes()
    scores = LEARNERS[method](base, labels, train, plan)
    (clock_s, processor_s), memory = report.since(began), _largest_bytes() - before
    tested = scores(test)
    return {
        "steps": plan.steps,
        "dev_f1": scores(dev).micro.f1,
        "test_f1": tested.micro.f1,
        "test_classes": {label: counts.f1 for label, counts in tested.types.items()},
        "clock_s": clock_s,
        "processor_s": processor_s,
        "memory_bytes": memory,
        "train_sentences": len(train),
    }


def tune_prompt(base: Backbone, labels: LabelSet, train: Sentences, plan: rules.Plan) -> Scorer:
    """A prompt, tuned to its last round."""
    return partial(evaluate, base, fit(base, labels, train, (), plan).fold())


LEARNERS: dict[str, Learner] = {PROMPT: tune_prompt, **baselines.LEARNERS}


def _largest_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB


if __name__ == "__main__":
    main()
