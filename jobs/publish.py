"""A finished run to a published prompt: the artefact with its card, and whether the registry has it already."""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version

from torch import Tensor

from jobs.scan import Trial
from jobs.worker import Run
from lightner.artifact import WEIGHTS, PromptArtifact
from lightner.backbone import Backbone
from lightner.card import JSON, Card
from lightner.prompts import Guidance
from lightner.registry import Registry, UnknownPrompt
from lightner.types import Sentence

_PACKAGES = ("lightner-ray", "torch", "transformers", "ray")


def make(
    domain: str,
    backbone: Backbone,
    final: Run,
    tensors: Mapping[str, Tensor],
    *,
    trials: Sequence[Trial],
    chosen: Trial,
    key: str,
    warnings: Sequence[str],
) -> PromptArtifact:
    """The artefact of a finished run. Its metrics are the chosen trial's on held-out sentences, not the final run's."""
    guidance = Guidance.from_tensors({name: tensor for name, tensor in tensors.items() if name != WEIGHTS})
    card = Card(
        domain=domain,
        labels=final.labels.names,
        label_words=final.labels.words,
        backbone_name=backbone.name,
        backbone_fingerprint=backbone.fingerprint,
        length=guidance.length,
        slots=guidance.slots,
        tuning={**final.plan.as_dict(), "scan": [asdict(trial) for trial in trials], "run": key},
        metrics={"held_out": {"precision": chosen.precision, "recall": chosen.recall, "f1": chosen.f1}},
        data=_data(final.train, warnings),
        versions={"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
    )
    return PromptArtifact.of(card, guidance, tensors[WEIGHTS])


def is_live(registry: Registry, domain: str, key: str) -> bool:
    """Whether the domain's live prompt came from the run named by `key`."""
    try:
        _, artifact = registry.fetch(domain)
    except UnknownPrompt:
        return False
    return artifact.card.tuning.get("run") == key


def _data(sentences: Sequence[Sentence], warnings: Sequence[str]) -> dict[str, JSON]:
    mentions = Counter(span.label for sentence in sentences for span in sentence.spans)
    return {
        "sha256": hashlib.sha256(repr(tuple(sentences)).encode()).hexdigest(),
        "sentences": len(sentences),
        "mentions": dict(sorted(mentions.items())),
        "warnings": list(warnings),
    }
