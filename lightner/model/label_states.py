"""What the backbone makes of label words: a vector for each piece, and keys and values of one slot per label.

All of it comes from one pass over the label words, read in context. A piece's vector is half its encoder state, half
its embedding: the form in which words of a sentence are scored (docs/method.md). So an untuned prompt already says what
is being looked for. Legend: K labels, J label-word pieces, S sub-words with special tokens, H heads, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightner.model._attention import guided, recording
from lightner.model.backbone import Backbone
from lightner.model.languages import languages_of, special_tokens
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
    before, after = _around(backbone)
    ids = _wrapped(pieces, before, after, pad=backbone.model.config.pad_token_id)
    own = slice(len(before), len(before) + pieces.ids.shape[1])
    present = ids != backbone.model.config.pad_token_id
    with guided(NO_GUIDANCE), recording() as record:
        hidden = backbone.model.get_encoder()(input_ids=ids, attention_mask=present).last_hidden_state
        states = (hidden[:, own] + backbone.embedding[pieces.ids]) / 2
        vectors = average(states.new_zeros(pieces.mask.shape), pieces.mask, states)
        backbone.model.get_decoder()(
            inputs_embeds=vectors[:, None] * backbone.input_scale,
            encoder_hidden_states=hidden,
            encoder_attention_mask=present,
        )
    share = pieces.mask.to(states.dtype) / pieces.mask.sum(dim=1, keepdim=True)
    inside = torch.zeros(ids.shape, device=ids.device, dtype=share.dtype)
    inside[:, own] = share
    key: dict[str, Tensor] = {}
    value: dict[str, Tensor] = {}
    for site, layers in backbone.shape.site_layers.items():
        pairs = [record[site, layer] for layer in range(layers)]
        weights = torch.ones_like(inside[:, :1]) if site == "decoder" else inside
        key[site] = torch.stack([_pool(pair[0], weights) for pair in pairs])
        value[site] = torch.stack([_pool(pair[1], weights) for pair in pairs])
    return LabelStates(states, pieces.mask, Guidance(key, value))


def _around(backbone: Backbone) -> tuple[list[int], list[int]]:
    """The special tokens before and after a label's pieces; those of a text where they say its language."""
    config, tokenizer = backbone.model.config, backbone.tokenizer
    if languages_of(tokenizer):
        return special_tokens(tokenizer)
    first = tokenizer.cls_token_id if tokenizer.cls_token_id is not None else tokenizer.bos_token_id
    return [first], [config.eos_token_id]


def _wrapped(pieces: LabelPieces, before: Sequence[int], after: Sequence[int], *, pad: int) -> Tensor:
    """Label pieces with special tokens around them [K, S], padded."""
    labels, longest = pieces.ids.shape
    device = pieces.ids.device
    ids = torch.full((labels, len(before) + longest + len(after)), pad, device=device)
    ids[:, : len(before)] = torch.tensor(before, dtype=ids.dtype, device=device)
    ids[:, len(before) : len(before) + longest] = torch.where(pieces.mask, pieces.ids, pad)
    ends = pieces.mask.sum(dim=1) + len(before)
    for number, token in enumerate(after):
        ids[torch.arange(labels, device=device), ends + number] = token
    return ids


def _pool(states: Tensor, weights: Tensor) -> Tensor:
    """[K, H, S, D/H] and [K, S] -> [1, H, K, D/H]."""
    return torch.einsum("khsd,ks->hkd", states, weights.to(states.dtype))[None]
