"""A prompt as the backbone reads it: its precision, and backbones and tensors that do not fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lightner.model.backbone import Backbone, prepare
from lightner.model.verbalizer import average, label_pieces
from lightner.store.artifact import VECTORS, WEIGHTS, PromptArtifact
from lightner.store.loading import prompt_for
from lightner.types import InputError
from tests.support.tiny import tiny_artifact, tiny_backbone

BACKBONE = tiny_backbone()
ARTIFACT = tiny_artifact(BACKBONE)


def test_a_prompt_has_the_learned_values_in_the_precision_of_the_backbone() -> None:
    prompt = prompt_for(ARTIFACT, BACKBONE)
    assert prompt.labels == ARTIFACT.card.label_set
    for name, tensor in prompt.guidance.tensors().items():
        assert torch.equal(tensor, torch.from_numpy(ARTIFACT.tensors[name]).float())
    assert torch.equal(prompt.label_vectors, torch.from_numpy(ARTIFACT.tensors[VECTORS]))
    assert prompt.label_vectors.shape == (2, 16)


def test_a_prompt_follows_a_backbone_of_lower_precision() -> None:
    original = tiny_backbone()
    half = prepare(original.name, original.model, original.tokenizer, dtype=torch.bfloat16)
    prompt = prompt_for(ARTIFACT, half)
    assert prompt.label_vectors.dtype == torch.bfloat16
    assert {tensor.dtype for tensor in prompt.guidance.tensors().values()} == {torch.bfloat16}


@pytest.mark.parametrize("foreign", [tiny_backbone(seed=1), tiny_backbone(family="mbart")], ids=["weights", "family"])
def test_a_foreign_backbone_is_refused_naming_both(foreign: Backbone) -> None:
    with pytest.raises(InputError) as caught:
        prompt_for(ARTIFACT, foreign)
    for part in ("movies", foreign.name, foreign.fingerprint, BACKBONE.name, BACKBONE.fingerprint):
        assert part in str(caught.value)


def test_the_same_backbone_under_another_name_is_accepted() -> None:
    elsewhere = replace(BACKBONE, name="/models/tiny")
    assert prompt_for(ARTIFACT, elsewhere).labels == ARTIFACT.card.label_set


@pytest.mark.parametrize(
    ("name", "shape"),
    [("key.encoder", (3, 1, 2, 3, 8)), ("value.cross", (2, 1, 4, 3, 4)), ("slot_key.decoder", (2, 1, 2, 8))],
)
def test_tensors_that_do_not_fit_the_backbone_are_refused(name: str, shape: tuple[int, ...]) -> None:
    forged = PromptArtifact(ARTIFACT.card, {**ARTIFACT.tensors, name: np.zeros(shape, np.float16)})
    with pytest.raises(InputError, match=rf"prompt 'movies': {name}: found shape \({shape[0]}, .*, expected \(2, 1, "):
        prompt_for(forged, BACKBONE)


def first_format(weights: torch.Tensor) -> PromptArtifact:
    """A prompt as it was stored before label vectors were."""
    kept = {name: tensor for name, tensor in ARTIFACT.tensors.items() if not name.startswith("verbalizer.")}
    return PromptArtifact(replace(ARTIFACT.card, format_version=1), {**kept, WEIGHTS: weights.numpy()})


def test_label_vectors_of_the_first_format_are_averages_of_embeddings() -> None:
    pieces = label_pieces(BACKBONE.tokenizer, ARTIFACT.card.label_set)
    weights = torch.randn(pieces.ids.shape)
    expected = average(weights, pieces.mask, BACKBONE.embedding[pieces.ids])
    assert torch.equal(prompt_for(first_format(weights), BACKBONE).label_vectors, expected)


def test_weights_of_the_first_format_that_do_not_fit_the_label_words_are_refused() -> None:
    with pytest.raises(InputError, match=r"verbalizer.weights: found shape \(2, 5\), expected \(2, "):
        prompt_for(first_format(torch.zeros(2, 5)), BACKBONE)
