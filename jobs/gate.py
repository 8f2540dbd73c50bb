"""Whether a new version may go live: not if the live one is better on the same sentences beyond noise.

docs/rules.md gives the comparison that is made in each case. Knows cards and prompts, no Ray.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lightner.artifact import PromptArtifact, prompt_for
from lightner.backbone import Backbone
from lightner.bootstrap import difference_interval, f1_interval
from lightner.card import JSON
from lightner.training import evaluate_each
from lightner.types import Counts, Sentence

CANDIDATE = "candidate"
"""The alias of a version that was not allowed to go live."""
_MOST_SEEN = 50_000  # sentences whose marks a card has room for
_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the new version may go live, and in words what was compared."""

    passed: bool
    comparison: str


@dataclass(frozen=True, slots=True)
class Measured:
    """Sentences that a new version was measured on without having learned from them, and its counts on each."""

    sentences: tuple[Sentence, ...]
    counts: tuple[Counts, ...]

    @property
    def f1(self) -> float:
        return sum(self.counts, Counts()).f1


def traces(learned: Iterable[Sentence], held: Iterable[Sentence]) -> dict[str, JSON]:
    """What a card must say of its data so that a later version can be compared: marks of the sentences learned from,
    unless there are very many, and of all that was measured on."""
    marks = sorted({_mark(sentence) for sentence in learned})
    found: dict[str, JSON] = {"measured_on_sha256": _digest(held)}
    return {**found, "learned_from": "".join(marks)} if len(marks) <= _MOST_SEEN else found


def judge(new: Measured, live: PromptArtifact | None, base: Backbone, *, seed: int) -> Verdict:
    """Compare with the live version's score on the same sentences, or let it tag those that are new to it."""
    if live is None:
        return Verdict(True, "there was no live version to compare with")
    theirs = live.card.metrics.get("f1")
    if isinstance(theirs, float) and live.card.data.get("measured_on_sha256") == _digest(new.sentences):
        return _against_score(new, theirs, "measured on the same sentences", seed=seed)
    unseen = _unseen(new, live)
    if any(counts.gold for counts in unseen.counts) and live.card.backbone_fingerprint == base.fingerprint:
        return _against_prompt(unseen, live, base, seed=seed)
    if isinstance(theirs, float):
        return _against_score(new, theirs, "measured on other sentences", seed=seed)
    return Verdict(True, "the live version can neither be run on this backbone nor has it a score")


def _against_score(new: Measured, theirs: float, how: str, *, seed: int) -> Verdict:
    interval = f1_interval(new.counts, seed=seed)
    return Verdict(
        theirs <= interval.high,
        f"f1 {100 * new.f1:.1f} (95 % interval {100 * interval.low:.1f} to {100 * interval.high:.1f}) against"
        f" {100 * theirs:.1f} of the live version, {how}",
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


def _unseen(new: Measured, live: PromptArtifact) -> Measured:
    """What the live prompt has not learned from; nothing where its card does not tell."""
    marks = live.card.data.get("learned_from")
    if not isinstance(marks, str):
        return Measured((), ())
    seen = {marks[start : start + _DIGITS] for start in range(0, len(marks), _DIGITS)}
    kept = [pair for pair in zip(new.sentences, new.counts, strict=True) if _mark(pair[0]) not in seen]
    return Measured(tuple(sentence for sentence, _ in kept), tuple(counts for _, counts in kept))


def _mark(sentence: Sentence) -> str:
    """Of its words alone: who corrects a label has still learned from the sentence."""
    return hashlib.sha256("\n".join(sentence.words).encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]


def _digest(sentences: Iterable[Sentence]) -> str:
    """Of words and spans, whatever the order."""
    texts: Sequence[str] = sorted(repr(sentence) for sentence in sentences)
    return hashlib.sha256("\n".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
