"""Self-training: a tuned prompt reads unlabelled sentences, and another learns from what it finds there as well.

One round, whose settings were measured on development sentences (benchmarks/results/self_training.md). Knows no Ray.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lightner.model.backbone import Backbone
from lightner.model.prompts import Prompt
from lightner.tagger import WindowedText, read_texts
from lightner.tuning.cross_validation import Fold, fold_folder
from lightner.tuning.rules import Plan
from lightner.tuning.training import learned_reach, load_prompt
from lightner.types import LabelSet, Reach, Sentence
from lightner.words import as_given, as_read

LEAST_SCORE = 0.5
"""Of each entity of a sentence that is learned from, before calibration."""
MORE_STEPS = 1.5
MOST_READ = 1000
"""Sentences: reading takes each fold's prompt about as long as scoring."""


def with_unlabelled(
    backbone: Backbone, labels: LabelSet, folds: Sequence[Fold], unlabelled: Sequence[Sentence], state: Path
) -> tuple[Fold, ...]:
    """The folds, each with what its own prompt in `state`, which knows no sentence that it holds out, finds.

    Raises InputError for a damaged state.
    """
    found = []
    for number, fold in enumerate(folds):
        train = [as_read(sentence) for sentence in fold.train]
        prompt = load_prompt(fold_folder(state, number), labels, backbone, train)
        found.append(Fold(joined(fold.train, found_in(backbone, prompt, unlabelled)), fold.held))
    return tuple(found)


def found_in(
    backbone: Backbone, prompt: Prompt, unlabelled: Sequence[Sentence], *, least: float = LEAST_SCORE
) -> list[Sentence]:
    """The sentences with the entities that the prompt finds, of those where it finds any and is sure of each."""
    windowed = [WindowedText.of(as_given(each), prompt.reach, nested=prompt.nested) for each in unlabelled]
    readings = read_texts(backbone, [(prompt, each) for each in windowed])
    return [
        replace(sentence, spans=tuple(span for span, _ in reading.spans))
        for sentence, reading in zip(unlabelled, readings, strict=True)
        if reading.spans and min(score for _, score in reading.spans) >= least
    ]


def joined(labelled: Sequence[Sentence], found: Sequence[Sentence]) -> tuple[Sentence, ...]:
    """Both, where the labelled sentences are repeated until each part has about half of the weight."""
    return (*(list(labelled) * max(1, round(len(found) / len(labelled)))), *found)


def longer(plan: Plan) -> Plan:
    """The plan of the prompt that learns from both."""
    return replace(plan, steps=round(MORE_STEPS * plan.steps))


def sentences_of(texts: Sequence[Sentence], labelled: Sequence[Sentence]) -> list[Sentence]:
    """The texts in parts as long as those that the labelled ones teach to read, each once and none that is labelled.

    A sentence that is longer than any labelled one is left out.
    """
    reach = learned_reach([as_read(sentence) for sentence in labelled])
    known = {as_read(sentence).words for sentence in labelled}
    parts = dict.fromkeys(words for text in texts for words in _parts(text, reach))
    return [Sentence(words) for words in parts if words not in known]


def _parts(text: Sentence, reach: Reach) -> list[tuple[str, ...]]:
    windowed = WindowedText.of(as_given(text), reach)
    ranges = windowed.windows
    whole = [
        (start, end)
        for place, (start, end) in enumerate(ranges)
        if (place == 0 or ranges[place - 1][1] <= start) and (place + 1 == len(ranges) or end <= ranges[place + 1][0])
    ]
    return [windowed.read[start:end] for start, end in whole if start < end]
