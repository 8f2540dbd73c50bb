"""Computes a stock BART-family layer straight from its weights: what reading and decoding do, without gradients.

The modules, caches and mask functions around a layer's operations cost a tenth of the time of a sentence read alone.
The operations and their order are those of the stock layers with the prompts of `_attention.py`, so results are equal
bit for bit (tests/model/test_layers.py); docs/decisions/0013 says why. Knows no candidates and no grammar.
Legend: B batch, S places, P prompt slots, N feed-forward slots, D width, H heads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightner.model.prompts import Guidance, join_rows

Pair: TypeAlias = tuple[Tensor, Tensor]
"""Keys and values of attention [B or 1, H, places, D/H], or of feed-forward slots [B or 1, N, D]."""

RowPairs: TypeAlias = list[Pair]
"""Feed-forward slots [N, D] of each row, which may differ in number."""


@dataclass(frozen=True, slots=True)
class Norm:
    """A layer's normalisation."""

    weight: Tensor
    bias: Tensor
    eps: float

    @classmethod
    def of(cls, norm: nn.LayerNorm) -> Self:
        return cls(norm.weight, norm.bias, norm.eps)

    def __call__(self, states: Tensor) -> Tensor:
        return F.layer_norm(states, self.weight.shape, self.weight, self.bias, self.eps)


@dataclass(frozen=True, slots=True)
class Linear:
    """A layer's linear map."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, linear: nn.Linear) -> Self:
        return cls(linear.weight, linear.bias)

    def __call__(self, states: Tensor) -> Tensor:
        return F.linear(states, self.weight, self.bias)


@dataclass(frozen=True, slots=True)
class Attention:
    """A layer's attention, at one site."""

    query: Linear
    key: Linear
    value: Linear
    out: Linear
    head_size: int
    scale: float
    norm: Norm
    norm_first: bool

    @classmethod
    def of(cls, attention: Any, norm: nn.LayerNorm, *, norm_first: bool) -> Self:
        return cls(
            query=Linear.of(attention.q_proj),
            key=Linear.of(attention.k_proj),
            value=Linear.of(attention.v_proj),
            out=Linear.of(attention.out_proj),
            head_size=attention.head_dim,
            scale=attention.scaling,
            norm=Norm.of(norm),
            norm_first=norm_first,
        )

    def pair(self, states: Tensor) -> Pair:
        """Keys and values of states [B, S, D]."""
        return self._heads(self.key(states)), self._heads(self.value(states))

    def entered(self, states: Tensor) -> Tensor:
        """What the block computes on of the states [B, S, D] before it."""
        return self.norm(states) if self.norm_first else states

    def attend(self, input: Tensor, pair: Pair, mask: Tensor | None) -> Tensor:
        """What the block adds.

        Shape: input [B, S, D]; mask [B, 1, S or 1, places], True where a place may be seen; None: all may.
        """
        found = _attended(self._heads(self.query(input)), *pair, mask, self.scale)
        return self.out(found.transpose(1, 2).reshape(input.shape))

    def left(self, states: Tensor, added: Tensor) -> Tensor:
        """The states after the block, from those before it and what it adds."""
        return states + added if self.norm_first else self.norm(states + added)

    def _heads(self, states: Tensor) -> Tensor:
        return states.view(*states.shape[:-1], -1, self.head_size).transpose(1, 2)


def _attended(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    if query.dtype == torch.bfloat16 and query.device.type == "cpu":  # as _attention.py does, and why
        wide = F.scaled_dot_product_attention(query.float(), key.float(), value.float(), attn_mask=mask, scale=scale)
        return wide.to(query.dtype)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)


