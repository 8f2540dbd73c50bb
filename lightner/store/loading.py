"""A stored prompt made ready for a backbone: the one place where an artefact meets a model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from lightner.model import backbone as backbones
from lightner.model import verbalizer
from lightner.model.backbone import Backbone
from lightner.model.prompts import Guidance, Prompt, PromptShape
from lightner.store import artifact as artifacts
from lightner.store.artifact import DRAFT_TAGGER, GUIDANCE, RESIDUAL, VECTORS, WEIGHTS, Array, PromptArtifact
from lightner.store.card import Card
from lightner.tagger import Tagger
from lightner.types import EMBEDDED, InputError


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
    found = artifacts.load(folder)
    return tagger_of(loaded, prompt_for(found, loaded), found)


def tagger_of(backbone: Backbone, prompt: Prompt, artifact: PromptArtifact) -> Tagger:
    """A tagger that can write the artefact again which its prompt is from."""
    return Tagger(backbone, prompt, partial(artifacts.to_files, artifact))


def artifact_of(card: Card, tensors: Mapping[str, Tensor]) -> PromptArtifact:
    """The artefact of what was learned, by flat name: rounded copies on the CPU."""
    wide = (WEIGHTS, RESIDUAL, VECTORS)
    packed = {n: _packed(t, torch.float32 if n in wide else torch.float16) for n, t in tensors.items()}
    return PromptArtifact(card, packed)


def with_draft_tagger(artifact: PromptArtifact, tagger: Tensor) -> PromptArtifact:
    """The artefact with a draft tagger [1 + 2 K, D + 1]."""
    return PromptArtifact(artifact.card, {**artifact.tensors, DRAFT_TAGGER: _packed(tagger, torch.float16)})


def guidance_of(artifact: PromptArtifact) -> Guidance:
    """The stored guidance, fp16, on the CPU."""
    stored = {name: torch.from_numpy(array) for name, array in artifact.tensors.items()}
    return Guidance.from_tensors({name: tensor for name, tensor in stored.items() if name.startswith(GUIDANCE)})


def prompt_for(artifact: PromptArtifact, backbone: Backbone) -> Prompt:
    """The prompt on the backbone's device and in its precision, with its label vectors [K, D].

    Raises:
        InputError: it was tuned on another backbone; the message names both.
    """
    card = artifact.card
    if card.backbone_fingerprint != backbone.fingerprint:
        raise InputError(
            f"prompt {card.domain!r}: found backbone {backbone.name!r} (fingerprint {backbone.fingerprint}), expected "
            f"{card.backbone_label!r} (fingerprint {card.backbone_fingerprint}), on which the prompt was tuned"
            f"{_way_out(card)}"
        )
    _check_fit(artifact, backbone.shape)
    device, dtype = backbone.device, backbone.embedding.dtype
    tagger = artifact.tensors.get(DRAFT_TAGGER)
    moved_tagger = None if tagger is None else torch.from_numpy(tagger).to(device, dtype)
    vectors = _label_vectors(artifact, backbone).to(device, dtype)
    guidance = guidance_of(artifact).to(device, dtype)
    calibration = backbone.calibration if card.untuned else card.calibration
    return Prompt(card.label_set, guidance, vectors, moved_tagger, card.reach, calibration, card.nested)


def _way_out(card: Card) -> str:
    """What to do where the embedded backbone is another one since the prompt was tuned."""
    if card.backbone_name != EMBEDDED:
        return ""
    return ": tune the domain again, or give the checkpoint of that version as the backbone (docs/upgrading.md)"


def _label_vectors(artifact: PromptArtifact, backbone: Backbone) -> Tensor:
    """The stored vectors [K, D]; of a prompt of format version 1 the average of its label words' embeddings."""
    if VECTORS in artifact.tensors:
        return torch.from_numpy(artifact.tensors[VECTORS])
    pieces = verbalizer.label_pieces(backbone.tokenizer, artifact.card.label_set)
    weights = torch.from_numpy(artifact.tensors[WEIGHTS])
    if weights.shape != pieces.ids.shape:
        found, expected = tuple(weights.shape), tuple(pieces.ids.shape)
        raise InputError(f"prompt {artifact.card.domain!r}: {WEIGHTS}: found shape {found}, expected {expected}")
    pieces, device = pieces.to(backbone.device), backbone.device
    return verbalizer.average(weights.to(device), pieces.mask, backbone.embedding[pieces.ids])


def _packed(tensor: Tensor, dtype: torch.dtype) -> Array:
    # A copy: views into one tensor would keep all of it alive.
    packed: Array = tensor.detach().to("cpu", dtype, copy=True).contiguous().numpy()
    return packed


def _check_fit(artifact: PromptArtifact, shape: PromptShape) -> None:
    """The sizes that only the backbone knows."""
    card = artifact.card
    for name, tensor in artifact.tensors.items():
        kind, _, at = name.partition(".")
        if name == WEIGHTS:
            continue
        if kind == "verbalizer":
            expected: tuple[int, ...] = (len(card.labels), shape.width)
        elif name == DRAFT_TAGGER:
            expected = (1 + 2 * len(card.labels), shape.width + 1)
        elif kind.startswith("slot_"):
            expected = (shape.stack_layers[at], 1, card.slots, shape.width)
        else:
            expected = (shape.site_layers[at], 1, shape.heads[at], card.length, shape.head_size(at))
        if tuple(tensor.shape) != expected:
            found = tuple(tensor.shape)
            raise InputError(f"prompt {card.domain!r}: {name}: found shape {found}, expected {expected}")
