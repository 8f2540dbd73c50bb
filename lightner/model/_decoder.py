"""Runs the stock decoder's layers over a cache of keys and values that begins with the prompt's.

What the stock decoder does around its layers at every step (masks, output records, joining prompts to keys) costs as
much as the layers of a small backbone; here it is done once per batch. docs/decisions/0007 says why. Knows neither
candidates nor grammar.
Legend: B batch, T places of one pass, S sub-words, P prompt slots, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

from lightner.model._attention import guided
from lightner.model.prompts import Guidance


class DecoderCache:
    """Keys and values of what the decoder has read of a batch: first the prompt's, then those of the places.

    The attention function finds the prompt in the cache and does not join it again at every pass. Positions are counted
    here: the prompt does not shift them, and each row has its own, since `retract` may leave rows with different
    numbers of places. Feed-forward slots reach the layers through `guided`.
    """

    def __init__(self, model: PreTrainedModel, hidden: Tensor, attention_mask: Tensor, guidance: Guidance) -> None:
        """Shape: hidden [B, S, D] and attention_mask [B, S], the encoder's output and its real places."""
        self._decoder, self._hidden, self._places = model.get_decoder(), hidden, [0] * len(hidden)
        self._last_position = model.config.max_position_embeddings - 1
        rows, layers = len(hidden), len(self._decoder.layers)
        prompts = [_prompt_cache(guidance, site, hidden, layers) for site in ("decoder", "cross")]
        self._cache = EncoderDecoderCache(*prompts)
        # The first pass still has to add the encoder's keys and values after the prompt's.
        self._cache.is_updated = dict.fromkeys(range(layers), False)
        self._slots = Guidance(slot_key=_of_decoder(guidance.slot_key), slot_value=_of_decoder(guidance.slot_value))
        prompt = _prompt_mask(guidance, rows, hidden.device)
        cross = attention_mask.bool()
        if "cross" in guidance.key:
            cross = torch.cat([prompt, cross], dim=1)
        self._cross = None if bool(cross.all()) else cross[:, None, None]
        # Which of the cache's columns are real in each row.
        self._real = prompt if "decoder" in guidance.key else prompt[:, :0]
        self._all_real = bool(self._real.all())

    def read(self, inputs: Tensor) -> Tensor:
        """The decoder's states for the next places' inputs, which become part of the cache.

        Shape: inputs [B, T, D] -> [B, T, D].
        """
        rows, places = inputs.shape[:2]
        at = torch.tensor([place for first in self._places for place in range(first, first + places)])
        # A row near its last position is padded to the row with the longest draft; what it reads there is retracted.
        at = at.clamp(max=self._last_position).to(inputs.device)
        positions: Tensor = self._decoder.embed_positions(inputs, position_ids=at)
        states: Tensor = self._decoder.layernorm_embedding(inputs + positions.view(rows, places, -1))
        own = self._own_mask(places)
        self._places = [first + places for first in self._places]
        self._real = torch.cat([self._real, self._real.new_ones(rows, places)], dim=1)
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
        self._places = [self._places[row] for row in rows.tolist()]
        self._real = self._real.index_select(0, rows)
        self._cross = None if self._cross is None else self._cross.index_select(0, rows)

    def retract(self, last: int, kept: Sequence[int]) -> None:
        """Of the `last` places read, forget all but the first `kept[b]` in row b."""
        most = max(kept)
        if most < last:
            self._cache.self_attention_cache.crop(most - last)
            self._real = self._real[:, : most - last]
        self._places = [place - last + count for place, count in zip(self._places, kept, strict=True)]
        if min(kept) < most:
            counts = torch.tensor(kept, device=self._real.device)
            self._real[:, -most:] = torch.arange(most, device=self._real.device) < counts[:, None]
            self._all_real = False

    def _own_mask(self, places: int) -> Tensor | None:
        """What each new place sees of prompt, earlier places and new ones [B, 1, T, P + earlier + T]; None: all."""
        if places == 1 and self._all_real:
            return None
        new = self._real.new_ones(places, places).tril().expand(len(self._hidden), -1, -1)
        return torch.cat([self._real[:, None].expand(-1, places, -1), new], dim=2)[:, None]


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
