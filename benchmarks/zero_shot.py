"""F1 from label names alone, without a labelled sentence.

    python -m benchmarks.zero_shot NAME=FILE [NAME=FILE ...] --words benchmarks/label_words.json --open DIR --sets DIR
        --out FILE

A prompt of the set's label names, in the words of `--words` where a name is no words, reads every sentence of FILE
(strict, micro). `--open` and `--sets` are what the backbone was pretrained on: "seen" is the share of the file's
mentions whose label words, as a name of its own, are a type there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import report
from lightner.data.formats import labels_of
from lightner.evaluation.reports import rows_of
from lightner.evaluation.scoring import evaluate
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.model.untuned import label_prompt
from lightner.pretraining import mixture, open_text
from lightner.types import LabelSet, Sentence, label_words

Words = tuple[str, ...]


def main() -> None:
    """Measure every set and write one JSON file."""
    parser = report.parser(__doc__)
    parser.add_argument("files", nargs="+", metavar="NAME=FILE")
    parser.add_argument("--words", type=Path, help="JSON: label -> its words")
    parser.add_argument("--open", type=Path, help="folder of openly labelled text")
    parser.add_argument("--sets", type=Path, help="folder of labelled sets")
    parser.add_argument("--backbone")
    options = parser.parse_args()
    base = backbone.load(options.backbone)
    words = json.loads(options.words.read_text(encoding="utf-8")) if options.words else {}
    seen = seen_types(options.open, options.sets)
    rows = []
    for name, [sentences] in report.labelled_sets(options.files):
        rows.append({"name": name, **measure(base, sentences, words, seen)})
        print(json.dumps({key: value for key, value in rows[-1].items() if key != "labels"}), flush=True)
    report.write({**report.circumstances(base), "rows": rows}, options.out)


def measure(
    base: Backbone, sentences: Sequence[Sentence], words: dict[str, list[str]], seen: frozenset[Words]
) -> dict[str, Any]:
    """Precision, recall and F1 in percent, those of each label, and the share of mentions whose label was seen."""
    labels = in_words(sentences, words)
    scores = evaluate(base, label_prompt(base, labels), sentences)
    total = scores.micro
    known = {name for name, own in zip(labels.names, labels.words, strict=True) if lowered(own) in seen}
    mentions = [span.label for sentence in sentences for span in sentence.spans]
    return {
        "sentences": len(sentences),
        "precision": round(100 * total.precision, 1),
        "recall": round(100 * total.recall, 1),
        "f1": round(100 * total.f1, 1),
        "seen": round(100 * sum(label in known for label in mentions) / len(mentions), 1) if seen else None,
        "labels": {row.name: round(100 * row.f1, 1) for row in rows_of(scores).types},
    }


def in_words(sentences: Sequence[Sentence], words: dict[str, list[str]]) -> LabelSet:
    """The labels of the sentences, in these words where a name is no words."""
    names = labels_of(sentences)
    return LabelSet.of(names, {name: words[name] for name in names if name in words})


def seen_types(openly: Path | None, sets: Path | None) -> frozenset[Words]:
    """The words of every type, label and synonym in what a backbone was pretrained on."""
    found: set[Words] = set()
    if openly is not None:
        text = open_text.load(openly)
        found.update(label_words(kind) for passage in text.passages for *_, kinds in passage.entities for kind in kinds)
        for group in text.groups:
            found.update(label_words(name) for label, others in group.labels.items() for name in (label, *others))
    if sets is not None:
        found.update(label_words(name) for each in mixture.load_sets(sets) for name in each.labels)
    return frozenset(map(lowered, found))


def lowered(words: Sequence[str]) -> Words:
    """Case makes no difference."""
    return tuple(word.lower() for word in words)


if __name__ == "__main__":
    main()
