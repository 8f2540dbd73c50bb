"""From a finished run to a published prompt: the artefact with its card, and versions already in the registry."""

from __future__ import annotations

import logging
import platform
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

from torch import Tensor

import lightner
from lightner.evaluation import intervals
from lightner.evaluation.intervals import f1_interval
from lightner.jobs.gate import Verdict
from lightner.jobs.learn import Outcome
from lightner.jobs.scan import Trial
from lightner.jobs.worker import Cost
from lightner.model.backbone import Backbone
from lightner.store.artifact import PromptArtifact
from lightner.store.calibration import KEY as CALIBRATION
from lightner.store.calibration import calibration_json
from lightner.store.card import JSON, Card, metrics_of
from lightner.store.lineage import traces
from lightner.store.loading import artifact_of, prompt_for, with_draft_tagger
from lightner.store.registry import Registry, UnknownPrompt
from lightner.tuning.cross_validation import measured_on
from lightner.tuning.draft_learning import draft_tagger
from lightner.tuning.training import learned_reach
from lightner.types import DISTRIBUTION, InputError, LabelSet, Scores, Sentence, is_nested
from lightner.words import as_read

BUDGET = "budget_minutes"
_PACKAGES = ("torch", "transformers", "ray")
_log = logging.getLogger(__name__)


def make(
    domain: str, backbone: Backbone, outcome: Outcome, *, key: str, budget: float | None, source: Mapping[str, JSON]
) -> PromptArtifact:
    """The artefact of a finished job, before the gate. Its metrics are the chosen trial's on held-out sentences, not
    the final run's.

    `budget` is the scan's, in minutes; `source` becomes part of the card's description of the data.
    """
    final = outcome.final
    (everything,) = (fold.train for fold in final.folds)
    mentions = Counter(span.label for sentence in everything for span in sentence.spans)
    return bare(
        domain,
        backbone,
        final.labels,
        outcome.tensors,
        sentences=everything,
        tuning={**_tuning(outcome, budget), "scan": [_row(trial) for trial in outcome.scan.trials], "run": key},
        metrics=_metrics(outcome),
        data={
            **source,
            "sentences": len(everything),
            "mentions": dict(sorted(mentions.items())),
            **traces(everything, outcome.measured, outcome.source),
        },
        versions={
            "python": platform.python_version(),
            DISTRIBUTION: lightner.__version__,
            **{name: version(name) for name in _PACKAGES},
        },
    )


def bare(
    domain: str,
    backbone: Backbone,
    labels: LabelSet,
    tensors: Mapping[str, Tensor],
    *,
    sentences: Sequence[Sentence],
    **told: Any,
) -> PromptArtifact:
    """The artefact of tensors learned from `sentences`, without drafts; `told` has further fields of its card."""
    read = [as_read(sentence) for sentence in sentences]
    lengths = {name: tensors[name].shape[-2] for name in ("key.encoder", "slot_key.encoder") if name in tensors}
    card = Card(
        domain=domain,
        labels=labels.names,
        label_words=labels.words,
        backbone_name=backbone.name,
        backbone_fingerprint=backbone.fingerprint,
        length=lengths.get("key.encoder", 0),
        slots=lengths.get("slot_key.encoder", 0),
        reach=learned_reach(read),
        nested=any(is_nested(sentence.spans) for sentence in read),
        **told,
    )
    return artifact_of(card, tensors)


def with_drafts(backbone: Backbone, artifact: PromptArtifact, sentences: Sequence[Sentence]) -> PromptArtifact:
    """The artefact with a draft tagger, learned from its training sentences with the prompt as stored.

    One of nested entities has none: drafts are of flat ones.
    """
    if artifact.card.nested:
        return artifact
    return with_draft_tagger(artifact, draft_tagger(backbone, prompt_for(artifact, backbone), sentences))


def judged(made: PromptArtifact, verdict: Verdict) -> PromptArtifact:
    """The artefact with the gate's comparison on its card."""
    return replace(made, card=replace(made.card, tuning={**made.card.tuning, "gate": verdict.comparison}))


@dataclass(frozen=True, slots=True)
class Standing:
    """A published version that an alias names."""

    version: str
    artifact: PromptArtifact

    def came_from(self, key: str, *, budget: float | None) -> bool:
        """Whether this is the result of the run `key`, except of a scan cut short that `budget` minutes (None: no
        limit) could extend."""
        tuning = self.artifact.card.tuning
        had = tuning.get(BUDGET)
        further = budget is None or not isinstance(had, float) or had < budget
        return tuning.get("run") == key and not (tuning.get("scan_cut_short") and further)


def standing(registry: Registry, domain: str, alias: str) -> Standing | None:
    """The domain's version that `alias` names. Raises InputError if it is damaged."""
    try:
        return Standing(*registry.fetch(domain, alias))
    except UnknownPrompt:
        return None


def readable(registry: Registry, domain: str, alias: str) -> Standing | None:
    """The same as `standing`, but None for a damaged version."""
    try:
        return standing(registry, domain, alias)
    except InputError as error:
        _log.warning("the %s prompt cannot be read and counts as none: %s", alias, error)
        return None


def earlier_cards(registry: Registry, domain: str) -> dict[str, Card]:
    """Cards of earlier live versions, by version, as far as they exist and can be read."""
    found = {}
    for each in dict.fromkeys(registry.history(domain)):
        try:
            found[each] = registry.card(domain, each)
        except InputError as error:
            _log.info("version %s of %s is not compared with: %s", each, domain, error)
    return found


def _tuning(outcome: Outcome, budget: float | None) -> dict[str, JSON]:
    """Settings of the final run, what the scan that chose them left out, and the cost of both."""
    final, scan = outcome.final, outcome.scan
    found: dict[str, JSON] = {**final.plan.as_dict(), "stopped_after_round": final.last, "folds": len(outcome.folds)}
    found["scan_cut_short"] = scan.cut_short
    if budget is not None:
        found[BUDGET] = budget
    if scan.errors:
        found["failed_trials"] = dict(scan.errors)
    if any(trial.started_from for trial in scan.trials):
        found["started_from"] = final.started_from
    if tried := outcome.self_trained:
        found["self_training"] = {
            "unlabelled_sentences": tried.sentences,
            "f1_without": tried.f1_without,
            "f1_with": tried.trial.f1,
            "learned": tried.helps,
        }
    return {**found, **_cost(outcome.cost)}


def _metrics(outcome: Outcome) -> dict[str, JSON]:
    """Scores of the chosen trial per type and overall, their intervals, and the sentences they were measured on."""
    chosen = outcome.chosen.chosen
    interval = f1_interval([scores.micro for scores in chosen.sentences], seed=outcome.final.plan.seed)
    found: dict[str, JSON] = {
        **metrics_of(chosen.scores or Scores()),
        "f1_interval": {
            "low": interval.low,
            "high": interval.high,
            "level": intervals.LEVEL,
            "resamples": intervals.RESAMPLES,
        },
        "measured_on": measured_on(outcome.folds),
    }
    if outcome.calibrated is not None:
        found[CALIBRATION] = calibration_json(outcome.calibrated)
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
