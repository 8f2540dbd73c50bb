"""`--from`: published prompts of other domains that a tuning job starts from. Knows no Ray."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lightner.jobs.options import AUTO, MOST_SOURCES
from lightner.model.backbone import Backbone
from lightner.model.prompts import Prompt
from lightner.store.artifact import PromptArtifact
from lightner.store.card import Card
from lightner.store.lineage import unseen
from lightner.store.loading import prompt_for
from lightner.store.registry import LIVE, Registry
from lightner.types import InputError, LabelSet, Sentence

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class SourcePrompt:
    """A prompt, its version as `domain@v000001`, and its card; `known`: how many of the evaluation sentences the
    prompt may already have been trained on."""

    reference: str
    prompt: Prompt
    card: Card
    known: int = 0

    @property
    def lengths(self) -> dict[str, int]:
        """Length settings of a plan that starts from this prompt; label slots are not counted."""
        guidance = self.prompt.guidance
        free = guidance.length - len(self.prompt.labels)
        return {"prompt_length": free, "feed_forward_slots": guidance.slots}


def find(registry: Registry, reference: str, base: Backbone, *, sentences: Sequence[Sentence]) -> SourcePrompt:
    """The prompt that `domain` or `domain@version-or-alias` names, for trials that are measured on `sentences`.

    Raises:
        InputError: no such prompt, a prompt tuned on another backbone, one with fewer slots than labels, or one made
            from label names alone.
    """
    domain, _, ref = reference.partition("@")
    version, artifact = registry.fetch(domain, ref or LIVE)
    if artifact.card.untuned:
        raise InputError(f"--from {reference}: found a prompt made from label names alone, expected one that was tuned")
    known = len(sentences) - sum(unseen(sentences, artifact.card))
    source = SourcePrompt(f"{domain}@{version}", prompt_for(artifact, base), artifact.card, known)
    if source.lengths["prompt_length"] < 0:
        slots = source.prompt.guidance.length
        raise InputError(f"--from {reference}: found {slots} slots, expected one for each of its labels and free ones")
    return source


def warnings(sources: Sequence[SourcePrompt | None], *, measured: int) -> tuple[str, ...]:
    """Warnings about sources that may know some of the `measured` sentences, which makes F1 too high."""
    return tuple(
        f"{source.reference} has learned, or may have, from {source.known} of the {measured} sentences that trials are"
        " measured on: the F1 of trials that start from it is too high"
        for source in sources
        if source and source.known
    )


def likely(
    registry: Registry, base: Backbone, *, domain: str, labels: LabelSet, sentences: Sequence[Sentence]
) -> tuple[SourcePrompt, ...]:
    """At most MOST_SOURCES live prompts of other domains, likeliest first, by the rule in docs/rules.md.

    Only tuned prompts of the same backbone that learned from none of `sentences`: sentences that a fold holds out must
    be new to its starting prompt.
    """
    ranked = heapq.nsmallest(
        MOST_SOURCES,
        _usable(registry, base, domain=domain, sentences=sentences),
        key=lambda found: _rank(found[1], labels),
    )
    return tuple(
        SourcePrompt(f"{found.card.domain}@{version}", prompt_for(found, base), found.card) for version, found in ranked
    )


def _usable(
    registry: Registry, base: Backbone, *, domain: str, sentences: Sequence[Sentence]
) -> Iterator[tuple[str, PromptArtifact]]:
    for other in registry.domains():
        if other == domain:
            continue
        try:
            version, artifact = registry.fetch(other)
        except InputError as error:
            _log.warning("--from %s: left out %s: %s", AUTO, other, error)
            continue
        card = artifact.card
        fits = card.backbone_fingerprint == base.fingerprint and card.length >= len(card.labels)
        if fits and not card.untuned and all(unseen(sentences, card)):
            yield version, artifact


def _rank(artifact: PromptArtifact, labels: LabelSet) -> tuple[int, int, str]:
    """Sort key: more labels in common first, since those keep their slot; then more training sentences."""
    card = artifact.card
    learned = card.data.get("sentences")
    return -len({*card.labels} & {*labels.names}), -learned if isinstance(learned, int) else 0, card.domain
