"""Greedy decoding under the grammar: a fast exact form and, beside it, a slow obvious reference.

Legend: B batch, T steps, C candidates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightner._decoder import Memory
from lightner.backbone import Backbone
from lightner.model import START, Encoded, decode, log_probabilities
from lightner.pointers import EOS, FIRST_LABEL, FLAT, STEPS_PER_ENTITY, Grammar, Space, decode_ids, legal
from lightner.prompts import Guidance
from lightner.types import Span


@dataclass(frozen=True, slots=True)
class Decoded:
    """One row's candidate ids without eos, and the log-probability of each step under the grammar."""

    ids: tuple[int, ...]
    log_p: tuple[float, ...]

    def spans(self, names: Sequence[str], space: Space) -> list[tuple[Span, float]]:
        """Spans with their score: the probability of the entity's three steps."""
        found = decode_ids(self.ids, names, space)
        steps = zip(*[iter(self.log_p)] * STEPS_PER_ENTITY, strict=True)
        return [(span, math.exp(sum(triple))) for span, triple in zip(found, steps, strict=True)]


@torch.inference_mode()
def greedy(backbone: Backbone, encoded: Encoded, guidance: Guidance, grammar: Grammar = FLAT) -> list[Decoded]:
    """Decode a batch over kept keys and values; rows that have written eos leave the batch.

    Equals `greedy_reference` row by row.
    """
    memory = Memory(backbone.model, encoded.hidden, encoded.attention_mask, guidance)
    ids: list[list[int]] = [[] for _ in range(len(encoded.hidden))]
    log_p: list[list[float]] = [[] for _ in ids]
    rows = list(range(len(ids)))
    previous = torch.full((len(ids), 1), START, device=encoded.hidden.device)
    low = torch.full((len(ids),), encoded.space.first_word, device=previous.device)
    start = low
    for step in range(_most_steps(backbone, encoded, grammar)):
        scores = encoded.scores(memory.read(encoded.read_back(previous)))[:, 0]
        allowed = _allowed(encoded, step % STEPS_PER_ENTITY, low)
        best_p, best = log_probabilities(scores, allowed).max(dim=-1)
        choices = best.tolist()
        for row, choice, value in zip(rows, choices, best_p.tolist(), strict=True):
            if choice != EOS:
                ids[row].append(choice)
                log_p[row].append(value)
        start, low = _advance(step % STEPS_PER_ENTITY, best, start, low, grammar)
        alive = [index for index, choice in enumerate(choices) if choice != EOS]
        if not alive:
            break
        if len(alive) < len(rows):
            keep = torch.tensor(alive, device=best.device)
            rows = [rows[index] for index in alive]
            encoded = encoded.select(keep)
            best, start, low = best[keep], start[keep], low[keep]
            memory.keep(keep)
        previous = best[:, None]
    return [Decoded(tuple(those), tuple(values)) for those, values in zip(ids, log_p, strict=True)]


@torch.inference_mode()
def greedy_reference(
    backbone: Backbone, encoded: Encoded, guidance: Guidance, grammar: Grammar = FLAT
) -> list[Decoded]:
    """The same, slowly: one row at a time, the whole prefix again at each step, the grammar from `pointers.legal`."""
    decoded = []
    for row in range(len(encoded.hidden)):
        index = torch.tensor([row], device=encoded.hidden.device)
        alone, own = encoded.select(index), guidance.select(index)
        ids: list[int] = []
        log_p: list[float] = []
        while len(ids) < _most_steps(backbone, encoded, grammar):
            previous = torch.tensor([[START, *ids]], device=index.device)
            scores = decode(backbone, alone, own, previous)[:, -1]
            allowed = torch.zeros_like(alone.real)
            allowed[0, sorted(legal(ids, alone.space, grammar))] = True
            best_p, best = log_probabilities(scores, allowed & alone.real).max(dim=-1)
            if int(best) == EOS:
                break
            ids.append(int(best))
            log_p.append(float(best_p))
        decoded.append(Decoded(tuple(ids), tuple(log_p)))
    return decoded


def _most_steps(backbone: Backbone, encoded: Encoded, grammar: Grammar) -> int:
    """Whole triples up to the decoder's positions; flat output cannot hold more entities than words."""
    room = backbone.max_pieces // STEPS_PER_ENTITY
    entities = room if grammar.nested else min(room, encoded.space.words)
    return entities * STEPS_PER_ENTITY


def _allowed(encoded: Encoded, phase: int, low: Tensor) -> Tensor:
    columns = torch.arange(encoded.space.size, device=low.device)
    if phase == STEPS_PER_ENTITY - 1:
        return encoded.real & (columns >= FIRST_LABEL) & (columns < encoded.space.first_word)
    words = encoded.real & (columns >= low[:, None])
    return words | (columns == EOS) if phase == 0 else words


def _advance(phase: int, best: Tensor, start: Tensor, low: Tensor, grammar: Grammar) -> tuple[Tensor, Tensor]:
    """The open entity's start, and the lowest word that the next word step may take."""
    if phase == 0:
        return best, best
    if phase == 1:
        return start, start if grammar.nested else best + 1
    return start, low
