"""Scores of a prompt on labelled sentences: tag the words, compare the spans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lightner.evaluation.calibration import Guess
from lightner.evaluation.metrics import score
from lightner.model.backbone import Backbone
from lightner.model.prompts import Prompt
from lightner.tagger import tag_words
from lightner.types import Counts, LabelSet, Scores, Sentence, Span
from lightner.words import as_given


def evaluate(backbone: Backbone, prompt: Prompt, sentences: Sequence[Sentence]) -> Scores:
    """Strict entity-level scores of a prompt on labelled sentences."""
    return pooled(evaluate_each(backbone, prompt, sentences), prompt.labels)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Scores on each sentence, all predicted entities with what they were sure of, and the spans of each sentence."""

    scores: tuple[Scores, ...]
    guesses: tuple[Guess, ...]
    found: tuple[tuple[Span, ...], ...]


def evaluate_guesses(backbone: Backbone, prompt: Prompt, sentences: Sequence[Sentence]) -> Evaluated:
    """What a prompt finds in each sentence, as counts and as guesses that are right or wrong."""
    tagged = tag_words(backbone, [(prompt, as_given(sentence)) for sentence in sentences])
    pairs = list(zip(sentences, tagged, strict=True))
    scores = (score([sentence.spans], [[span for span, _ in found]]) for sentence, found in pairs)
    guesses = (Guess(span.label, sure, span in sentence.spans) for sentence, found in pairs for span, sure in found)
    return Evaluated(tuple(scores), tuple(guesses), tuple(tuple(span for span, _ in found) for found in tagged))


def evaluate_each(backbone: Backbone, prompt: Prompt, sentences: Sequence[Sentence]) -> tuple[Scores, ...]:
    """Strict entity-level scores of a prompt on each sentence; their sum equals the result of `evaluate`."""
    return evaluate_guesses(backbone, prompt, sentences).scores


def predict(backbone: Backbone, prompt: Prompt, sentences: Sequence[Sentence]) -> list[list[Span]]:
    """The spans that a prompt finds in the words of each sentence."""
    tagged = tag_words(backbone, [(prompt, as_given(sentence)) for sentence in sentences])
    return [[span for span, _ in spans] for spans in tagged]


def pooled(each: Iterable[Scores], labels: LabelSet) -> Scores:
    """The sum of sentences' scores, with counts of zero for labels that never occur."""
    return sum(each, Scores({name: Counts() for name in labels.names}))
