"""How well the scores of tuned prompts agree with what is right, and what fitted thresholds change, on test files.

    python -m benchmarks.tuned_scores NAME=TRAIN:TEST [NAME=TRAIN:TEST ...] --seeds 3 --out FILE

Calibration and thresholds are fitted as `lightner tune` fits them, to what the folds predict at the best round of one
trial (length 8, rate 0.01); the final prompt then reads TEST. Expected calibration error (ten bins) of raw and of
calibrated scores, and F1 of all entities and of those that reach their label's fitted threshold, in percent. By chance:
the mean error that the same scores would have if they were the exact probabilities, since the share of a few entities
that is right is hardly ever exactly what their scores say. Sets and seeds that FILE has are not measured again.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks import report
from lightner.data.formats import labels_of
from lightner.evaluation.calibration import Guess, bins, calibrate, expected_error
from lightner.evaluation.scoring import evaluate_guesses
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.tuning import rules
from lightner.tuning.cross_validation import History, folds_of, run_folds, trial_plan
from lightner.tuning.training import Saver, Tuning
from lightner.types import Calibration, Counts, LabelSet, Scores, Sentence

FIGURES = ("error_before", "error_after", "error_by_chance", "f1", "f1_tuned")
DRAWS = 500
"""How many times it is drawn which entities are right."""


def main() -> None:
    """Measure every set and write one JSON file."""
    parser = report.parser(__doc__)
    parser.add_argument("sets", nargs="+", metavar="NAME=TRAIN:TEST")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--backbone")
    options = parser.parse_args()
    base = backbone.load(options.backbone)
    runs = report.Runs(options.out, base, lambda runs: {"means": means(runs)})
    for name, (train, test) in report.labelled_sets(options.sets):
        for seed in range(options.seeds):
            runs.add(partial(measure, base, train, test, seed), name=name, seed=seed)


def means(runs: Sequence[report.Run]) -> dict[str, dict[str, float]]:
    """Of each set the mean over seeds of each figure."""
    return {name: report.means(of_set, FIGURES) for name, of_set in report.by_set(runs).items()}


def measure(base: Backbone, train: Sequence[Sentence], test: Sequence[Sentence], seed: int) -> dict[str, Any]:
    """The figures of one seed in percent, with what was fitted."""
    labels = LabelSet.of(labels_of(train))
    plan = rules.plan(train, prompt_length=8, learning_rate=0.01, seed=seed)
    fitted, best = cross_validated(base, labels, train, plan, seed)
    final = Tuning(base, labels, train, (), plan)
    for _ in final.rounds(best):
        pass
    found = evaluate_guesses(base, final.tuned.fold(), test)
    after = [replace(guess, score=fitted.probability(guess.score)) for guess in found.guesses]
    gold = sum(len(sentence.spans) for sentence in test)
    kept = [guess for guess in after if guess.score >= fitted.least(guess.label)]
    return {
        "error_before": round(100 * expected_error(bins(found.guesses)), 1),
        "error_after": round(100 * expected_error(bins(after)), 1),
        "error_by_chance": round(100 * error_by_chance(after, seed), 1),
        "found": len(after),
        "f1": round(100 * f1(after, gold), 1),
        "f1_tuned": round(100 * f1(kept, gold), 1),
        "temperature": fitted.temperature,
        "offset": fitted.offset,
        "threshold": fitted.threshold,
    }


def cross_validated(
    base: Backbone, labels: LabelSet, train: Sequence[Sentence], plan: rules.Plan, seed: int
) -> tuple[Calibration, int]:
    """What is fitted to the predictions of the folds at their best round, and the number of that round."""
    folds = folds_of(train, (), seed=seed)
    histories: list[History] = []

    def keep(history: History, _: Saver) -> None:
        histories[:] = [history]

    run_folds(base, labels, folds, trial_plan(plan, folds, of=len(train)), last=plan.rounds, on_round=keep)
    best = rules.best_round([(done.scores or Scores()).micro.f1 for done in histories[0]])
    chosen = histories[0][best - 1]
    gold = (chosen.scores or Scores()).micro.gold
    found = calibrate(chosen.guesses, gold=gold, untuned=base.calibration)
    return (Calibration() if found is None else found.calibration), best


def error_by_chance(guesses: Sequence[Guess], seed: int) -> float:
    """The mean expected calibration error if each guess were right with the probability that its score says."""
    rng = random.Random(seed)
    drawn = ([replace(guess, right=rng.random() < guess.score) for guess in guesses] for _ in range(DRAWS))
    return statistics.fmean(expected_error(bins(each)) for each in drawn)


def f1(guesses: Sequence[Guess], gold: int) -> float:
    """F1 of these entities."""
    return Counts(sum(guess.right for guess in guesses), len(guesses), gold).f1


if __name__ == "__main__":
    main()
