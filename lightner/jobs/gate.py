"""Decide whether a new version may go live: not if the live one is better on the same sentences beyond noise.

It must not be worse than the best version that was ever live either, since small losses would add up. docs/rules.md
gives the comparison that is made in each case. Knows cards and prompts, no Ray.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from lightner.evaluation.intervals import difference_interval, f1_interval
from lightner.evaluation.scoring import evaluate_each
from lightner.model.backbone import Backbone
from lightner.store.artifact import PromptArtifact
from lightner.store.card import Card
from lightner.store.lineage import (
    Measured,
    in_order,
    measured_alike,
    recorded_on,
    recorded_scores,
    restricted,
    unseen,
)
from lightner.store.loading import prompt_for
from lightner.types import Counts, Scores

CANDIDATE = "candidate"
"""The alias of a version that was not allowed to go live."""
ENOUGH = 20
"""Sentences with an entity that a paired comparison needs, or half of those that the new version was measured on.

Over fewer ones the interval hardly ever lies below zero, whatever the new version is: it has to be worse on at least
three of them.
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the new version may go live, and a description of what was compared."""

    passed: bool
    comparison: str
    reason: str = "the live version is better"
    """Why it may not."""


@dataclass(frozen=True, eq=False)
class Opponents:
    """The live version, and the cards of versions that were live before, by version."""

    live: PromptArtifact | None
    earlier: Mapping[str, Card]


def judge(
    new: Measured,
    labels: Collection[str],
    against: Opponents,
    base: Backbone,
    *,
    seed: int,
    source: Card | None = None,
) -> Verdict:
    """Compare a version that finds `labels` with the live one, and with the best one that was ever live.

    Labels that only one of the two versions finds are ignored. If the new version started from the prompt with the card
    `source`, only sentences that are new to that prompt count.
    """
    live = against.live
    if live is None:
        return Verdict(True, "there was no live version to compare with")
    if not {*labels} & {*live.card.labels}:
        found = f"the live version finds {_listed(live.card.labels)}, this one {_listed(labels)}"
        return Verdict(False, found, "it has no label in common with the live version")
    if source is not None:
        left = new.chosen(unseen(new.sentences, source))
        if not _enough(left, of=new):
            rest = f"{len(left.sentences)} of the {len(new.sentences)}" if left.sentences else "none of the"
            known = f"{rest} sentences that it was measured on are surely new to what it started from"
            return Verdict(False, known, "too little is left to compare it with the live version by")
        new = left
    verdict = _against_live(new, {*labels} & {*live.card.labels}, live, base, seed=seed)
    verdict = replace(verdict, comparison=verdict.comparison + _differing(labels, live.card.labels))
    return _against_the_best(new, labels, against.earlier, verdict, seed=seed) if verdict.passed else verdict


def _against_live(new: Measured, common: Set[str], live: PromptArtifact, base: Backbone, *, seed: int) -> Verdict:
    """The verdict of the first comparison that is possible, on the labels that both have."""
    new = new.restricted(common)
    same = measured_alike(new, live.card)
    theirs = _recorded(new, live.card, common) if same else None
    if theirs is not None:
        return _against_counts(in_order(new), theirs, "the live version", seed=seed)
    score = _score(live.card, common)
    if same and score is not None:
        return _against_score(new, score, "measured on the same sentences", seed=seed)
    shared, known = _shared(new, live.card, base)
    if not _enough(shared, of=new) and score is not None:
        return _against_score(new, score, "measured on other sentences", seed=seed)
    if _with_entity(shared):
        return _against_answers(shared, known, common, live, base, seed=seed)
    return Verdict(True, "the live version can neither be run on this backbone nor has it a score to compare with")


def _against_the_best(
    new: Measured, labels: Collection[str], earlier: Mapping[str, Card], verdict: Verdict, *, seed: int
) -> Verdict:
    """Keep the verdict unless an earlier live version is better on the same sentences beyond noise."""
    pairs = {version: _recorded_pairs(new, {*labels} & {*card.labels}, card) for version, card in earlier.items()}
    found = {version: pair for version, pair in pairs.items() if pair is not None}
    if not found:
        return verdict
    best = max(found, key=lambda version: _lead(*found[version]))
    against = _against_counts(*found[best], f"{best}, the best that was live before", seed=seed)
    comparison = f"{verdict.comparison}; {against.comparison}"
    return Verdict(against.passed, comparison, "an earlier live version is better")


def _shared(new: Measured, card: Card, base: Backbone) -> tuple[Measured, tuple[Scores | None, ...]]:
    """Sentences on which both versions can be compared, and the card's record of each (None: it has to be run).

    Its prompt was measured on them without having learned from them, or they are new to it.
    """
    known = recorded_on(new.sentences, card)
    runs = card.backbone_fingerprint == base.fingerprint
    kept = [
        record is not None or (runs and is_new)
        for record, is_new in zip(known, unseen(new.sentences, card), strict=True)
    ]
    return new.chosen(kept), tuple(record for record, keep in zip(known, kept, strict=True) if keep)


def _recorded_pairs(
    new: Measured, common: Set[str], card: Card
) -> tuple[tuple[Counts, ...], tuple[Counts, ...]] | None:
    """Counts of the new version and of the card's on sentences that both were measured on; None: too few are known."""
    new = new.restricted(common)
    theirs = _recorded(new, card, common) if measured_alike(new, card) else None
    if theirs is not None:
        return in_order(new), theirs
    known = recorded_on(new.sentences, card)
    shared = new.chosen([record is not None for record in known])
    if not _enough(shared, of=new):
        return None
    return shared.counts, tuple(restricted(record, common).micro for record in known if record is not None)


