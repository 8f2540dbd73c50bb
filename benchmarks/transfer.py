"""What a domain gains from starting with another domain's prompt: a matrix of sources and targets.

    python -m benchmarks.transfer NAME=TRAIN:DEV [NAME=TRAIN:DEV ...] --seeds 3 --out FILE.json

Every set is a source and a target. Prompts are tuned by the rules (length 8, rate 0.01, no scan), a target's from each
source and from its label words alone; F1 in percent on at most 300 sentences of DEV. `auto` is the mean over targets of
the choice that F1 pooled over the folds of TRAIN makes among them all, as `lightner tune --from auto` chooses. Sources,
targets and seeds that FILE has are not measured again.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

from benchmarks import report
from benchmarks.few_shot import curve, f1_of
from lightner.data.formats import labels_of
from lightner.evaluation.scoring import evaluate
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.model.prompts import Prompt
from lightner.tuning import rules
from lightner.tuning.cross_validation import folds_of, trial_plan
from lightner.tuning.training import fit
from lightner.types import LabelSet, Sentence

READ = 300
ALONE = "label words"


def main() -> None:
    """Measure every pair and seed; write after each."""
    parser = report.parser(__doc__, must_write=True)
    parser.add_argument("sets", nargs="+", metavar="NAME=TRAIN:DEV")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--backbone")
    options = parser.parse_args()
    base = backbone.load(options.backbone)
    sets = dict(report.labelled_sets(options.sets))
    runs = report.Runs(options.out, base, lambda runs: {"matrix": matrix(runs), "auto": auto(runs)})

    @cache
    def source_of(name: str, seed: int) -> Prompt | None:
        return None if name == ALONE else tuned(base, sets[name][0], seed, None)

    for seed in range(options.seeds):
        for name, (train, dev) in sets.items():
            for source in (each for each in (ALONE, *sets) if each != name):
                run = partial(measure, base, train, dev, partial(source_of, source, seed), seed=seed)
                runs.add(run, name=name, source=source, seed=seed)


def measure(
    base: Backbone,
    train: Sequence[Sentence],
    dev: Sequence[Sentence],
    source_of: Callable[[], Prompt | None],
    *,
    seed: int,
) -> dict[str, Any]:
    """F1 in percent on DEV, and pooled over the folds of TRAIN."""
    source = source_of()
    read = report.unseen(train, dev, most=READ)
    prompt = tuned(base, train, seed, source)
    return {
        "f1": round(100 * evaluate(base, prompt, read).micro.f1, 1),
        "cross_validated": round(100 * cross_validated(base, train, seed, source), 1),
    }


def tuned(base: Backbone, train: Sequence[Sentence], seed: int, source: Prompt | None) -> Prompt:
    """A prompt by the rules."""
    return fit(base, LabelSet.of(labels_of(train)), train, (), plan_of(train, seed), source=source).fold()


def cross_validated(base: Backbone, train: Sequence[Sentence], seed: int, source: Prompt | None) -> float:
    """F1 pooled over the folds, at its best round."""
    folds = folds_of(train, (), seed=seed)
    plan = trial_plan(plan_of(train, seed), folds, of=len(train))
    return f1_of(curve(base, LabelSet.of(labels_of(train)), folds, plan, plan.rounds, source=source))


def plan_of(train: Sequence[Sentence], seed: int) -> rules.Plan:
    """The rules' plan at one length and rate: all prompts have equal shapes, so each may be a source."""
    return rules.plan(train, prompt_length=8, learning_rate=0.01, seed=seed)


def matrix(runs: Sequence[report.Run]) -> dict[str, dict[str, float]]:
    """Of each target the gain in F1 of each source over the label words alone, means over seeds."""
    found: dict[str, dict[str, float]] = {}
    for name, of_set in report.by_set(runs).items():
        means = {source: of_source(of_set, source, "f1") for source in dict.fromkeys(run["source"] for run in of_set)}
        if ALONE in means:
            found[name] = {source: round(mean - means[ALONE], 1) for source, mean in means.items() if source != ALONE}
    return found


def auto(runs: Sequence[report.Run]) -> dict[str, Any]:
    """The mean gain over targets and seeds of choosing the start by cross-validated F1, and of how many choices."""
    gains = []
    for of_set in report.by_set(runs).values():
        for own in by_seed(of_set):
            gains += [chosen(own)["f1"] - run["f1"] for run in own if run["source"] == ALONE]
    return {"gain": round(statistics.mean(gains), 1) if gains else None, "choices": len(gains)}


def by_seed(runs: Sequence[report.Run]) -> list[list[report.Run]]:
    """Runs of a set apart by seed."""
    return [[run for run in runs if run["seed"] == seed] for seed in dict.fromkeys(run["seed"] for run in runs)]


def chosen(runs: Sequence[report.Run]) -> report.Run:
    """The start with the best cross-validated F1; label words alone where a source is only as good."""
    return max(runs, key=lambda run: (run["cross_validated"], run["source"] == ALONE))


def of_source(runs: Sequence[report.Run], source: str, figure: str) -> float:
    """The mean over seeds of one start."""
    return statistics.mean(run[figure] for run in runs if run["source"] == source)


if __name__ == "__main__":
    main()
