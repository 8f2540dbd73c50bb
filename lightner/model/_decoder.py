"""Runs the decoder's layers over a cache of keys and values that begins with the prompt's.

What the stock decoder does around its layers at every step (masks, output records, joining prompts to keys) costs as
much as the layers of a small backbone; here it is done once per batch. docs/decisions/0007 says why. Knows neither
candidates nor grammar.
Legend: B batch, T places of one pass, S sub-words, P prompt slots, D width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lightner.model import _layers
from lightner.model._layers import Layer, Pair, RowPairs
from lightner.model.backbone import Backbone
from lightner.model.prompts import Guidance


class DecoderCache:
    """Keys and values of what the decoder has read of a batch: first the prompt's, then those of the places.

    Positions are counted here: the prompt does not shift them, and each row has its own, since `retract` may leave rows
    with different numbers of places.
    """

    def __init__(self, backbone: Backbone, hidden: Tensor, attention_mask: Tensor, guidance: Guidance) -> None:
        """Shape: hidden [B, S, D] and attention_mask [B, S], the encoder's output and its real places."""
        self._decoder, self._places = backbone.decoder, [0] * len(hidden)
        self._last_position = backbone.max_pieces - 1
        rows, layers = len(hidden), len(self._decoder)
        self._own = list(_layers.pairs(guidance, "decoder", hidden, layers))
        fronts = _layers.pairs(guidance, "cross", hidden, layers)
        self._seen = [_seen(layer, hidden, front) for layer, front in zip(self._decoder, fronts, strict=True)]
        self._slots = list(_layers.slot_pairs(guidance, "decoder", hidden, layers))
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
        stock = self._decoder.module
        positions: Tensor = stock.embed_positions(inputs, position_ids=at)
        states: Tensor = stock.layernorm_embedding(inputs + positions.view(rows, places, -1))
        mask = self._own_mask(places)
        self._places = [first + places for first in self._places]
        self._real = torch.cat([self._real, self._real.new_ones(rows, places)], dim=1)
        for number, layer in enumerate(self._decoder):
            states = self._after(layer, number, states, mask)
        return self._decoder.finished(states)

    def _after(self, layer: Layer, number: int, states: Tensor, mask: Tensor | None) -> Tensor:
        """The states [B, T, D] after a layer, whose keys and values of the new places become part of the cache."""
        assert layer.cross is not None, "a decoder's layer attends to the encoder's output"
        input = layer.own.entered(states)
        self._own[number] = pair = _layers.joined(self._own[number], layer.own.pair(input))
        states = layer.own.left(states, layer.own.attend(input, pair, mask))
        input = layer.cross.entered(states)
        states = layer.cross.left(states, layer.cross.attend(input, self._seen[number], self._cross))
        return layer.feed_forward.add(states, self._slots[number])

    def keep(self, rows: Tensor) -> None:
        """Forget all rows but these."""
        self._own = [None if pair is None else _selected(pair, rows) for pair in self._own]
        self._seen = [_selected(pair, rows) for pair in self._seen]
        self._slots = [_selected_slots(slots, rows) for slots in self._slots]
        self._places = [self._places[row] for row in rows.tolist()]
        self._real = self._real.index_select(0, rows)
        self._cross = None if self._cross is None else self._cross.index_select(0, rows)

    def retract(self, last: int, kept: Sequence[int]) -> None:
        """Of the `last` places read, forget all but the first `kept[b]` in row b."""
        most = max(kept)
        if most < last:
            self._own = [None if pair is None else _cropped(pair, last - most) for pair in self._own]
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
        new = self._real.new_ones(places, places).tril().expand(len(self._real), -1, -1)
        return torch.cat([self._real[:, None].expand(-1, places, -1), new], dim=2)[:, None]


def _seen(layer: Layer, hidden: Tensor, front: Pair | None) -> Pair:
    """Keys and values of the encoder's output, after the prompt's."""
    assert layer.cross is not None, "a decoder's layer attends to the encoder's output"
    return _layers.joined(front, layer.cross.pair(hidden))


def _selected(pair: Pair, rows: Tensor) -> Pair:
    return pair[0].index_select(0, rows), pair[1].index_select(0, rows)


def _selected_slots(slots: Pair | RowPairs | None, rows: Tensor) -> Pair | RowPairs | None:
    if isinstance(slots, list):
        return [slots[row] for row in rows.tolist()]
    return slots if slots is None or len(slots[0]) == 1 else _selected(slots, rows)


def _cropped(pair: Pair, places: int) -> Pair:
    """The pair without its last places."""
    return pair[0][:, :, :-places], pair[1][:, :, :-places]


def _prompt_mask(guidance: Guidance, rows: int, device: torch.device) -> Tensor:
    """[B, P], True where a slot is real."""
    if guidance.mask is None:
        return torch.ones(rows, guidance.length, dtype=torch.bool, device=device)
    return guidance.mask.expand(rows, -1)
