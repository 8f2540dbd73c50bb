"""A prompt of label words alone as an artefact: published, listed and rolled back like one that was tuned."""

from __future__ import annotations

import platform
from importlib.metadata import version

import torch

import lightner
from lightner.model.backbone import Backbone
from lightner.model.prompts import Prompt
from lightner.model.untuned import label_prompt
from lightner.model.verbalizer import label_pieces
from lightner.store.artifact import RESIDUAL, VECTORS, WEIGHTS, PromptArtifact
from lightner.store.card import UNTUNED, Card
from lightner.store.lineage import Measured, traces
from lightner.store.loading import artifact_of
from lightner.types import DISTRIBUTION, LabelSet

_PACKAGES = ("torch", "transformers")


def untuned_artifact(domain: str, labels: LabelSet, backbone: Backbone) -> PromptArtifact:
    """The artefact of a domain that begins with its labels.

    Raises:
        InputError: the domain cannot have this name, or the backbone cannot tell two labels apart, or read one.
    """
    return artifact_from(domain, label_prompt(backbone, labels), backbone)


def artifact_from(domain: str, prompt: Prompt, backbone: Backbone) -> PromptArtifact:
    """The artefact of a prompt that `label_prompt` has made; loaded, it is this prompt to the last bit."""
    labels, vectors = prompt.labels, prompt.label_vectors
    card = Card(
        domain=domain,
        labels=labels.names,
        label_words=labels.words,
        backbone_name=backbone.name,
        backbone_fingerprint=backbone.fingerprint,
        length=prompt.guidance.length,
        slots=prompt.guidance.slots,
        reach=prompt.reach,
        tuning=UNTUNED,
        data={"sentences": 0, **traces((), Measured((), ()))},
        versions={
            "python": platform.python_version(),
            DISTRIBUTION: lightner.__version__,
            **{name: version(name) for name in _PACKAGES},
        },
    )
    weights = torch.zeros(label_pieces(backbone.tokenizer, labels).ids.shape)
    answer_space = {WEIGHTS: weights, RESIDUAL: torch.zeros_like(vectors), VECTORS: vectors}
    return artifact_of(card, {**prompt.guidance.tensors(), **answer_space})
