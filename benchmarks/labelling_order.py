"""Whether what `lightner suggest` says to label next is worth more than sentences drawn at random.

    python -m benchmarks.labelling_order NAME=POOL:TEST [NAME=POOL:TEST ...] --numbers 10 20 --seeds 3 --out FILE

Each seed draws at most `--pool` sentences of POOL. A domain begins with its label names; the first sentences are those
that `lightner suggest` names by its untuned prompt, the next those by the prompt tuned on the sentences so far. The
others are drawn at random, the earlier ones among the later. Prompts are tuned by the rules (length 8, rate 0.01, no
scan) and scored on TEST, by the number of labelled sentences. Sets and seeds that FILE has are not measured again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial

from benchmarks import report
from lightner.data.active_learning import Unlabelled, choose
from lightner.data.formats import labels_of
from lightner.evaluation.scoring import evaluate
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.model.prompts import Prompt
from lightner.model.untuned import label_prompt
from lightner.tagger import WindowedText, read_texts
from lightner.tuning import rules
from lightner.tuning.training import fit
from lightner.types import LabelSet, Sentence
from lightner.words import as_given


def main() -> None:
    """Measure every set and write one JSON file."""
    parser = report.parser(__doc__)
    parser.add_argument("sets", nargs="+", metavar="NAME=POOL:TEST")
    parser.add_argument("--numbers", type=int, nargs="+", default=[10, 20])
    parser.add_argument("--pool", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--backbone")
    options = parser.parse_args()
    base = backbone.load(options.backbone)
    runs = report.Runs(options.out, base, lambda runs: {"means": means(runs)})
    for name, (pool, test) in report.labelled_sets(options.sets):
        for seed in range(options.seeds):
            way = partial(measure, base, pool, test, seed, numbers=options.numbers, most=options.pool)
            runs.add(way, name=name, seed=seed)


def measure(
    base: Backbone, pool: Sequence[Sentence], test: Sequence[Sentence], seed: int, *, numbers: Sequence[int], most: int
) -> dict[str, dict[str, float]]:
    """F1 in percent by way of choosing and number of sentences."""
    rng = random.Random(seed)
    drawn = rng.sample(pool, min(most, len(pool)))
    labels = LabelSet.of(labels_of(pool))

    def surest_last(prompt: Prompt, left: Sequence[Sentence], count: int) -> list[int]:
        return suggested(base, prompt, left, count)

    def at_random(_: Prompt, left: Sequence[Sentence], count: int) -> list[int]:
        return rng.sample(range(len(left)), count)

    ways = {"suggested": surest_last, "random": at_random}
    return {
        name: grown(base, labels, drawn, test, choose_next=way, numbers=numbers, seed=seed)
        for name, way in ways.items()
    }


def grown(
    base: Backbone,
    labels: LabelSet,
    pool: Sequence[Sentence],
    test: Sequence[Sentence],
    *,
    choose_next: Callable[[Prompt, Sequence[Sentence], int], list[int]],
    numbers: Sequence[int],
    seed: int,
) -> dict[str, float]:
    """F1 in percent after each number of labelled sentences, each time with those of before and some more."""
    prompt, left, labelled = label_prompt(base, labels), list(pool), list[Sentence]()
    found = {}
    for number in numbers:
        places = choose_next(prompt, left, number - len(labelled))
        labelled += [left[place] for place in places]
        left = [sentence for place, sentence in enumerate(left) if place not in {*places}]
        plan = rules.plan(labelled, prompt_length=8, learning_rate=0.01, seed=seed)
        prompt = fit(base, labels, labelled, (), plan).fold()
        found[str(number)] = round(100 * evaluate(base, prompt, test).micro.f1, 1)
    return found


def suggested(base: Backbone, prompt: Prompt, left: Sequence[Sentence], count: int) -> list[int]:
    """Places of the sentences that `lightner suggest` would name first."""
    windowed = [WindowedText.of(as_given(sentence), prompt.reach) for sentence in left]
    readings = read_texts(base, [(prompt, each) for each in windowed])
    return choose(
        [
            Unlabelled.of(sentence.words, reading.mean_log_p, (span.label for span, _ in reading.spans))
            for sentence, reading in zip(left, readings, strict=True)
        ],
        count,
    )


def means(runs: Sequence[report.Run]) -> dict[str, dict[str, dict[str, float]]]:
    """Of each set the mean over seeds of each figure."""
    return {
        name: {way: report.means([run[way] for run in of_set], of_set[0][way]) for way in ("suggested", "random")}
        for name, of_set in report.by_set(runs).items()
    }


if __name__ == "__main__":
    main()
