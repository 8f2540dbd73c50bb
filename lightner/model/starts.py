"""Where a new prompt starts: one slot per label from its words (`label_states`), then free slots; or another prompt.

Legend: K labels, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lightner.model.backbone import Backbone
from lightner.model.label_states import LabelStates, label_states
from lightner.model.prompts import Guidance, Prompt, concatenate
from lightner.model.verbalizer import label_pieces
from lightner.types import LabelSet


@torch.no_grad()
def read_labels(backbone: Backbone, labels: LabelSet) -> LabelStates:
    """What the frozen backbone makes of the label words of a label set."""
    return label_states(backbone, label_pieces(backbone.tokenizer, labels).to(backbone.device))


def untuned_prompt(backbone: Backbone, labels: LabelSet) -> Prompt:
    """The prompt of a label set before anything is learned: its label slots and vectors, no free slots."""
    states = read_labels(backbone, labels)
    return Prompt(labels, states.slots, states.vectors)


@torch.no_grad()
def start_guidance(backbone: Backbone, states: LabelStates, *, length: int) -> Guidance:
    """The start of a domain's prompt: its label slots, then `length` free slots.

    Free slots are the backbone's learned default ones as far as those reach. Further ones have random keys of the
    label slots' scale and values of zero.
    """
    labels = states.slots
    free = backbone.default.map(lambda tensor: tensor[..., :length, :])
    missing = length - free.length
    if missing:
        fresh = {}
        for name, tensor in labels.tensors().items():
            size = (*tensor.shape[:3], missing, tensor.shape[-1])
            scale = tensor.std() if name.startswith("key") else torch.zeros((), device=tensor.device)
            fresh[name] = torch.randn(size, device=tensor.device, dtype=tensor.dtype) * scale
        free = concatenate(free, Guidance.from_tensors(fresh))
    return concatenate(labels, free)


@torch.no_grad()
def transferred_start(backbone: Backbone, states: LabelStates, *, labels: LabelSet, source: Prompt) -> Guidance:
    """The start of a domain's prompt from another domain's (paper, section 4: the CoNLL03 source).

    A label that both have keeps the source's slot, other labels get the slot of their own words; free slots and
    feed-forward slots are the source's.
    """
    fresh = states.slots
    moved = source.guidance.to(backbone.device, backbone.embedding.dtype)
    known = {name: place for place, name in enumerate(source.labels.names)}
    start = {}
    for name, tensor in moved.tensors().items():
        if name not in fresh.tensors():
            start[name] = tensor
            continue
        own = fresh.tensors()[name]
        slots = [
            tensor[..., known[label], :] if label in known else own[..., place, :]
            for place, label in enumerate(labels.names)
        ]
        start[name] = torch.cat([torch.stack(slots, dim=-2), tensor[..., len(known) :, :]], dim=-2)
    return Guidance.from_tensors(start)


@torch.no_grad()
def transferred_residual(states: LabelStates, *, labels: LabelSet, source: Prompt) -> Tensor:
    """Where label residuals [K, D] start: one that the source has begins at the source's vector."""
    residual = torch.zeros_like(states.vectors)
    known = {name: place for place, name in enumerate(source.labels.names)}
    for place, name in enumerate(labels.names):
        if name in known:
            residual[place] = source.label_vectors[known[name]].to(residual) - states.vectors[place]
    return residual
