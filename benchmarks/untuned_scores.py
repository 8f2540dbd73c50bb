"""How well the scores of untuned prompts agree with what is right, and what makes probabilities of them.

    python -m benchmarks.untuned_scores --open DIR --groups N [N ...] --sets DIR --leave-out SET [SET ...]
        [--files NAME=FILE ...] --words benchmarks/label_words.json --out FILE

Temperature and offset are fitted as `lightner pretrain` fits them: to the guesses in the data that a backbone was
developed on, the groups in these lines of `groups.jsonl` and the sets of `--sets` that were left out. The expected
calibration error of raw and of calibrated scores is that of these guesses, and of those in each FILE, to which nothing
was fitted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.zero_shot import in_words
from lightner.evaluation.calibration import Guess, bins, expected_error
from lightner.evaluation.scoring import evaluate_guesses
from lightner.jobs.pretrain_worker import left_out
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.model.starts import untuned_prompt
from lightner.pretraining import open_text
from lightner.pretraining.development import developed, zero_shot
from lightner.types import Calibration, Sentence


def main() -> None:
    """Fit, measure and write one JSON file."""
    parser = report.parser(__doc__)
    parser.add_argument("--files", nargs="*", default=[], metavar="NAME=FILE")
    parser.add_argument("--words", type=Path, required=True, help="JSON: label -> its words")
    parser.add_argument("--open", type=Path, required=True)
    parser.add_argument("--groups", type=int, nargs="+", required=True, help="lines, from 1 on")
    parser.add_argument("--sets", type=Path, required=True)
    parser.add_argument("--leave-out", nargs="+", required=True)
    parser.add_argument("--backbone")
    options = parser.parse_args()
    base = backbone.load(options.backbone)
    groups = open_text.load(options.open).groups
    kept_out = {
        "sets": left_out(options.sets, options.leave_out),
        "groups": [groups[line - 1].sentences for line in options.groups],
    }
    found = developed(base, kept_out)
    fitted = {"temperature": found.calibration.temperature, "offset": found.calibration.offset}
    print(json.dumps({"f1": found.f1, **fitted}), flush=True)
    guesses = [guess for sets in kept_out.values() for each in sets for guess in zero_shot(base, each).guesses]
    rows = [{"name": "development", **errors(guesses, found.calibration)}]
    words = json.loads(options.words.read_text(encoding="utf-8"))
    for name, [sentences] in report.labelled_sets(options.files):
        rows.append({"name": name, **errors(guessed(base, sentences, words), found.calibration)})
        print(json.dumps(rows[-1]), flush=True)
    report.write({**report.circumstances(base), "f1": found.f1, **fitted, "rows": rows}, options.out)


def guessed(base: Backbone, sentences: Sequence[Sentence], words: dict[str, list[str]]) -> tuple[Guess, ...]:
    """What the untuned prompt of the sentences' labels finds, with raw scores."""
    return evaluate_guesses(base, untuned_prompt(base, in_words(sentences, words)), sentences).guesses


def errors(guesses: Sequence[Guess], calibration: Calibration) -> dict[str, Any]:
    """Expected calibration error in percent, of raw scores and of calibrated ones."""
    after = [replace(guess, score=calibration.probability(guess.score)) for guess in guesses]
    before, now = (100 * expected_error(bins(each)) for each in (guesses, after))
    return {"entities": len(guesses), "before": round(before, 1), "after": round(now, 1)}


if __name__ == "__main__":
    main()
