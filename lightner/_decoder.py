"""The decoder's own layers, pass after pass over kept keys and values; knows candidates and grammar no more than HF.

What the stock decoder does around its layers at every step (masks, output records, joining prompts to keys) costs as
much as the layers of a small backbone; here it is done once per batch. docs/decisions/0007 says why.
Legend: B batch, T places of one pass, S sub-words, P prompt slots, D width.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

from lightner._attention import guided
from lightner.prompts import Guidance


class Memory:
    """What the decoder has read of one batch: a prompt's keys and values in front, behind them those of the places.

    The prompt stands in the cache, where the attention function would put it at every pass. Positions are counted
    here, so that it does not shift them. Feed-forward slots go the usual way.
    """

    def __init__(self, model: PreTrainedModel, hidden: Tensor, attention_mask: Tensor, guidance: Guidance) -> None:
        """Shape: hidden [B, S, D] and attention_mask [B, S], the encoder's output and its real places."""
        self._decoder, self._hidden, self._places = model.get_decoder(), hidden, 0
        rows, layers = len(hidden), len(self._decoder.layers)
        prompts = [_prompt_cache(guidance, site, hidden, layers) for site in ("decoder", "cross")]
        self._cache = EncoderDecoderCache(*prompts)
        # The first pass still has to put the encoder's keys and values behind the prompt's.
        self._cache.is_updated = dict.fromkeys(range(layers), False)
        self._slots = Guidance(slot_key=_of_decoder(guidance.slot_key), slot_value=_of_decoder(guidance.slot_value))
        self._prompt = _prompt_mask(guidance, rows, hidden.device)
        cross = attention_mask.bool()
        if "cross" in guidance.key:
            cross = torch.cat([self._prompt, cross], dim=1)
        if "decoder" not in guidance.key:
            self._prompt = self._prompt[:, :0]
        self._cross = None if bool(cross.all()) else cross[:, None, None]
        self._all_seen = bool(self._prompt.all())

    def read(self, inputs: Tensor) -> Tensor:
        """The decoder's states for the next places' inputs, which become part of the memory.

        Shape: inputs [B, T, D] -> [B, T, D].
        """
        states: Tensor = inputs + self._decoder.embed_positions(inputs, self._places)
        states = self._decoder.layernorm_embedding(states)
        own = self._own_mask(inputs.shape[1])
        self._places += inputs.shape[1]
        with guided(self._slots):
            for layer in self._decoder.layers:
                states = layer(
                    states,
                    own,
                    self._hidden,
                    encoder_attention_mask=self._cross,
                    past_key_values=self._cache,
                    use_cache=True,
                )
        last = getattr(self._decoder, "layer_norm", None)  # of families that normalise before each block
        if last is not None:
            states = last(states)
        return states

    def keep(self, rows: Tensor) -> None:
        """Forget all rows but these."""
        self._cache.batch_select_indices(rows)
        self._hidden = self._hidden.index_select(0, rows)
        self._slots = self._slots.select(rows)
        self._prompt = self._prompt.index_select(0, rows)
        self._cross = None if self._cross is None else self._cross.index_select(0, rows)

    def _own_mask(self, places: int) -> Tensor | None:
        """What each new place sees of prompt, earlier places and new ones [B, 1, T, P + earlier + T]; None: all."""
        if places == 1 and self._all_seen:
            return None
        rows, device = len(self._hidden), self._hidden.device
        written = torch.ones(places, self._places + places, dtype=torch.bool, device=device).tril(self._places)
        front = self._prompt[:, None].expand(-1, places, -1)
        return torch.cat([front, written.expand(rows, -1, -1)], dim=2)[:, None]


def _prompt_cache(guidance: Guidance, site: str, hidden: Tensor, layers: int) -> DynamicCache:
    cache = DynamicCache()
    for layer in range(layers) if site in guidance.key else ():
        pair = guidance.key[site][layer], guidance.value[site][layer]
        cache.update(*(each.to(hidden.dtype).expand(len(hidden), -1, -1, -1) for each in pair), layer)
    return cache


def _of_decoder(slots: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {stack: tensor for stack, tensor in slots.items() if stack == "decoder"}


def _prompt_mask(guidance: Guidance, rows: int, device: torch.device) -> Tensor:
    """[B, P], True where a slot is real."""
    if guidance.mask is None:
        return torch.ones(rows, guidance.length, dtype=torch.bool, device=device)
    return guidance.mask.expand(rows, -1)
