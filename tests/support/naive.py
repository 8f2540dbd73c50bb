"""BART with prefix keys/values and feed-forward slots, written from the equations: one row, loops, explicit softmax.

Shares no code with transformers or `lightner`; a sentence has no padding here, a batch does not exist.
Legend: T steps, S sub-words, P prompt slots, N feed-forward slots, D width, H heads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

POSITION_OFFSET = 2
EPSILON = 1e-5


@dataclass(frozen=True)
class NaivePrompt:
    """One row's memories: site -> layer -> [H, P, D/H], stack -> layer -> [N, D]; absent names: none."""

    key: Mapping[str, Tensor]
    value: Mapping[str, Tensor]
    slot_key: Mapping[str, Tensor]
    slot_value: Mapping[str, Tensor]


@dataclass(frozen=True)
class NaiveBart:
    """Weights by their checkpoint names. `norm_first` is mBART's order of norm and block, with a last norm on top."""

    weights: Mapping[str, Tensor]
    heads: int
    layers: int
    scale: float
    norm_first: bool

    def encode(self, ids: list[int], prompt: NaivePrompt) -> Tensor:
        """Hidden states [S, D] of sub-words."""
        states = self._embedded("encoder", self.weights["shared.weight"][ids] * self.scale)
        for layer in range(self.layers):
            name = f"encoder.layers.{layer}"
            states = self._attend(f"{name}.self_attn", "encoder", states, None, prompt, causal=False)
            states = self._feed_forward(name, states, prompt)
        return self._last("encoder", states)

    def decode(self, inputs: Tensor, hidden: Tensor, prompt: NaivePrompt) -> Tensor:
        """Hidden states [T, D] of decoder inputs [T, D] (already scaled) over the encoder's hidden [S, D]."""
        states = self._embedded("decoder", inputs)
        for layer in range(self.layers):
            name = f"decoder.layers.{layer}"
            states = self._attend(f"{name}.self_attn", "decoder", states, None, prompt, causal=True)
            states = self._attend(f"{name}.encoder_attn", "cross", states, hidden, prompt, causal=False)
            states = self._feed_forward(name, states, prompt)
        return self._last("decoder", states)

    def _embedded(self, stack: str, states: Tensor) -> Tensor:
        table = self.weights[f"{stack}.embed_positions.weight"]
        return self._norm(f"{stack}.layernorm_embedding", states + table[POSITION_OFFSET:][: len(states)])

    def _last(self, stack: str, states: Tensor) -> Tensor:
        return self._norm(f"{stack}.layer_norm", states) if self.norm_first else states

    def _attend(
        self, name: str, site: str, states: Tensor, source: Tensor | None, prompt: NaivePrompt, *, causal: bool
    ) -> Tensor:
        layer = int(name.split(".")[2])
        asking = self._norm(f"{name}_layer_norm", states) if self.norm_first else states
        answering = asking if source is None else source
        rows = []
        for step in range(len(asking)):
            query = self._linear(f"{name}.q_proj", asking[step])
            seen = answering[: step + 1] if causal else answering
            keys = [self._linear(f"{name}.k_proj", state) for state in seen]
            values = [self._linear(f"{name}.v_proj", state) for state in seen]
            rows.append(self._heads(query, keys, values, site, layer, prompt))
        out = states + self._linear(f"{name}.out_proj", torch.stack(rows))
        return out if self.norm_first else self._norm(f"{name}_layer_norm", out)

    def _heads(
        self, query: Tensor, keys: list[Tensor], values: list[Tensor], site: str, layer: int, prompt: NaivePrompt
    ) -> Tensor:
        size = len(query) // self.heads
        mixed = []
        for head in range(self.heads):
            part = slice(head * size, (head + 1) * size)
            all_keys = [key[part] for key in keys]
            all_values = [value[part] for value in values]
            if site in prompt.key:
                all_keys += list(prompt.key[site][layer, head])
                all_values += list(prompt.value[site][layer, head])
            scores = [(query[part] * key).sum() / math.sqrt(size) for key in all_keys]
            highest = max(float(score.detach()) for score in scores)
            weights = [torch.exp(score - highest) for score in scores]
            total = sum(weights, torch.zeros((), dtype=query.dtype))
            zero = torch.zeros(size, dtype=query.dtype)
            mixed.append(sum((w / total * v for w, v in zip(weights, all_values, strict=True)), zero))
        return torch.cat(mixed)

    def _feed_forward(self, name: str, states: Tensor, prompt: NaivePrompt) -> Tensor:
        stack, layer = name.split(".")[0], int(name.split(".")[2])
        rows = []
        for state in states:
            given = self._norm(f"{name}.final_layer_norm", state) if self.norm_first else state
            out = self._linear(f"{name}.fc2", _gelu(self._linear(f"{name}.fc1", given)))
            if stack in prompt.slot_key:
                slots = zip(prompt.slot_key[stack][layer], prompt.slot_value[stack][layer], strict=True)
                for key, value in slots:
                    out = out + _gelu((given * key).sum()) * value
            out = state + out
            rows.append(out if self.norm_first else self._norm(f"{name}.final_layer_norm", out))
        return torch.stack(rows)

    def _linear(self, name: str, states: Tensor) -> Tensor:
        return states @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def _norm(self, name: str, states: Tensor) -> Tensor:
        centred = states - states.mean(dim=-1, keepdim=True)
        variance = (centred * centred).mean(dim=-1, keepdim=True)
        return centred / torch.sqrt(variance + EPSILON) * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


def _gelu(states: Tensor) -> Tensor:
    return states * (1 + torch.erf(states / math.sqrt(2))) / 2