@dataclass(frozen=True, slots=True)
class FeedForward:
    """A layer's feed-forward block."""

    first: Linear
    second: Linear
    activation: Callable[[Tensor], Tensor]
    norm: Norm
    norm_first: bool

    @classmethod
    def of(cls, layer: Any, *, norm_first: bool) -> Self:
        norm = Norm.of(layer.final_layer_norm)
        return cls(Linear.of(layer.fc1), Linear.of(layer.fc2), layer.activation_fn, norm, norm_first)

    def add(self, states: Tensor, slots: Pair | RowPairs | None) -> Tensor:
        """The states [B, S, D] after this block, which has `slots` besides its own ones."""
        input = self.norm(states) if self.norm_first else states
        added = states + self._widened(input, slots)
        return added if self.norm_first else self.norm(added)

    def _widened(self, input: Tensor, slots: Pair | RowPairs | None) -> Tensor:
        hidden = self.first(input)
        if slots is None:
            return self.second(self.activation(hidden))
        if isinstance(slots, list):
            return self._with_rows(input, self.second(self.activation(hidden)), slots)
        key, value = slots
        hidden = self.activation(torch.cat([hidden, input @ key.transpose(-1, -2)], dim=-1))
        own, extra = hidden.split_with_sizes([self.first.weight.shape[0], key.shape[-2]], dim=-1)
        added: Tensor = self.second(own) + extra @ value
        return added

    def _with_rows(self, input: Tensor, added: Tensor, slots: RowPairs) -> Tensor:
        """`added` [B, S, D] and what each row's own slots add to it."""
        for states, place, (key, value) in zip(input, added, slots, strict=True):
            place.addmm_(self.activation(states @ key.T), value)
        return added


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer: `cross` is the decoder's attention to the encoder's output."""

    own: Attention
    cross: Attention | None
    feed_forward: FeedForward

    @classmethod
    def of(cls, layer: Any, *, norm_first: bool) -> Self:
        cross = getattr(layer, "encoder_attn", None)
        return cls(
            Attention.of(layer.self_attn, layer.self_attn_layer_norm, norm_first=norm_first),
            None if cross is None else Attention.of(cross, layer.encoder_attn_layer_norm, norm_first=norm_first),
            FeedForward.of(layer, norm_first=norm_first),
        )


@dataclass(frozen=True, slots=True)
class Stack:
    """The encoder or the decoder: the stock module, which embeds, and its layers.

    Of a `sharded` one each layer's weights are put together when it is its turn.
    """

    module: Any
    layers: tuple[Layer, ...]
    last_norm: Norm | None
    sharded: bool

    @classmethod
    def of(cls, module: Any, *, sharded: bool) -> Self:
        """Families that normalise before each block have a norm after the last layer, too."""
        last = getattr(module, "layer_norm", None)
        layers = () if sharded else tuple(Layer.of(layer, norm_first=last is not None) for layer in module.layers)
        return cls(module, layers, None if last is None else Norm.of(last), sharded)

    def __len__(self) -> int:
        return len(self.module.layers)

    def __iter__(self) -> Iterator[Layer]:
        yield from self.layers
        for layer in self.module.layers if self.sharded else ():
            layer.unshard()
            yield Layer.of(layer, norm_first=self.last_norm is not None)
            layer.reshard()

    def finished(self, states: Tensor) -> Tensor:
        """The states after the last layer."""
        return states if self.last_norm is None else self.last_norm(states)


def encode(encoder: Stack, ids: Tensor, real: Tensor, guidance: Guidance) -> Tensor:
    """The encoder's output [B, S, D] for sub-words `ids` [B, S], of which `real` [B, S] are no padding."""
    embedded = encoder.module.embed_tokens(ids)
    states = encoder.module.layernorm_embedding(embedded + encoder.module.embed_positions(embedded[..., -1]))
    prompts, slots = (
        pairs(guidance, "encoder", states, len(encoder)),
        slot_pairs(guidance, "encoder", states, len(encoder)),
    )
    mask = _mask(real.bool(), guidance if "encoder" in guidance.key else None)
    for layer, prompt, extra in zip(encoder, prompts, slots, strict=True):
        input = layer.own.entered(states)
        added = layer.own.attend(input, joined(prompt, layer.own.pair(input)), mask)
        states = layer.feed_forward.add(layer.own.left(states, added), extra)
    return encoder.finished(states)


def joined(front: Pair | None, pair: Pair) -> Pair:
    """The pair with further places in front."""
    if front is None:
        return pair
    return torch.cat([front[0], pair[0]], dim=2), torch.cat([front[1], pair[1]], dim=2)


def pairs(guidance: Guidance, site: str, states: Tensor, layers: int) -> Sequence[Pair | None]:
    """The prompt's keys and values for each layer, one per row of `states`; None where it has none."""
    if site not in guidance.key:
        return [None] * layers
    both = (guidance.key[site].to(states.dtype), guidance.value[site].to(states.dtype))
    wide = (each.expand(-1, len(states), -1, -1, -1).unbind(0) for each in both)
    return list(zip(*wide, strict=True))


def slot_pairs(
    guidance: Guidance, stack: str, states: Tensor, layers: int
) -> Sequence[Pair] | Sequence[RowPairs] | Sequence[None]:
    """The feed-forward slots of each layer of a stack; None where there are none."""
    if guidance.rows:
        return _rows_slot_pairs(guidance, stack, states, layers)
    if stack not in guidance.slot_key:
        return [None] * layers
    both = (guidance.slot_key[stack].to(states.dtype), guidance.slot_value[stack].to(states.dtype))
    return list(zip(*(each.unbind(0) for each in both), strict=True))


def _rows_slot_pairs(
    guidance: Guidance, stack: str, states: Tensor, layers: int
) -> Sequence[Pair] | Sequence[RowPairs]:
    """Slots of rows that each have their own: on a CPU where they are, elsewhere, where small products cost, joined."""
    none = states.new_empty(layers, 1, 0, states.shape[-1])
    keys, values = (
        [of.get(stack, none).to(states.dtype) for of in all_of]
        for all_of in ([row.slot_key for row in guidance.rows], [row.slot_value for row in guidance.rows])
    )
    if states.device.type != "cpu":
        every = range(len(keys))
        return list(zip(join_rows(keys, every).unbind(0), join_rows(values, every).unbind(0), strict=True))
    rows = (
        zip(key[:, 0].unbind(0), value[:, 0].unbind(0), strict=True) for key, value in zip(keys, values, strict=True)
    )
    return [list(layer) for layer in zip(*rows, strict=True)]


def _mask(real: Tensor, guidance: Guidance | None) -> Tensor | None:
    """What a place sees of the prompt and of `real` places [B, 1, 1, P + S]; None: all."""
    if bool(real.all()) and (guidance is None or guidance.mask is None):
        return None
    if guidance is not None:
        front = real.new_ones(1, guidance.length) if guidance.mask is None else guidance.mask
        real = torch.cat([front.expand(len(real), -1), real], dim=1)
    return real[:, None, None]
