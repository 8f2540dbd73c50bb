"""F1 of tuned prompts on test files, by the rules and selection of `jobs/tune.py`, over seeds.

    python -m benchmarks.few_shot NAME=TRAIN:TEST [NAME=TRAIN:TEST ...] --seeds 3 --out benchmarks/results/few_shot.json

Scan and halving are those of the job, in this process, one trial after the other. Seeds change the folds, the order of
batches and the random parts of the start. Test files are only scored. Sets and seeds that FILE has are not measured
again. `--source` starts from a published prompt, as `lightner tune --from` does.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import report
from lightner.data.formats import labels_of
from lightner.evaluation.scoring import evaluate
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.model.prompts import Prompt
from lightner.store import artifact
from lightner.store.loading import prompt_for
from lightner.tuning import rules
from lightner.tuning.cross_validation import Fold, History, folds_of, run_folds, trial_plan
from lightner.tuning.training import Saver, Tuning
from lightner.types import LabelSet, Sentence


def main() -> None:
    """Measure every data set and seed; write after each."""
    parser = report.parser(__doc__, must_write=True)
    parser.add_argument("sets", nargs="+", metavar="NAME=TRAIN:TEST")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--source", metavar="FOLDER", help="prompt of another domain to start from")
    parser.add_argument("--backbone")
    options = parser.parse_args()
    base = backbone.load(options.backbone)
    source = None if options.source is None else prompt_for(artifact.load(options.source), base)
    runs = report.Runs(options.out, base)
    for name, (train, test) in report.labelled_sets(options.sets):
        for seed in range(options.seeds):
            runs.add(partial(tune, base, train, test, seed, source=source), name=name, seed=seed)


def tune(
    base: Backbone, train: Sequence[Sentence], test: Sequence[Sentence], seed: int, *, source: Prompt | None = None
) -> dict[str, Any]:
    """Scan by cross-validation, learn the winner on everything to its best round, score the test sentences."""
    began = time.monotonic()
    labels, folds = LabelSet.of(labels_of(train)), folds_of(train, (), seed=seed)
    plans = plans_of(train, seed, source)
    trials = [trial_plan(plan, folds, of=len(train)) for plan in plans]
    curves = scan(base, labels, folds, trials, source=source)
    number = max(range(len(plans)), key=lambda each: (len(curves[each]), f1_of(curves[each]), -each))
    best = rules.best_round(curves[number])
    final = Tuning(base, labels, train, (), plans[number], source=source)
    for _ in final.rounds(best):
        pass
    seconds = time.monotonic() - began
    micro = evaluate(base, final.tuned.fold(), test).micro
    return {
        "train_sentences": len(train),
        "test_sentences": len(test),
        "prompt_length": plans[number].prompt_length,
        "learning_rate": plans[number].learning_rate,
        "rounds": best,
        "cross_validated_f1": f1_of(curves[number]),
        "curves": curves,
        "test_precision": micro.precision,
        "test_recall": micro.recall,
        "test_f1": micro.f1,
        "tuning_seconds": seconds,
    }


def plans_of(train: Sequence[Sentence], seed: int, source: Prompt | None) -> list[rules.Plan]:
    """The plans that are scanned; a source decides the lengths."""
    lengths, pins = rules.PROMPT_LENGTHS, {}
    if source is not None:
        lengths = (source.guidance.length - len(source.labels),)
        pins = {"feed_forward_slots": source.guidance.slots}
    return [
        rules.plan(train, prompt_length=length, learning_rate=rate, seed=seed, pins=pins)
        for length in lengths
        for rate in rules.LEARNING_RATES
    ]


def scan(
    base: Backbone,
    labels: LabelSet,
    folds: Sequence[Fold],
    plans: Sequence[rules.Plan],
    *,
    source: Prompt | None = None,
) -> list[list[float]]:
    """Pooled F1 by round of a trial for each plan, with the synchronous halving of `lightner/jobs/halving.py`."""
    curves: list[list[float]] = [[] for _ in plans]
    alive = list(range(len(plans)))
    with tempfile.TemporaryDirectory() as kept:
        for last in rules.milestones(plans[0].rounds, len(plans)):
            for number in alive:
                state = Path(kept) / str(number)
                curves[number] = curve(base, labels, folds, plans[number], last, state, source=source)
            alive = [alive[place] for place in rules.better_half([curves[number][-1] for number in alive])]
    return curves


def curve(
    base: Backbone,
    labels: LabelSet,
    folds: Sequence[Fold],
    plan: rules.Plan,
    last: int,
    state: Path | None = None,
    *,
    source: Prompt | None = None,
) -> list[float]:
    """Pooled F1 after every round of a trial up to `last`; resumes from its state of an earlier call, if any."""
    histories: list[History] = []

    def keep(history: History, save: Saver) -> None:
        histories.append(history)
        if state is not None and len(history) == last:
            save(state)

    resume = state if state is not None and state.exists() else None
    run_folds(base, labels, folds, plan, last=last, resume=resume, on_round=keep, source=source)
    return [done.scores.micro.f1 for done in histories[-1] if done.scores is not None]


def f1_of(found: Sequence[float]) -> float:
    """F1 of the round at which a run of these rounds should have ended."""
    return found[rules.best_round(found) - 1]


if __name__ == "__main__":
    main()
