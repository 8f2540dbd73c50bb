"""F1 of texts of several sentences against the same sentences alone, and of raw text against a file's own words.

    python -m benchmarks.paragraphs NAME=TRAIN:TEST [NAME=TRAIN:TEST ...] --seeds 2 --out FILE

A prompt per set and seed, by the rules (prompt length 8, rate 0.01, no scan). The test sentences are joined in their
order to texts of 1, 2, 4, 8 and all sentences: raw text as the file has it, else its words with spaces. Texts of one
and of all sentences are read twice more: without the marks that end a sentence, and so in lower case. Each text is read
in the windows that the prompt learned, and in windows of 120 words regardless of sentences. "given words": single
sentences in the file's words, answered in these words. Entities are compared in characters.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any, TypeAlias

from benchmarks import report
from lightner.data.formats import labels_of
from lightner.evaluation.scoring import evaluate
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.model.prompts import Prompt
from lightner.tagger import tag_texts
from lightner.tuning import rules
from lightner.tuning.training import fit
from lightner.types import Counts, LabelSet, Reach, Sentence
from lightner.words import placed_words

TOGETHER = (1, 2, 4, 8, 0)
"""Sentences of a text; 0: all."""

Entities: TypeAlias = set[tuple[int, int, str]]
"""Characters `[start, end)` of a text, and the label."""
Labelled: TypeAlias = tuple[str, Entities]


def main() -> None:
    """Measure every set and write one JSON file."""
    parser = report.parser(__doc__)
    parser.add_argument("sets", nargs="+", metavar="NAME=TRAIN:TEST")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--backbone")
    options = parser.parse_args()
    base = backbone.load(options.backbone)
    rows = []
    for name, (train, test) in report.labelled_sets(options.sets):
        rows.append({"name": name, **mean([measure(base, train, test, seed) for seed in range(options.seeds)])})
        print(json.dumps(rows[-1]), flush=True)
    report.write({**report.circumstances(base), "seeds": options.seeds, "rows": rows}, options.out)


def measure(base: Backbone, train: Sequence[Sentence], test: Sequence[Sentence], seed: int) -> dict[str, Any]:
    """F1 in percent of one prompt under each condition, by name."""
    labels = LabelSet.of(labels_of(train))
    plan = rules.plan(train, prompt_length=8, learning_rate=0.01, seed=seed)
    learned = fit(base, labels, train, (), plan).fold()
    whole = replace(learned, reach=Reach())
    found = {"given words": evaluate(base, learned, test).micro.f1}
    for name, texts in conditions([written(sentence) for sentence in test]):
        found[name] = f1(base, learned, texts)
        found[f"{name}, windows of 120"] = f1(base, whole, texts)
    return {name: round(100 * value, 1) for name, value in found.items()} | {"reach": str(learned.reach)}


def conditions(texts: Sequence[Labelled]) -> Iterator[tuple[str, list[Labelled]]]:
    """The texts in which the sentences are read, by the name of the condition."""
    for count in TOGETHER:
        yield f"{count or 'all'} a text", list(joined(texts, count or len(texts)))
    for name, changed in (
        ("no sentence ends", [without_end(*each) for each in texts]),
        ("lower case, no sentence ends", [lowered(*without_end(*each)) for each in texts]),
    ):
        yield f"1 a text, {name}", changed
        yield f"all a text, {name}", list(joined(changed, len(changed)))


def written(sentence: Sentence) -> Labelled:
    """A sentence as text, and its entities in characters."""
    text, words = placed_words(sentence)
    return text, {(words[span.start].start, words[span.end - 1].end, span.label) for span in sentence.spans}


def joined(texts: Sequence[Labelled], count: int) -> Iterator[Labelled]:
    """Texts of `count` sentences each, with a space between each two."""
    for begin in range(0, len(texts), count):
        chosen = texts[begin : begin + count]
        starts = accumulate((len(text) + 1 for text, _ in chosen), initial=0)
        moved = [
            {(start + first, start + last, label) for first, last, label in entities}
            for start, (_, entities) in zip(starts, chosen, strict=False)
        ]
        yield " ".join(text for text, _ in chosen), set().union(*moved)


def without_end(text: str, entities: Entities) -> Labelled:
    """The text without the marks at its end that are part of no entity, as some people type."""
    last = max((end for _, end, _ in entities), default=0)
    return text[:last] + text[last:].rstrip(".!?\u2026 "), entities


def lowered(text: str, entities: Entities) -> Labelled:
    """The text in lower case, of the same length."""
    return "".join(char.lower() if len(char.lower()) == 1 else char for char in text), entities


def f1(base: Backbone, prompt: Prompt, texts: Sequence[Labelled]) -> float:
    """Micro F1 of entities in characters."""
    counts = Counts()
    for (_, gold), tagged in zip(texts, tag_texts(base, [(prompt, text) for text, _ in texts]), strict=True):
        predicted = {(entity.start, entity.end, entity.label) for entity in tagged.entities}
        counts += Counts(len(gold & predicted), len(predicted), len(gold))
    return counts.f1


def mean(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean over seeds of each condition."""
    numbers = {name for name, value in runs[0].items() if isinstance(value, float)}
    return {
        name: round(statistics.mean(run[name] for run in runs), 1) if name in numbers else value
        for name, value in runs[0].items()
    }


if __name__ == "__main__":
    main()
