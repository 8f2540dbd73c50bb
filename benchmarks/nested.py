"""F1 of a prompt that learns nested entities, and of one that learns the outermost or the innermost ones alone.

    python -m benchmarks.nested orders=examples/orders/train.jsonl:examples/orders/test.jsonl --seeds 3 --out FILE

A prompt per set, seed and way of reading the training sentences, by the rules (prompt length 8, rate 0.01, no scan).
"nested" learns them as they are; "outermost" and "innermost" learn without the entities within others, or around
others, as formats of tags have them. Each is measured on all entities of the test sentences, and on those that it could
have learned: an entity counts if its words and its label are right.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from benchmarks import report
from lightner.data.formats import labels_of
from lightner.evaluation.metrics import score
from lightner.evaluation.scoring import predict
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.tuning import rules
from lightner.tuning.training import fit
from lightner.types import LabelSet, Sentence, Span, outermost_first


def main() -> None:
    """Measure every set and write one JSON file."""
    parser = report.parser(__doc__)
    parser.add_argument("sets", nargs="+", metavar="NAME=TRAIN:TEST")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--backbone")
    options = parser.parse_args()
    base = backbone.load(options.backbone)
    rows = []
    for name, (train, test) in report.labelled_sets(options.sets):
        for way in WAYS:
            each = [measure(base, train, test, way=way, seed=seed) for seed in range(options.seeds)]
            means = {kind: round(statistics.mean(found[kind] for found in each), 1) for kind in each[0]}
            spread = [found["all entities"] for found in each]
            rows.append({"name": name, "learned": way, **means, "all entities, each seed": spread})
            print(json.dumps(rows[-1]), flush=True)
    report.write({**report.circumstances(base), "seeds": options.seeds, "rows": rows}, options.out)


def measure(
    base: Backbone, train: Sequence[Sentence], test: Sequence[Sentence], *, way: str, seed: int
) -> dict[str, float]:
    """F1 in percent on all entities of `test`, and on the outermost and on the innermost ones."""
    learned = [replace(sentence, spans=tuple(WAYS[way](sentence.spans))) for sentence in train]
    labels = LabelSet.of(labels_of(train))
    plan = rules.plan(learned, prompt_length=8, learning_rate=0.01, seed=seed)
    found = predict(base, fit(base, labels, learned, (), plan).fold(), test)
    scores = {"all entities": score([sentence.spans for sentence in test], found)}
    for kind in ("outermost", "innermost"):
        gold = [WAYS[kind](sentence.spans) for sentence in test]
        scores[f"{kind} entities"] = score(gold, [WAYS[kind](spans) for spans in found])
    return {kind: round(100 * each.micro.f1, 1) for kind, each in scores.items()}


def outermost(spans: Sequence[Span]) -> list[Span]:
    """The spans that lie within no other one."""
    kept: list[Span] = []
    for span in outermost_first(spans):
        if not kept or kept[-1].end <= span.start:
            kept.append(span)
    return kept


def innermost(spans: Sequence[Span]) -> list[Span]:
    """The spans within which no other one lies; of equal words the last label's."""
    ordered = outermost_first(spans)
    followed = zip(ordered, [*ordered[1:], None], strict=True)
    return [span for span, other in followed if other is None or span.end <= other.start]


WAYS: Mapping[str, Callable[[Sequence[Span]], list[Span]]] = {
    "nested": list,
    "outermost": outermost,
    "innermost": innermost,
}


if __name__ == "__main__":
    main()
