"""Compare pinned settings on folds of a training file: `python benchmarks/settings.py FILE '{"learning_rate": 1e-3}'`.

Prints, per setting and fold, the F1 of the untuned start and of every round on the held-out fold. Never give it a
test file: it exists to choose settings.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from lightner.data.formats import labels_of, read
from lightner.data.sampling import Sentences, folds
from lightner.evaluation.scoring import evaluate
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.tuning import rules
from lightner.tuning.training import PromptModel, Round, Saver, fit
from lightner.types import LabelSet

_DEFAULT = {"prompt_length": rules.PROMPT_LENGTHS[0], "learning_rate": rules.LEARNING_RATES[0]}


def main() -> None:
    """Run every setting on the first `--folds` of three folds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="training sentences")
    parser.add_argument("settings", nargs="+", help="JSON objects of settings in place of the rules'")
    parser.add_argument("--folds", type=int, default=1)
    parser.add_argument("--backbone")
    options = parser.parse_args()
    base = backbone.load(options.backbone)
    sentences = read(options.file)
    labels = LabelSet.of(labels_of(sentences))
    for text in options.settings:
        for train, held in folds(sentences, count=3, seed=0)[: options.folds]:
            print(json.dumps({"settings": json.loads(text), **compare(base, labels, train, held, json.loads(text))}))


def compare(
    base: Backbone, labels: LabelSet, train: Sentences, held: Sentences, pins: dict[str, Any]
) -> dict[str, Any]:
    """F1 of the start and after each round, and the seconds of the run."""
    pair = {**_DEFAULT, **pins}
    plan = rules.plan(
        train, prompt_length=pair["prompt_length"], learning_rate=pair["learning_rate"], seed=pins.get("seed", 0)
    ).with_pins(pins)
    rounds: list[float] = []

    def note(done: Round, _: Saver) -> None:
        assert done.scores is not None
        rounds.append(round(100 * done.scores.micro.f1, 1))

    start = evaluate(base, PromptModel(base, labels, plan).fold(), held).micro.f1
    began = time.monotonic()
    fit(base, labels, train, held, plan, on_round=note)
    return {"start": round(100 * start, 1), "rounds": rounds, "seconds": round(time.monotonic() - began)}


if __name__ == "__main__":
    main()
