"""A stored prompt made ready for a backbone: the one place where an artefact meets a model."""

from __future__ import annotations

import os

import torch
from torch import Tensor

from lightner.model import backbone as backbones
from lightner.model import verbalizer
from lightner.model.backbone import Backbone
from lightner.model.prompts import Guidance, Prompt, PromptShape
from lightner.store import artifact as artifacts
from lightner.store.artifact import DRAFT_TAGGER, WEIGHTS, Array, PromptArtifact
from lightner.store.card import Card
from lightner.tagger import Tagger
from lightner.types import InputError


def load(
    folder: str | os.PathLike[str],
    *,
    backbone: str | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Tagger:
    """A tagger from the prompt in `folder` on `backbone` (hub name, folder, or the embedded one).

    `folder` is a published version's folder; the model computes on `device` in the precision `dtype`.

    Raises:
        InputError: the prompt is damaged, or was tuned on another backbone.
    """
    loaded = backbones.load(backbone, device=device, dtype=dtype)
    return Tagger(loaded, prompt_for(artifacts.load(folder), loaded))


def artifact_of(card: Card, guidance: Guidance, weights: Tensor) -> PromptArtifact:
    """The artefact of a learned guidance (B = 1) and verbalizer weights [K, J]: rounded copies on the CPU."""
    rounded = {name: _packed(tensor, torch.float16) for name, tensor in guidance.tensors().items()}
    return PromptArtifact(card, {**rounded, WEIGHTS: _packed(weights, torch.float32)})


def with_draft_tagger(artifact: PromptArtifact, tagger: Tensor) -> PromptArtifact:
    """The artefact with a draft tagger [1 + 2 K, D + 1]."""
    return PromptArtifact(artifact.card, {**artifact.tensors, DRAFT_TAGGER: _packed(tagger, torch.float16)})


def guidance_of(artifact: PromptArtifact) -> Guidance:
    """The stored guidance, fp16, on the CPU."""
    stored = {name: torch.from_numpy(array) for name, array in artifact.tensors.items()}
    return Guidance.from_tensors({name: stored[name] for name in stored if name not in (WEIGHTS, DRAFT_TAGGER)})


def prompt_for(artifact: PromptArtifact, backbone: Backbone) -> Prompt:
    """The prompt on the backbone's device and in its precision, with its label vectors [K, D].

    Raises:
        InputError: it was tuned on another backbone; the message names both.
    """
    card = artifact.card
    if card.backbone_fingerprint != backbone.fingerprint:
        raise InputError(
            f"prompt {card.domain!r}: found backbone {backbone.name!r} (fingerprint {backbone.fingerprint}), expected "
            f"{card.backbone_name!r} (fingerprint {card.backbone_fingerprint}), on which the prompt was tuned"
        )
    pieces = verbalizer.label_pieces(backbone.tokenizer, card.label_set)
    _check_fit(artifact, backbone.shape, tuple(pieces.ids.shape))
    device = backbone.device
    moved = verbalizer.LabelPieces(pieces.ids.to(device), pieces.mask.to(device))
    vectors = verbalizer.average(torch.from_numpy(artifact.tensors[WEIGHTS]).to(device), moved, backbone.embedding)
    dtype = backbone.embedding.dtype
    tagger = artifact.tensors.get(DRAFT_TAGGER)
    moved_tagger = None if tagger is None else torch.from_numpy(tagger).to(device, dtype)
    return Prompt(card.label_set, guidance_of(artifact).to(device, dtype), vectors, moved_tagger)


def _packed(tensor: Tensor, dtype: torch.dtype) -> Array:
    # A copy: views into one tensor would keep all of it alive.
    packed: Array = tensor.detach().to("cpu", dtype, copy=True).contiguous().numpy()
    return packed


def _check_fit(artifact: PromptArtifact, shape: PromptShape, pieces: tuple[int, ...]) -> None:
    for name, tensor in artifact.tensors.items():
        kind, _, at = name.partition(".")
        if name == WEIGHTS:
            expected = pieces
        elif name == DRAFT_TAGGER:
            expected = (1 + 2 * len(artifact.card.labels), shape.width + 1)
        elif kind.startswith("slot_"):
            expected = (shape.stack_layers[at], 1, artifact.card.slots, shape.width)
        else:
            expected = (shape.site_layers[at], 1, shape.heads[at], artifact.card.length, shape.head_size(at))
        if tuple(tensor.shape) != expected:
            found = tuple(tensor.shape)
            raise InputError(f"prompt {artifact.card.domain!r}: {name}: found shape {found}, expected {expected}")
