"""The last work on a learned prompt: its draft tagger, and what it finds in the test sentences.

On a GPU of the cluster if the prompt learned on one: the driver may be on a node without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ray
from ray.exceptions import RayTaskError

from lightner.evaluation.scoring import predict
from lightner.jobs import publish, worker
from lightner.jobs.worker import Run
from lightner.model.backbone import Backbone
from lightner.store.artifact import PromptArtifact
from lightner.store.loading import prompt_for
from lightner.types import InputError, Sentence, Span


@dataclass(frozen=True)
class Finished:
    """The artefact with its draft tagger, and the spans that it finds in each test sentence."""

    artifact: PromptArtifact
    found: tuple[tuple[Span, ...], ...]


def finish(made: PromptArtifact, run: Run, test: Sequence[Sentence], base: Backbone) -> Finished:
    """Finish what the final run has learned. `base` is the driver's backbone.

    A sharded backbone may fit into no single GPU: then the driver works. Raises InputError if a node that counts GPUs
    has none, or another model under the backbone's name.
    """
    if not run.gpu or run.shard:
        return _finish(base, made, run, test)
    try:
        finished: Finished = ray.get(ray.remote(num_cpus=1, num_gpus=1)(_on_gpu).remote(made, run, test))
    except RayTaskError as error:
        if isinstance(error.cause, InputError):
            raise InputError(str(error.cause)) from error
        raise
    return finished


def _on_gpu(made: PromptArtifact, run: Run, test: Sequence[Sentence]) -> Finished:
    return _finish(worker.backbone_of(run), made, run, test)


def _finish(base: Backbone, made: PromptArtifact, run: Run, test: Sequence[Sentence]) -> Finished:
    (everything,) = (fold.train for fold in run.folds)
    artifact = publish.with_drafts(base, made, everything)
    found = predict(base, prompt_for(artifact, base), test) if test else []
    return Finished(artifact, tuple(map(tuple, found)))
