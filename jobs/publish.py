"""A finished run to a published prompt: the artefact with its card, and whether the registry has it already."""

from __future__ import annotations

import logging
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

from torch import Tensor

from jobs.scan import Trial
from jobs.worker import Run
from lightner.artifact import WEIGHTS, PromptArtifact
from lightner.backbone import Backbone
from lightner.card import JSON, Card, metrics_of
from lightner.prompts import Guidance
from lightner.registry import Registry, UnknownPrompt
from lightner.types import InputError

_PACKAGES = ("lightner-ray", "torch", "transformers", "ray")
_log = logging.getLogger(__name__)


def make(
    domain: str,
    backbone: Backbone,
    final: Run,
    tensors: Mapping[str, Tensor],
    *,
    trials: Sequence[Trial],
    chosen: Trial,
    key: str,
    source: Mapping[str, JSON],
) -> PromptArtifact:
    """The artefact of a finished run. Its metrics are the chosen trial's on held-out sentences, not the final run's.

    `source` joins what the card says of the data.
    """
    guidance = Guidance.from_tensors({name: tensor for name, tensor in tensors.items() if name != WEIGHTS})
    mentions = Counter(span.label for sentence in final.train for span in sentence.spans)
    card = Card(
        domain=domain,
        labels=final.labels.names,
        label_words=final.labels.words,
        backbone_name=backbone.name,
        backbone_fingerprint=backbone.fingerprint,
        length=guidance.length,
        slots=guidance.slots,
        tuning={**final.plan.as_dict(), "scan": [_row(trial) for trial in trials], "run": key},
        metrics={**metrics_of(chosen.scores), "measured_on": "held-out sentences, by the trial that won the scan"},
        data={**source, "sentences": len(final.train), "mentions": dict(sorted(mentions.items()))},
        versions={"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
    )
    return PromptArtifact.of(card, guidance, tensors[WEIGHTS])


def live_version(registry: Registry, domain: str, key: str) -> str | None:
    """The domain's live version if it came from the run named by `key`. A damaged one counts as none."""
    try:
        found, artifact = registry.fetch(domain)
    except UnknownPrompt:
        return None
    except InputError as error:
        _log.warning("the live prompt cannot be read and will be replaced: %s", error)
        return None
    return found if artifact.card.tuning.get("run") == key else None


def _row(trial: Trial) -> dict[str, JSON]:
    micro = trial.scores.micro
    return {
        "prompt_length": trial.prompt_length,
        "learning_rate": trial.learning_rate,
        "rounds": trial.epoch,
        "precision": micro.precision,
        "recall": micro.recall,
        "f1": micro.f1,
        "seconds": round(trial.seconds, 1),
        "finished": trial.finished,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"  # a cluster may run this package from the job's working directory
