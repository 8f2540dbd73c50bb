"""F1 of texts of several sentences against the same sentences alone, and of raw text against a file's own words.

    python -m benchmarks.paragraphs NAME=TRAIN:TEST [NAME=TRAIN:TEST ...] --seeds 2 --out FILE

A prompt per set and seed, by the rules (prompt length 8, rate 0.01, no scan). The test sentences are joined in their
order to texts of 1, 2, 4, 8 and all sentences, and of all sentences once more without sentence ends: lower-cased,
without punctuation. Each text is read in the windows that the prompt learned, and in windows of 120 words regardless of
sentences. "given words": single sentences in the file's words, answered in these words. Entities are compared in
characters.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from benchmarks import report
from lightner.data.formats import labels_of, read
from lightner.evaluation.scoring import evaluate
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.model.prompts import Prompt
from lightner.tagger import tag_texts
from lightner.tuning import rules
from lightner.tuning.training import fit
from lightner.types import Counts, LabelSet, Reach, Sentence, Span

TOGETHER = (1, 2, 4, 8, 0)
"""Sentences of a text; 0: all."""


def main() -> None:
    """Measure every set and write one JSON file."""
    parser = report.parser(__doc__)
    parser.add_argument("sets", nargs="+", metavar="NAME=TRAIN:TEST")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--backbone")
    options = parser.parse_args()
    base = backbone.load(options.backbone)
    rows = []
    for text in options.sets:
        name, files = report.named_files(text)
        train, test = map(read, files)
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
    for count in TOGETHER:
        texts = list(joined(test, count or len(test)))
        found[f"{count or 'all'} a text"] = f1(base, learned, texts)
        found[f"{count or 'all'} a text, windows of 120"] = f1(base, whole, texts)
    bare = list(joined([without_ends(sentence) for sentence in test], len(test)))
    found["all, no sentence ends"] = f1(base, learned, bare)
    found["all, no sentence ends, windows of 120"] = f1(base, whole, bare)
    return {name: round(100 * value, 1) for name, value in found.items()} | {"reach": str(learned.reach)}


def joined(sentences: Sequence[Sentence], count: int) -> Iterator[tuple[str, set[tuple[int, int, str]]]]:
    """Texts of `count` sentences each, and their entities in characters."""
    for begin in range(0, len(sentences), count):
        text, entities = "", set()
        for sentence in sentences[begin : begin + count]:
            text += " " if text else ""
            starts = [*accumulate((len(word) + 1 for word in sentence.words), initial=len(text))]
            entities |= {(starts[s.start], starts[s.end] - 1, s.label) for s in sentence.spans}
            text += " ".join(sentence.words)
        yield text, entities


def without_ends(sentence: Sentence) -> Sentence:
    """The sentence in lower case and without punctuation outside entities, as some people type."""
    inside = {place for span in sentence.spans for place in range(span.start, span.end)}
    kept = [n for n, word in enumerate(sentence.words) if n in inside or any(map(str.isalnum, word))]
    place = {old: new for new, old in enumerate(kept)}
    spans = tuple(Span(place[span.start], place[span.end - 1] + 1, span.label) for span in sentence.spans)
    return Sentence(tuple(sentence.words[n].lower() for n in kept), spans)


def f1(base: Backbone, prompt: Prompt, texts: Sequence[tuple[str, set[tuple[int, int, str]]]]) -> float:
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
