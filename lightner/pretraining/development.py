"""What a backbone finds from label words alone in sentences that it is not trained on: F1, and how sure it may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from lightner.evaluation.calibration import Guess, fit
from lightner.evaluation.scoring import Evaluated, evaluate_guesses
from lightner.model.backbone import Backbone
from lightner.model.starts import untuned_prompt
from lightner.types import Calibration, Counts, LabelSet, Sentence


@dataclass(frozen=True)
class Development:
    """F1 from label words by the name of what was kept out, each the mean over its sets; and the calibration that fits
    untuned prompts, on the guesses of all of them."""

    f1: Mapping[str, float] = field(default_factory=dict)
    calibration: Calibration = Calibration()  # noqa: RUF009 a frozen value


def developed(backbone: Backbone, kept_out: Mapping[str, Sequence[Sequence[Sentence]]]) -> Development:
    """Read every set that was kept out with the untuned prompt of its labels."""
    found = {name: [zero_shot(backbone, each) for each in sets] for name, sets in kept_out.items() if sets}
    f1 = {name: sum(_f1(each) for each in those) / len(those) for name, those in found.items()}
    everything = [each for those in found.values() for each in those]
    gold = sum(scores.micro.gold for each in everything for scores in each.scores)
    return Development(f1, fitted((guess for each in everything for guess in each.guesses), gold=gold))


@torch.no_grad()
def zero_shot(backbone: Backbone, sentences: Sequence[Sentence]) -> Evaluated:
    """What the prompt of the sentences' own labels finds in them, with raw scores."""
    labels = LabelSet.of(span.label for sentence in sentences for span in sentence.spans)
    return evaluate_guesses(backbone, untuned_prompt(backbone, labels), sentences)


def fitted(guesses: Iterable[Guess], *, gold: int) -> Calibration:
    """Temperature and offset of all guesses together; labels that were never seen have no thresholds."""
    given = list(guesses)
    if not given:
        return Calibration()
    found = fit(given, gold=gold)
    return Calibration(found.temperature, found.offset)


def _f1(found: Evaluated) -> float:
    return sum((scores.micro for scores in found.scores), Counts()).f1