def _lead(mine: Sequence[Counts], theirs: Sequence[Counts]) -> float:
    """By how much the F1 of the others is higher."""
    return sum(theirs, Counts()).f1 - sum(mine, Counts()).f1


def _enough(part: Measured, *, of: Measured) -> bool:
    """Whether a paired comparison on a part of the sentences counts: see `ENOUGH`."""
    count = _with_entity(part)
    return count > 0 and count >= min(ENOUGH, _with_entity(of) / 2)


def _with_entity(measured: Measured) -> int:
    return sum(counts.gold > 0 for counts in measured.counts)


def _recorded(new: Measured, card: Card, labels: Collection[str]) -> tuple[Counts, ...] | None:
    """The card's counts on the same sentences, over some labels."""
    found = recorded_scores(card, len(new.sentences))
    return None if found is None else tuple(restricted(each, labels).micro for each in found)


def _score(card: Card, labels: Collection[str]) -> tuple[float, float] | None:
    """F1 over these labels and its distance to the lower end of its 95 % interval; 0 if no interval is known."""
    stated, types = card.metrics.get("f1"), card.metrics.get("types")
    if {*card.labels} <= {*labels} or not isinstance(types, Mapping):
        interval = card.metrics.get("f1_interval")
        low = interval.get("low") if isinstance(interval, Mapping) else None
        return (stated, stated - low if isinstance(low, float) else 0.0) if isinstance(stated, float) else None
    return _of_types({name: row for name, row in types.items() if name in labels})


def _of_types(types: Mapping[str, object]) -> tuple[float, float] | None:
    """Micro F1 from precision, recall and support of each type, as on a card."""
    total = Counts()
    for row in types.values():
        match row:
            case {"precision": float(precision), "recall": float(recall), "support": int(gold)}:
                right = round(recall * gold)
                total += Counts(right, round(right / precision) if precision else 0, gold)
    return (total.f1, 0.0) if total.gold else None


def _against_counts(mine: Sequence[Counts], theirs: Sequence[Counts], whose: str, *, seed: int) -> Verdict:
    interval = difference_interval(mine, theirs, seed=seed)
    return Verdict(
        interval.high >= 0,
        f"f1 {100 * sum(mine, Counts()).f1:.1f} against {100 * sum(theirs, Counts()).f1:.1f} of {whose}, measured on"
        f" the same {len(theirs)} sentences (95 % interval of the difference {100 * interval.low:+.1f} to"
        f" {100 * interval.high:+.1f})",
    )


def _against_score(new: Measured, theirs: tuple[float, float], how: str, *, seed: int) -> Verdict:
    """Compare two scores, their noise taken as independent; a score without an interval counts as exact."""
    interval = f1_interval(new.counts, seed=seed)
    score, below = theirs
    noise = math.hypot(interval.high - new.f1, below)
    return Verdict(
        score - new.f1 <= noise,
        f"f1 {100 * new.f1:.1f} (95 % interval {100 * interval.low:.1f} to {100 * interval.high:.1f}) against"
        f" {100 * score:.1f} of the live version, {how}; {100 * noise:.1f} less would be noise",
    )


def _against_answers(
    new: Measured,
    known: Sequence[Scores | None],
    common: Set[str],
    live: PromptArtifact,
    base: Backbone,
    *,
    seed: int,
) -> Verdict:
    """Compare on sentences from which neither learned: those of its record, and those that the live prompt tags now."""
    to_tag = [sentence for sentence, record in zip(new.sentences, known, strict=True) if record is None]
    tagged = iter(evaluate_each(base, prompt_for(live, base), to_tag) if to_tag else ())
    every = [next(tagged) if record is None else record for record in known]
    theirs = [restricted(scores, common).micro for scores in every]
    interval = difference_interval(new.counts, theirs, seed=seed)
    return Verdict(
        interval.high >= 0,
        f"f1 {100 * new.f1:.1f} against {100 * sum(theirs, Counts()).f1:.1f} of the live version on"
        f" {len(theirs)} sentences from which neither learned (95 % interval of the difference"
        f" {100 * interval.low:+.1f} to {100 * interval.high:+.1f})",
    )


def _differing(mine: Collection[str], theirs: Collection[str]) -> str:
    """Describe the labels that only one version finds; empty if both find the same labels."""
    new, lost = sorted({*mine} - {*theirs}), sorted({*theirs} - {*mine})
    if not new and not lost:
        return ""
    parts = [f"this one also finds {_listed(new)}"] if new else []
    parts += [f"it no longer finds {_listed(lost)}"] if lost else []
    common = _listed(sorted({*mine} & {*theirs}))
    return f"; compared on the labels that both have ({common}): {', and '.join(parts)}"


def _listed(labels: Collection[str]) -> str:
    return ", ".join(labels)
