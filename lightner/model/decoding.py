"""Greedy decoding under the grammar: a fast exact form and a slow obvious reference.

Legend: B batch, T steps, C candidates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lightner.model._decoder import DecoderCache
from lightner.model.backbone import Backbone
from lightner.model.drafts import Draft, draft
from lightner.model.forward import START, Encoded, decode, log_probabilities
from lightner.model.pointers import EOS, FIRST_LABEL, FLAT, STEPS_PER_ENTITY, Grammar, Space, decode_ids, legal
from lightner.model.prompts import Guidance
from lightner.types import Span

GUESSED_IDS = 24
"""The most ids of a draft that are read in one pass: a row with many entities would pad all other rows of its batch."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """One row's candidate ids without eos, and the log-probability of each step under the grammar.

    `end_log_p` is that of eos; 0 where there was no room for it, or nothing else that could be written.
    """

    ids: tuple[int, ...]
    log_p: tuple[float, ...]
    end_log_p: float = 0.0

    @property
    def mean_log_p(self) -> float:
        """The normalised log-probability of the row: the mean over its steps, the one that ends it among them."""
        return (sum(self.log_p) + self.end_log_p) / (len(self.log_p) + 1)

    def spans(self, names: Sequence[str], space: Space) -> list[tuple[Span, float]]:
        """Spans with their score: the probability of the entity's three steps."""
        found = decode_ids(self.ids, names, space)
        steps = zip(*[iter(self.log_p)] * STEPS_PER_ENTITY, strict=True)
        return [(span, math.exp(sum(triple))) for span, triple in zip(found, steps, strict=True)]


@dataclass(slots=True)
class _DecodingRow:
    """A row that is being decoded: its draft, if there is one, and what it has written so far."""

    draft: Draft | None
    ids: list[int] = field(default_factory=list)
    log_p: list[float] = field(default_factory=list)

    def guess(self, space: Space, most: int) -> list[int]:
        """Draft ids to read together with the last one; a pass writes at most one id more, and a row `most` in all."""
        room = min(GUESSED_IDS, most - len(self.ids) - 1)
        return self.draft.follow(self.ids, space)[:room] if self.draft else []

    def take(self, guess: Sequence[int], choices: Sequence[int], log_p: Sequence[float]) -> int:
        """Write the chosen id of each place, eos included, up to the first place that comes after a wrong guess.

        Returns the number of places written.
        """
        right = next((place for place, each in enumerate(guess) if choices[place] != each), len(guess)) + 1
        self.ids += choices[:right]
        self.log_p += log_p[:right]
        return right


@torch.inference_mode()
def greedy(
    backbone: Backbone,
    encoded: Encoded,
    guidance: Guidance,
    grammar: Grammar = FLAT,
    taggers: Sequence[Tensor | None] = (),
) -> list[Decoded]:
    """Decode a batch over kept keys and values; rows that have written eos leave the batch.

    Rows that have a draft tagger (`lightner.model.drafts`; `taggers` has one per row, or is empty) read a draft after
    what they have written, and write several ids a pass. Equals `greedy_reference` row by row, whatever the drafts.
    """
    cache = DecoderCache(backbone.model, encoded.hidden, encoded.attention_mask, guidance)
    space, most = encoded.space, _most_steps(backbone, encoded, grammar)
    first = space.first_word
    drafts = draft(taggers or [None] * len(encoded.hidden), encoded.candidates[:, first:], encoded.real[:, first:])
    every = rows = [_DecodingRow(each) for each in drafts]
    while rows:
        guesses = [row.guess(space, most) for row in rows]
        read = [[row.ids[-1] if row.ids else START, *guess] for row, guess in zip(rows, guesses, strict=True)]
        places = max(map(len, read))
        previous = torch.tensor([[*each, *[START] * (places - len(each))] for each in read], device=encoded.real.device)
        scores = encoded.scores(cache.read(encoded.read_back(previous)))
        allowed = _allowed(encoded, [row.ids for row in rows], guesses, grammar)
        best_p, best = log_probabilities(scores, allowed).max(dim=-1)
        written = zip(rows, guesses, best.tolist(), best_p.tolist(), strict=True)
        kept = [row.take(guess, choices, log_p) for row, guess, choices, log_p in written]
        alive = [index for index, row in enumerate(rows) if row.ids[-1] != EOS and len(row.ids) < most]
        if alive and places > 1:
            cache.retract(places, kept)
        if alive and len(alive) < len(rows):
            keep = torch.tensor(alive, device=best.device)
            encoded = encoded.select(keep)
            cache.keep(keep)
        rows = [rows[index] for index in alive]
    return [_decoded(row) for row in every]


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
        end_log_p = 0.0
        while len(ids) < _most_steps(backbone, encoded, grammar):
            previous = torch.tensor([[START, *ids]], device=index.device)
            scores = decode(backbone, alone, own, previous)[:, -1]
            allowed = torch.zeros_like(alone.real)
            allowed[0, sorted(legal(ids, alone.space, grammar))] = True
            best_p, best = log_probabilities(scores, allowed & alone.real).max(dim=-1)
            if int(best) == EOS:
                end_log_p = float(best_p)
                break
            ids.append(int(best))
            log_p.append(float(best_p))
        decoded.append(Decoded(tuple(ids), tuple(log_p), end_log_p))
    return decoded


def _most_steps(backbone: Backbone, encoded: Encoded, grammar: Grammar) -> int:
    """Whole triples up to the decoder's positions; flat output cannot hold more entities than words."""
    room = backbone.max_pieces // STEPS_PER_ENTITY
    entities = room if grammar.nested else min(room, encoded.space.words)
    return entities * STEPS_PER_ENTITY


def _decoded(row: _DecodingRow) -> Decoded:
    ended = row.ids[-1:] == [EOS]
    count = len(row.ids) - ended
    return Decoded(tuple(row.ids[:count]), tuple(row.log_p[:count]), row.log_p[-1] if ended else 0.0)


def _allowed(encoded: Encoded, written: Sequence[list[int]], guesses: Sequence[list[int]], grammar: Grammar) -> Tensor:
    """The candidates that may follow each row's ids, and each id of its guess [B, T, C]."""
    space, places = encoded.space, 1 + max(map(len, guesses))
    low, phase = [], []
    for ids, guess in zip(written, guesses, strict=True):
        together = ids + guess
        ends = [min(len(ids) + place, len(together)) for place in range(places)]
        low.append([_lowest(together, end, space, grammar) for end in ends])
        phase.append([end % STEPS_PER_ENTITY for end in ends])
    device = encoded.real.device
    at, kind = torch.tensor(low, device=device)[..., None], torch.tensor(phase, device=device)[..., None]
    columns = torch.arange(space.size, device=device)
    is_label = (columns >= FIRST_LABEL) & (columns < space.first_word)
    words = (columns >= at) | ((columns == EOS) & (kind == 0))
    return torch.where(kind == STEPS_PER_ENTITY - 1, is_label, words) & encoded.real[:, None]


def _lowest(ids: Sequence[int], end: int, space: Space, grammar: Grammar) -> int:
    """The lowest word that may follow `ids[:end]` where a word may."""
    done, phase = divmod(end, STEPS_PER_ENTITY)
    if phase:
        return ids[STEPS_PER_ENTITY * done]
    return grammar.next_start(*ids[end - 3 : end - 1]) if done else space.first_word
