"""Where prompts enter a stock BART-family model; beside `_layers.py` and `_decoder.py` the only file that knows
transformers' internals.

`install` registers nothing per call and copies no model code: it selects a registered attention function (and a mask
function of the same name, without which padding would be ignored), tags each attention module with its place, and
puts layers that take slots and dropout in place of the stock ones. The prompt and the dropout of a forward pass are
context variables, so that threads and nested calls never see one another's. docs/decisions/0001 says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from lightner.model.prompts import Guidance, PromptShape, join_rows
from lightner.types import InputError

IMPLEMENTATION = "lightner_sdpa"
SUPPORTED = ("bart", "mbart")
_REASONS = {
    "led": "its windowed attention does not take prefix keys",
    "bigbird_pegasus": "its block-sparse attention does not take prefix keys",
    "longt5": "its local attention does not take prefix keys",
    "t5": "its relative position bias and gated feed-forward blocks are not covered yet",
    "mt5": "its relative position bias and gated feed-forward blocks are not covered yet",
    "umt5": "its relative position bias and gated feed-forward blocks are not covered yet",
    "t5gemma": "its merged decoder attention has no separate cross-attention site",
}

Record = dict[tuple[str, int], tuple[Tensor, Tensor]]

_guidance: ContextVar[Guidance | None] = ContextVar("lightner_guidance", default=None)
_record: ContextVar[Record | None] = ContextVar("lightner_record", default=None)
_dropout: ContextVar[float] = ContextVar("lightner_dropout", default=0.0)


@contextmanager
def guided(guidance: Guidance) -> Iterator[None]:
    """Within this context every forward pass of an installed model attends to `guidance` as well."""
    token = _guidance.set(guidance)
    try:
        yield
    finally:
        _guidance.reset(token)


@contextmanager
def recording() -> Iterator[Record]:
    """Within this context attention leaves its keys and values [B, H, S, D/H] under (site, layer)."""
    record: Record = {}
    token = _record.set(record)
    try:
        yield record
    finally:
        _record.reset(token)


@contextmanager
def dropping(share: float) -> Iterator[None]:
    """Within this context forward passes of an installed model drop out `share` of what each block adds.

    They also drop out of attention and activations what the model's own configuration says, as in its training mode;
    no layer is left out. 0 drops nothing. The model itself stays in evaluation mode, so that others may read with it.
    """
    token = _dropout.set(share)
    try:
        yield
    finally:
        _dropout.reset(token)


def install(model: PreTrainedModel) -> PromptShape:
    """Prepare a stock encoder-decoder for prompts; without guidance its outputs stay bit-equal.

    Raises:
        InputError: the model's family is not supported; the message gives the reason.
    """
    family = model.config.model_type
    if family not in SUPPORTED:
        reason = _REASONS.get(family, "its attention sites have not been tested with prompts")
        raise InputError(f"backbone: found model family {family!r} ({reason}), expected one of {list(SUPPORTED)}")
    AttentionInterface.register(IMPLEMENTATION, _attention)
    AttentionMaskInterface.register(IMPLEMENTATION, _mask)
    model.set_attn_implementation(IMPLEMENTATION)
    encoder, decoder = model.get_encoder(), model.get_decoder()
    for index, layer in enumerate(encoder.layers):
        _prepare_attention(layer.self_attn, ("encoder", index))
        _prepare_feed_forward(layer, ("encoder", index))
    for index, layer in enumerate(decoder.layers):
        _prepare_attention(layer.self_attn, ("decoder", index))
        _prepare_attention(layer.encoder_attn, ("cross", index))
        _prepare_feed_forward(layer, ("decoder", index))
    for stack in (encoder, decoder):
        norm = stack.layernorm_embedding
        _replace(stack, "layernorm_embedding", DroppedNorm(norm.normalized_shape, eps=norm.eps, device="meta"))
    below, above = len(encoder.layers), len(decoder.layers)
    heads = {"encoder": model.config.encoder_attention_heads, "decoder": model.config.decoder_attention_heads}
    return PromptShape(
        site_layers={"encoder": below, "decoder": above, "cross": above},
        stack_layers={"encoder": below, "decoder": above},
        heads={**heads, "cross": heads["decoder"]},
        width=model.config.d_model,
    )


class DroppedNorm(nn.LayerNorm):
    """The embedding's normalisation; within `dropping` its output is dropped out, as the stock model does after it."""

    def forward(self, input: Tensor) -> Tensor:
        return _dropped(super().forward(input), _dropout.get())


class DroppedLinear(nn.Linear):
    """A block's last layer; within `dropping` its output is dropped out, as the stock model does after it."""

    def forward(self, input: Tensor) -> Tensor:
        return _dropped(super().forward(input), _dropout.get())


class WidenedIn(nn.Linear):
    """A feed-forward block's first layer with slot keys as further rows: `[x W + b, x K^T]`."""

    place: tuple[str, int]

    def forward(self, input: Tensor) -> Tensor:
        hidden = super().forward(input)
        slots = _slots(_keys, self.place)
        if slots is None:
            return hidden
        return torch.cat([hidden, input @ slots.to(input.dtype).transpose(-1, -2)], dim=-1)


