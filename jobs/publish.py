"""A finished run to a published prompt: the artefact with its card, and what the registry has already."""

from __future__ import annotations

import logging
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from torch import Tensor

from jobs import gate
from jobs.gate import Verdict
from jobs.scan import Trial
from jobs.worker import Run
from lightner import bootstrap
from lightner.artifact import WEIGHTS, PromptArtifact
from lightner.backbone import Backbone
from lightner.bootstrap import f1_interval
from lightner.card import JSON, Card, metrics_of
from lightner.prompts import Guidance
from lightner.registry import Registry, UnknownPrompt
from lightner.selection import Fold, held_in, measured_on
from lightner.types import InputError, Scores

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
    folds: Sequence[Fold],
    verdict: Verdict,
    key: str,
    source: Mapping[str, JSON],
) -> PromptArtifact:
    """The artefact of a finished run. Its metrics are the chosen trial's on the held parts of `folds`.

    `source` joins what the card says of the data.
    """
    guidance = Guidance.from_tensors({name: tensor for name, tensor in tensors.items() if name != WEIGHTS})
    (everything,) = (fold.train for fold in final.folds)
    mentions = Counter(span.label for sentence in everything for span in sentence.spans)
    tuning = {**final.plan.as_dict(), "stopped_after_round": final.last, "folds": len(folds)}
    card = Card(
        domain=domain,
        labels=final.labels.names,
        label_words=final.labels.words,
        backbone_name=backbone.name,
        backbone_fingerprint=backbone.fingerprint,
        length=guidance.length,
        slots=guidance.slots,
        tuning={**tuning, "scan": [_row(trial) for trial in trials], "gate": verdict.comparison, "run": key},
        metrics=measured(chosen, folds, seed=final.plan.seed),
        data={
            **source,
            "sentences": len(everything),
            "mentions": dict(sorted(mentions.items())),
            **gate.traces(everything, held_in(folds)),
        },
        versions={"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
    )
    return PromptArtifact.of(card, guidance, tensors[WEIGHTS])


def measured(chosen: Trial, folds: Sequence[Fold], *, seed: int) -> dict[str, JSON]:
    """What a card says of the chosen trial's scores: per type and overall, how sure, and on what."""
    interval = f1_interval(chosen.chosen.sentences, seed=seed)
    return {
        **metrics_of(chosen.chosen.scores or Scores()),
        "f1_interval": {
            "low": interval.low,
            "high": interval.high,
            "level": bootstrap.LEVEL,
            "resamples": bootstrap.RESAMPLES,
        },
        "measured_on": measured_on(folds),
    }


@dataclass(frozen=True, slots=True)
class Standing:
    """A published version that an alias names."""

    version: str
    artifact: PromptArtifact

    def came_from(self, key: str) -> bool:
        """Whether it is the result of the run named by `key`."""
        return self.artifact.card.tuning.get("run") == key


def standing(registry: Registry, domain: str, alias: str) -> Standing | None:
    """The version of the domain that `alias` names. A damaged one counts as none."""
    try:
        return Standing(*registry.fetch(domain, alias))
    except UnknownPrompt:
        return None
    except InputError as error:
        _log.warning("the %s prompt cannot be read and counts as none: %s", alias, error)
        return None


def _row(trial: Trial) -> dict[str, JSON]:
    micro = (trial.chosen.scores or Scores()).micro
    return {
        "prompt_length": trial.prompt_length,
        "learning_rate": trial.learning_rate,
        "rounds": len(trial.history),
        "best_round": trial.rounds,
        "f1_by_round": trial.curve,
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
