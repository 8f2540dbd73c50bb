"""A finished run to a published prompt: the artefact with its card, and what the registry has already."""

from __future__ import annotations

import logging
import platform
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from torch import Tensor

from jobs import gate
from jobs.gate import Measured, Verdict
from jobs.scan import Scan, Trial
from jobs.worker import Cost, Run
from lightner import bootstrap
from lightner.artifact import WEIGHTS, PromptArtifact
from lightner.backbone import Backbone
from lightner.bootstrap import f1_interval
from lightner.card import JSON, Card, metrics_of
from lightner.prompts import Guidance
from lightner.registry import Registry, UnknownPrompt
from lightner.selection import Fold, held_in, measured_on
from lightner.tagger import with_drafts
from lightner.types import InputError, Scores

_PACKAGES = ("lightner-ray", "torch", "transformers", "ray")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a job has found: the scan and its pictures, F1 of the chosen trial with other seeds; the final run, its cost
    and tensors."""

    scan: Scan
    pictures: Mapping[str, bytes]
    chosen: Trial
    folds: tuple[Fold, ...]
    repeats: tuple[float, ...]
    final: Run
    cost: Cost
    tensors: Mapping[str, Tensor]

    @property
    def measured(self) -> Measured:
        """The chosen trial's counts on the sentences that it held out."""
        return Measured(held_in(self.folds), self.chosen.chosen.sentences)


def make(
    domain: str,
    backbone: Backbone,
    outcome: Outcome,
    *,
    verdict: Verdict,
    key: str,
    source: Mapping[str, JSON],
) -> PromptArtifact:
    """The artefact of a finished job. Its metrics are the chosen trial's on held sentences, not the final run's.

    `source` joins what the card says of the data.
    """
    final, tensors = outcome.final, outcome.tensors
    guidance = Guidance.from_tensors({name: tensor for name, tensor in tensors.items() if name != WEIGHTS})
    (everything,) = (fold.train for fold in final.folds)
    mentions = Counter(span.label for sentence in everything for span in sentence.spans)
    tuning = {**final.plan.as_dict(), "stopped_after_round": final.last, "folds": len(outcome.folds)}
    tuning["scan_cut_short"] = outcome.scan.cut_short
    if outcome.scan.errors:
        tuning["failed_trials"] = dict(outcome.scan.errors)
    tuning |= _cost(outcome.cost)
    if any(trial.started_from for trial in outcome.scan.trials):
        tuning["started_from"] = final.started_from
    scan = [_row(trial) for trial in outcome.scan.trials]
    card = Card(
        domain=domain,
        labels=final.labels.names,
        label_words=final.labels.words,
        backbone_name=backbone.name,
        backbone_fingerprint=backbone.fingerprint,
        length=guidance.length,
        slots=guidance.slots,
        tuning={**tuning, "scan": scan, "gate": verdict.comparison, "run": key},
        metrics=_metrics(outcome),
        data={
            **source,
            "sentences": len(everything),
            "mentions": dict(sorted(mentions.items())),
            **gate.traces(everything, outcome.measured),
        },
        versions={"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
    )
    return with_drafts(backbone, PromptArtifact.of(card, guidance, tensors[WEIGHTS]), everything)


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


def _metrics(outcome: Outcome) -> dict[str, JSON]:
    """Scores of the chosen trial per type and overall, how sure they are, and on what they were measured."""
    chosen = outcome.chosen.chosen
    interval = f1_interval(chosen.sentences, seed=outcome.final.plan.seed)
    found: dict[str, JSON] = {
        **metrics_of(chosen.scores or Scores()),
        "f1_interval": {
            "low": interval.low,
            "high": interval.high,
            "level": bootstrap.LEVEL,
            "resamples": bootstrap.RESAMPLES,
        },
        "measured_on": measured_on(outcome.folds),
    }
    if again := outcome.repeats:
        found["other_seeds"] = {
            "f1": again,
            "f1_mean": statistics.mean(again),
            "f1_stdev": statistics.stdev(again),
        }
    return found


def _row(trial: Trial) -> dict[str, JSON]:
    start: dict[str, JSON] = {"started_from": trial.started_from} if trial.started_from else {}
    micro = (trial.chosen.scores or Scores()).micro
    return {
        "prompt_length": trial.prompt_length,
        "learning_rate": trial.learning_rate,
        **start,
        "rounds": len(trial.history),
        "best_round": trial.rounds,
        "f1_by_round": trial.curve,
        "precision": micro.precision,
        "recall": micro.recall,
        "f1": micro.f1,
        "seconds": round(trial.seconds, 1),
        **_cost(trial.cost),
        "finished": trial.finished,
        "cut_short": trial.cut_short,
        **({"failed": True} if trial.failed else {}),
    }


def _cost(cost: Cost) -> dict[str, JSON]:
    return {"learning_seconds": round(cost.clock_s, 1), "learning_cpu_seconds": round(cost.cpu_s, 1)}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"  # a cluster may run this package from the job's working directory
