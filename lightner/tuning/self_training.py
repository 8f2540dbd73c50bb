"""Self-training: a tuned prompt reads unlabelled sentences, and another learns from what it finds there as well.

One round, whose settings were measured on development sentences (benchmarks/results/self_training.md). Knows no Ray.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from lightner.model.backbone import Backbone
from lightner.model.prompts import Prompt
from lightner.tagger import WindowedText, read_texts
from lightner.tuning.cross_validation import Fold, fold_folder
from lightner.tuning.rules import Plan
from lightner.tuning.training import learned_reach, load_prompt
from lightner.types import LabelSet, Sentence
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


def sentences_of(texts: Iterable[str | tuple[str, ...]], labelled: Sequence[Sentence]) -> list[Sentence]:
    """The texts in parts as long as those that the labelled ones teach to read, each once and none that is labelled.

    A sentence that is longer than any labelled one is left out.
    """
    taught = [as_read(sentence) for sentence in labelled]
    reach, known = learned_reach(taught), {sentence.words for sentence in taught}
    parts = dict.fromkeys(words for text in texts for words in _parts(WindowedText.of(text, reach)))
    return [Sentence(words) for words in parts if words not in known]


def _parts(text: WindowedText) -> list[tuple[str, ...]]:
    """The words of each window that shares none with another: windows overlap where they cut a sentence."""
    times = Counter(place for window in text.windows for place in range(*window))
    return [text.read[slice(*window)] for window in text.windows if all(times[place] == 1 for place in range(*window))]
