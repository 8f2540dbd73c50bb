"""Whether a new version may go live: not if the live one is better on the same sentences beyond noise.

docs/rules.md gives the comparison that is made in each case. Knows cards and prompts, no Ray.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields

from lightner.artifact import PromptArtifact, prompt_for
from lightner.backbone import Backbone
from lightner.bootstrap import difference_interval, f1_interval
from lightner.card import JSON, Card
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
    reason: str = "the live version is better"
    """Why it may not."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Sentences that a new version was measured on without having learned from them, and its counts on each."""

    sentences: tuple[Sentence, ...]
    counts: tuple[Counts, ...]

    @property
    def f1(self) -> float:
        return sum(self.counts, Counts()).f1


def traces(learned: Iterable[Sentence], measured: Measured, source: Card | None = None) -> dict[str, JSON]:
    """What a card must say of its data so that a later version can be compared: marks of the sentences learned from,
    and on which sentences it was measured with which counts on each; of very many sentences only a hash.

    A prompt that started from that of the card `source` has learned what that had; where it does not tell, neither does
    the new card.
    """
    inherited = frozenset() if source is None else _learned_marks(source)
    marks = sorted({_mark(sentence) for sentence in learned}.union(inherited or ()))
    found: dict[str, JSON] = {"measured_on_sha256": _digest(measured.sentences)}
    if len(measured.sentences) <= _MOST_SEEN:
        found["measured_counts"] = ";".join(",".join(map(str, astuple(counts))) for counts in _in_order(measured))
    told = inherited is not None and len(marks) <= _MOST_SEEN
    return {**found, "learned_from": "".join(marks)} if told else found


def unseen(sentences: Sequence[Sentence], card: Card) -> tuple[bool, ...]:
    """Whether the card's prompt has surely not learned from each sentence; from none where the card does not tell."""
    seen = _learned_marks(card)
    return tuple(seen is not None and _mark(sentence) not in seen for sentence in sentences)


def learned_from(sentences: Sequence[Sentence], card: Card) -> int:
    """From how many of the sentences the card's prompt has learned; 0 where the card does not tell."""
    seen = _learned_marks(card) or frozenset()
    return sum(_mark(sentence) in seen for sentence in sentences)


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
    same = live.card.data.get("measured_on_sha256") == _digest(new.sentences)
    if same and (counts := _counts(live.card, len(new.sentences))) is not None:
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
    interval = difference_interval(_in_order(new), theirs, seed=seed)
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


def _counts(card: Card, count: int) -> tuple[Counts, ...] | None:
    """Of the sentences that a card was measured on, in the order of `_in_order`; None where it does not tell."""
    stated = card.data.get("measured_counts")
    rows = stated.split(";") if isinstance(stated, str) else []
    numbers = [tuple(int(number) for number in row.split(",") if number.isdecimal()) for row in rows]
    if len(numbers) != count or any(len(row) != len(fields(Counts)) for row in numbers):
        return None
    return tuple(Counts(*row) for row in numbers)


def _in_order(measured: Measured) -> tuple[Counts, ...]:
    """Counts in an order that only depends on the sentences."""
    pairs = zip(measured.sentences, measured.counts, strict=True)
    return tuple(counts for _, counts in sorted(pairs, key=lambda pair: (repr(pair[0]), astuple(pair[1]))))


def _learned_marks(card: Card) -> frozenset[str] | None:
    """Of the sentences that the card's prompt learned from; None where it does not tell."""
    marks = card.data.get("learned_from")
    if not isinstance(marks, str):
        return None
    return frozenset(marks[start : start + _DIGITS] for start in range(0, len(marks), _DIGITS))


def _mark(sentence: Sentence) -> str:
    """Of its words alone: who corrects a label has still learned from the sentence."""
    return hashlib.sha256("\n".join(sentence.words).encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]


def _digest(sentences: Iterable[Sentence]) -> str:
    """Of words and spans, whatever the order."""
    texts: Sequence[str] = sorted(repr(sentence) for sentence in sentences)
    return hashlib.sha256("\n".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