class WidenedOut(nn.Linear):
    """A feed-forward block's second layer with slot values as further columns: `h W + b + h_slots V`.

    Within `dropping` its input and its output are dropped out, as the stock model does before and after it.
    """

    place: tuple[str, int]
    activation_dropout: float

    def forward(self, input: Tensor) -> Tensor:
        share = _dropout.get()
        return _dropped(self._widened(_dropped(input, self.activation_dropout if share else 0.0)), share)

    def _widened(self, input: Tensor) -> Tensor:
        slots = _slots(_values, self.place)
        if slots is None:
            return super().forward(input)
        own, extra = torch.split(input, [self.in_features, slots.shape[-2]], dim=-1)
        return super().forward(own) + extra @ slots.to(input.dtype)


def _dropped(states: Tensor, share: float) -> Tensor:
    return F.dropout(states, share) if share else states


def _keys(guidance: Guidance) -> Mapping[str, Tensor]:
    return guidance.slot_key


def _values(guidance: Guidance) -> Mapping[str, Tensor]:
    return guidance.slot_value


def _slots(which: Callable[[Guidance], Mapping[str, Tensor]], place: tuple[str, int]) -> Tensor | None:
    guidance = _guidance.get()
    stack, layer = place
    if guidance is None:
        return None
    if not guidance.rows:
        return which(guidance)[stack][layer] if stack in which(guidance) else None
    own = [which(row).get(stack) for row in guidance.rows]
    if all(tensor is None for tensor in own):
        return None
    return join_rows([None if each is None else each[layer, None] for each in own], range(len(own)))[0]


def _prepare_attention(attention: Any, place: tuple[str, int]) -> None:
    attention.lightner_place = place
    old = attention.out_proj
    _replace(attention, "out_proj", DroppedLinear(old.in_features, old.out_features, device="meta"))


def _prepare_feed_forward(layer: Any, place: tuple[str, int]) -> None:
    first = WidenedIn(layer.fc1.in_features, layer.fc1.out_features, device="meta")
    second = WidenedOut(layer.fc2.in_features, layer.fc2.out_features, device="meta")
    first.place = second.place = place
    second.activation_dropout = layer.activation_dropout
    _replace(layer, "fc1", first)
    _replace(layer, "fc2", second)


def _replace(parent: nn.Module, name: str, new: nn.Module) -> None:
    """Put `new` in place of a child, with the child's own parameters."""
    old = getattr(parent, name)
    new.weight, new.bias = old.weight, old.bias
    new.train(old.training)
    setattr(parent, name, new)


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **rest: Any
) -> tuple[Tensor, Tensor | None]:
    place = getattr(module, "lightner_place", None)
    record = _record.get()
    if record is not None and place is not None:
        record[place] = (key, value)
    if _dropout.get():
        rest["dropout"] = module.dropout
    if query.dtype == torch.bfloat16 and query.device.type == "cpu":
        # Measured with torch 2.13: the CPU kernel's backward pass in bf16 takes four times as long as in fp32.
        with torch.autocast("cpu", enabled=False):
            wide = (query.float(), key.float(), value.float())
            out, weights = _prompted(module, *wide, attention_mask, place, rest)
        return out.to(query.dtype), weights
    return _prompted(module, query, key, value, attention_mask, place, rest)


def _prompted(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    place: tuple[str, int] | None,
    rest: Mapping[str, Any],
) -> tuple[Tensor, Tensor | None]:
    guidance = _guidance.get()
    if guidance is None or place is None or place[0] not in guidance.key:
        stock: tuple[Tensor, Tensor | None] = sdpa_attention_forward(module, query, key, value, attention_mask, **rest)
        return stock
    site, layer = place
    rows = key.shape[0]
    prompt_key = guidance.key[site][layer].to(key.dtype).expand(rows, -1, -1, -1)
    prompt_value = guidance.value[site][layer].to(value.dtype).expand(rows, -1, -1, -1)
    mask = _joined_mask(attention_mask, guidance, query, key)
    joined = torch.cat([prompt_key, key], dim=2), torch.cat([prompt_value, value], dim=2)
    out = F.scaled_dot_product_attention(
        query, *joined, attn_mask=mask, dropout_p=rest["dropout"], scale=rest["scaling"]
    )
    return out.transpose(1, 2).contiguous(), None


def _joined_mask(mask: Tensor | None, guidance: Guidance, query: Tensor, key: Tensor) -> Tensor | None:
    """The model's own mask [B, 1, Q, S] with the prompt's columns in front; None where all may be seen."""
    if mask is None and guidance.mask is None:
        return None
    rows, asked, seen = key.shape[0], query.shape[2], key.shape[2]
    own = torch.ones(1, 1, 1, seen, dtype=torch.bool, device=key.device) if mask is None else mask
    assert own.dtype == torch.bool, f"the mask function makes boolean masks, found {own.dtype}"
    real = torch.ones(1, guidance.length, dtype=torch.bool, device=key.device)
    front = (real if guidance.mask is None else guidance.mask)[:, None, None, :]
    return torch.cat([front.expand(rows, 1, asked, -1), own.expand(rows, 1, asked, -1)], dim=-1)


def _mask(*positional: Any, **rest: Any) -> Tensor | None:
    # `is_causal=True` is aligned to the upper left and would drop keys once there are more keys than queries: so
    # with prompts causal masks are explicit. Without, the choice of kernel stays the stock model's, bit for bit.
    guidance = _guidance.get()
    if guidance is not None and guidance.key:
        rest["allow_is_causal_skip"] = False
    mask: Tensor | None = sdpa_mask(*positional, **rest)
    return mask
