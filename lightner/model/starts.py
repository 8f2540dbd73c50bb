"""Where a new prompt starts: keys and values of the domain's label words through the frozen backbone.

One slot per label at each of the three sites: what the sentence would see if the label's words stood beside it. So
an untuned prompt already says what is being looked for. Legend: K labels, S sub-words, H heads, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lightner.model._attention import guided, recording
from lightner.model.backbone import Backbone
from lightner.model.prompts import NO_GUIDANCE, Guidance, Prompt, concatenate
from lightner.model.verbalizer import LabelPieces
from lightner.types import LabelSet


def label_guidance(backbone: Backbone, pieces: LabelPieces, vectors: Tensor) -> Guidance:
    """A guidance of K slots from label words; `vectors` [K, D] are the labels as the decoder reads them back.

    Each label passes through the model on its own, so that a label's slot does not depend on the other labels;
    keys and values are averaged over the label's own sub-words.
    """
    ids, inside = _wrapped(backbone, pieces)
    present = ids != backbone.model.config.pad_token_id
    with guided(NO_GUIDANCE), recording() as record:
        hidden = backbone.model.get_encoder()(input_ids=ids, attention_mask=present).last_hidden_state
        backbone.model.get_decoder()(
            inputs_embeds=vectors[:, None] * backbone.input_scale,
            encoder_hidden_states=hidden,
            encoder_attention_mask=present,
        )
    key: dict[str, Tensor] = {}
    value: dict[str, Tensor] = {}
    for site, layers in backbone.shape.site_layers.items():
        pairs = [record[site, layer] for layer in range(layers)]
        weights = torch.ones_like(inside[:, :1]) if site == "decoder" else inside
        key[site] = torch.stack([_pool(pair[0], weights) for pair in pairs])
        value[site] = torch.stack([_pool(pair[1], weights) for pair in pairs])
    return Guidance(key, value)


@torch.no_grad()
def start_guidance(backbone: Backbone, pieces: LabelPieces, vectors: Tensor, *, length: int) -> Guidance:
    """The start of a domain's prompt: its label slots, then `length` free slots.

    Free slots are the backbone's learned default ones as far as those reach. Further ones have random keys of the
    label slots' scale and values of zero.
    """
    labels = label_guidance(backbone, pieces, vectors)
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
def transferred_start(
    backbone: Backbone, pieces: LabelPieces, vectors: Tensor, *, labels: LabelSet, source: Prompt
) -> Guidance:
    """The start of a domain's prompt from another domain's (paper, section 4: the CoNLL03 source).

    A label that both have keeps the source's slot, other labels get the slot of their own words; free slots and
    feed-forward slots are the source's.
    """
    fresh = label_guidance(backbone, pieces, vectors)
    moved = source.guidance.to(backbone.device, backbone.embedding.dtype)
    known = {name: place for place, name in enumerate(source.labels.names)}
    start: dict[str, Tensor] = {}
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


def _wrapped(backbone: Backbone, pieces: LabelPieces) -> tuple[Tensor, Tensor]:
    """Label pieces with special tokens around them [K, S], and a weight for each [K, S] that sums to one."""
    config, tokenizer = backbone.model.config, backbone.tokenizer
    rows = [those[mask].tolist() for those, mask in zip(pieces.ids.cpu(), pieces.mask.cpu(), strict=True)]
    longest = max(len(row) for row in rows) + 2
    first = tokenizer.cls_token_id if tokenizer.cls_token_id is not None else tokenizer.bos_token_id
    last = config.eos_token_id
    padded = [[first, *row, last] + [config.pad_token_id] * (longest - len(row) - 2) for row in rows]
    weights = torch.zeros(len(rows), longest)
    for index, row in enumerate(rows):
        weights[index, 1 : len(row) + 1] = 1 / len(row)
    device = backbone.device
    return torch.tensor(padded, device=device), weights.to(device, backbone.embedding.dtype)


def _pool(states: Tensor, weights: Tensor) -> Tensor:
    """[K, H, S, D/H] and [K, S] -> [1, H, K, D/H]."""
    return torch.einsum("khsd,ks->hkd", states, weights)[None]
