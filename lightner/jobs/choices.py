"""Choices that the trials of a tuning job try (plans and sources), and the name of their run. Knows no Ray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lightner.jobs.inputs import Material, naming
from lightner.jobs.keys import described, key_of
from lightner.jobs.options import TuneOptions
from lightner.jobs.sources import SourcePrompt
from lightner.tuning import rules
from lightner.tuning.rules import Plan
from lightner.types import InputError

_OF_SOURCE = {"prompt_length", "feed_forward_slots"}


@dataclass(frozen=True, eq=False)
class Choice:
    """One trial's choice: a plan, and the source that it starts from (none: the label words alone)."""

    plan: Plan
    source: SourcePrompt | None = None

    @property
    def started_from(self) -> str | None:
        return self.source.reference if self.source else None

    def by(self, plan: Plan) -> Choice:
        """The same choice with another plan."""
        return replace(self, plan=plan)


def choices_of(options: TuneOptions, material: Material, sources: Sequence[SourcePrompt | None]) -> tuple[Choice, ...]:
    """Choices for the trials: for each source the scanned pairs, as plans of a final run on all sentences.

    A source fixes the prompt length, so lengths are not scanned for it. Raises InputError for pins that no run can
    have, or that all sources decide.
    """
    if all(sources) and (fixed := _OF_SOURCE & set(material.pins)):
        raise InputError(f"{options.pin}: found {sorted(fixed)}, expected neither with --from: they are the source's")
    return tuple(Choice(plan, source) for source in sources for plan in _plans(options, material, source))


def milestones_of(material: Material, plans: Sequence[Plan]) -> tuple[int, ...]:
    """Rounds at which trials with these plans are compared; the last entry is the final round."""
    return rules.milestones(plans[0].rounds, len(plans) if material.scheme.early_stopping else 1)


def run_key(material: Material, choices: Sequence[Choice], fingerprint: str) -> str:
    """Name a run by all that determines its result, so that the same command finds its own state."""
    labels = material.labels
    unlabelled = {"unlabelled": described(material.unlabelled)} if material.unlabelled else {}
    return key_of(
        {
            "version": 1,
            "backbone": fingerprint,
            "labels": [[name, list(words)] for name, words in zip(labels.names, labels.words, strict=True)],
            "folds": [{"train": described(fold.train), "held": described(fold.held)} for fold in material.folds],
            "choices": [{"plan": choice.plan.as_dict(), "started_from": choice.started_from} for choice in choices],
            "early_stopping": material.scheme.early_stopping,
            **unlabelled,
        }
    )


def _plans(options: TuneOptions, material: Material, source: SourcePrompt | None) -> list[Plan]:
    fixed = source.lengths if source else {}
    pins = {**material.pins, **fixed}
    with naming(options.pin):
        plans = [
            rules.plan(material.everything, prompt_length=length, learning_rate=rate, seed=options.seed, pins=pins)
            for length in options.lengths
            for rate in options.rates
        ]
    return list(dict.fromkeys(plans))  # a pinned or given length, or a pinned rate, makes some choices equal
