"""What the backbone makes of label words: a vector for each piece, and keys and values of one slot per label.

All of it comes from one pass over the label words, read in context. A piece's vector is half its encoder state, half
its embedding: the form in which words of a sentence are scored (docs/method.md). So an untuned prompt already says what
is being looked for. Legend: K labels, J label-word pieces, S sub-words with special tokens, H heads, D width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lightner.model._attention import guided, recording
from lightner.model.backbone import Backbone
from lightner.model.prompts import NO_GUIDANCE, Guidance
from lightner.model.verbalizer import LabelPieces, average


@dataclass(frozen=True)
class LabelStates:
    """Shape: pieces [K, J, D], mask [K, J] (True where a piece is real); `slots`: a guidance of K slots."""

    pieces: Tensor
    mask: Tensor
    slots: Guidance

    @property
    def vectors(self) -> Tensor:
        """Label vectors [K, D] before anything is learned: the plain average of a label's pieces."""
        return average(self.pieces.new_zeros(self.mask.shape), self.mask, self.pieces)


def label_states(backbone: Backbone, pieces: LabelPieces) -> LabelStates:
    """Read the label words, each label on its own, so that no label depends on the others.

    Keys and values are averaged over the label's own pieces; those of the decoder are of the label's vector, which is
    what the decoder reads back when it has written the label.
    """
    ids, width = _wrapped(backbone, pieces), pieces.ids.shape[1]
    present = ids != backbone.model.config.pad_token_id
    with guided(NO_GUIDANCE), recording() as record:
        hidden = backbone.model.get_encoder()(input_ids=ids, attention_mask=present).last_hidden_state
        states = (hidden[:, 1 : width + 1] + backbone.embedding[pieces.ids]) / 2
        vectors = average(states.new_zeros(pieces.mask.shape), pieces.mask, states)
        backbone.model.get_decoder()(
            inputs_embeds=vectors[:, None] * backbone.input_scale,
            encoder_hidden_states=hidden,
            encoder_attention_mask=present,
        )
    share = pieces.mask.to(states.dtype) / pieces.mask.sum(dim=1, keepdim=True)
    inside = torch.zeros(ids.shape, device=ids.device, dtype=share.dtype)
    inside[:, 1 : width + 1] = share
    key: dict[str, Tensor] = {}
    value: dict[str, Tensor] = {}
    for site, layers in backbone.shape.site_layers.items():
        pairs = [record[site, layer] for layer in range(layers)]
        weights = torch.ones_like(inside[:, :1]) if site == "decoder" else inside
        key[site] = torch.stack([_pool(pair[0], weights) for pair in pairs])
        value[site] = torch.stack([_pool(pair[1], weights) for pair in pairs])
    return LabelStates(states, pieces.mask, Guidance(key, value))


def _wrapped(backbone: Backbone, pieces: LabelPieces) -> Tensor:
    """Label pieces with special tokens around them [K, S], padded; the pieces begin at place 1."""
    config, tokenizer = backbone.model.config, backbone.tokenizer
    first = tokenizer.cls_token_id if tokenizer.cls_token_id is not None else tokenizer.bos_token_id
    labels, longest = pieces.ids.shape
    ids = torch.full((labels, longest + 2), config.pad_token_id, device=pieces.ids.device)
    ids[:, 0] = first
    ids[:, 1 : longest + 1] = torch.where(pieces.mask, pieces.ids, config.pad_token_id)
    ends = pieces.mask.sum(dim=1) + 1
    ids[torch.arange(labels, device=ids.device), ends] = config.eos_token_id
    return ids


def _pool(states: Tensor, weights: Tensor) -> Tensor:
    """[K, H, S, D/H] and [K, S] -> [1, H, K, D/H]."""
    return torch.einsum("khsd,ks->hkd", states, weights.to(states.dtype))[None]
