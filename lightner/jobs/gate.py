"""Whether a new version may go live: not if the live one is better on the same sentences beyond noise.

docs/rules.md gives the comparison that is made in each case. Knows cards and prompts, no Ray.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lightner.evaluation.intervals import difference_interval, f1_interval
from lightner.evaluation.scoring import evaluate_each
from lightner.model.backbone import Backbone
from lightner.store.artifact import PromptArtifact
from lightner.store.card import Card
from lightner.store.lineage import Measured, in_order, measured_alike, recorded_counts, unseen
from lightner.store.loading import prompt_for
from lightner.types import Counts

CANDIDATE = "candidate"
"""The alias of a version that was not allowed to go live."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the new version may go live, and in words what was compared."""

    passed: bool
    comparison: str
    reason: str = "the live version is better"
    """Why it may not."""


def judge(
    new: Measured, live: PromptArtifact | None, base: Backbone, *, seed: int, source: Card | None = None
) -> Verdict:
    """Compare with the live version's score on the same sentences, or let it tag those that are new to it.

    Of a version that started from the prompt of the card `source` only the sentences count that are new to that.
    """
    if live is None:
        return Verdict(True, "there was no live version to compare with")
    if source is not None:
        new = _unseen(new, source)
        if not any(counts.gold for counts in new.counts):
            known = "what it started from has learned, or may have, from all sentences that it was measured on"
            return Verdict(False, known, "nothing is left to compare it with the live version by")
    same = measured_alike(new, live.card)
    if same and (counts := recorded_counts(live.card, len(new.sentences))) is not None:
        return _against_counts(new, counts, seed=seed)
    theirs = live.card.metrics.get("f1")
    if same and isinstance(theirs, float):
        return _against_score(new, theirs, live.card, "measured on the same sentences", seed=seed)
    unseen_ones = _unseen(new, live.card)
    if any(counts.gold for counts in unseen_ones.counts) and live.card.backbone_fingerprint == base.fingerprint:
        return _against_prompt(unseen_ones, live, base, seed=seed)
    if isinstance(theirs, float):
        return _against_score(new, theirs, live.card, "measured on other sentences", seed=seed)
    return Verdict(True, "the live version can neither be run on this backbone nor has it a score")


def _against_counts(new: Measured, theirs: Sequence[Counts], *, seed: int) -> Verdict:
    interval = difference_interval(in_order(new), theirs, seed=seed)
    return Verdict(
        interval.high >= 0,
        f"f1 {100 * new.f1:.1f} against {100 * sum(theirs, Counts()).f1:.1f} of the live version, measured on the same"
        f" {len(theirs)} sentences (95 % interval of the difference {100 * interval.low:+.1f} to"
        f" {100 * interval.high:+.1f})",
    )


def _against_score(new: Measured, theirs: float, card: Card, how: str, *, seed: int) -> Verdict:
    """Noise of either, as of independent ones; a score without an interval counts as exact."""
    interval = f1_interval(new.counts, seed=seed)
    stated = card.metrics.get("f1_interval")
    low = stated.get("low") if isinstance(stated, Mapping) else None
    noise = math.hypot(interval.high - new.f1, theirs - low if isinstance(low, float) else 0.0)
    return Verdict(
        theirs - new.f1 <= noise,
        f"f1 {100 * new.f1:.1f} (95 % interval {100 * interval.low:.1f} to {100 * interval.high:.1f}) against"
        f" {100 * theirs:.1f} of the live version, {how}; {100 * noise:.1f} less would be noise",
    )


def _against_prompt(new: Measured, live: PromptArtifact, base: Backbone, *, seed: int) -> Verdict:
    each = evaluate_each(base, prompt_for(live, base), new.sentences)
    theirs = [scores.micro for scores in each]
    interval = difference_interval(new.counts, theirs, seed=seed)
    return Verdict(
        interval.high >= 0,
        f"f1 {100 * new.f1:.1f} against {100 * sum(theirs, Counts()).f1:.1f} of the live version on"
        f" {len(theirs)} sentences from which neither learned (95 % interval of the difference"
        f" {100 * interval.low:+.1f} to {100 * interval.high:+.1f})",
    )


def _unseen(new: Measured, card: Card) -> Measured:
    """What the card's prompt has not learned from; nothing where it does not tell."""
    flags = unseen(new.sentences, card)
    kept = [pair for pair, is_new in zip(zip(new.sentences, new.counts, strict=True), flags, strict=True) if is_new]
    return Measured(tuple(sentence for sentence, _ in kept), tuple(counts for _, counts in kept))
