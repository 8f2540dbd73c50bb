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
from lightner.model.forward import START, Encoded, decode, log_probabilities, own_spaces
from lightner.model.pointers import EOS, FLAT, STEPS_PER_ENTITY, Grammar, Space, decode_ids, legal
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
    """A row that is being decoded: its grammar, its own part of the candidates, how many ids it may write, its draft,
    if there is one, and what it has written so far."""

    grammar: Grammar
    own: Space
    most: int
    draft: Draft | None
    ids: list[int] = field(default_factory=list)
    log_p: list[float] = field(default_factory=list)

    def guess(self, space: Space) -> list[int]:
        """Draft ids to read together with the last one; a pass writes at most one id more, and a row `most` in all."""
        room = min(GUESSED_IDS, self.most - len(self.ids) - 1)
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
    grammars: Sequence[Grammar] = (),
    taggers: Sequence[Tensor | None] = (),
) -> list[Decoded]:
    """Decode a batch over kept keys and values, each row by its own grammar; rows that have written eos leave it.

    Without `grammars` all rows are flat. Rows that have a draft tagger (`lightner.model.drafts`; `taggers` has one per
    row, or is empty) read a draft after what they have written, and write several ids a pass. Equals `greedy_reference`
    row by row, whatever the drafts.
    """
    cache = DecoderCache(backbone, encoded.hidden, encoded.attention_mask, guidance)
    space = encoded.space
    every = rows = _rows(backbone, encoded, grammars, taggers)
    while rows:
        guesses = [row.guess(space) for row in rows]
        read = [[row.ids[-1] if row.ids else START, *guess] for row, guess in zip(rows, guesses, strict=True)]
        places = max(map(len, read))
        previous = torch.tensor([[*each, *[START] * (places - len(each))] for each in read], device=encoded.real.device)
        scores = encoded.scores(cache.read(encoded.read_back(previous)))
        allowed = _allowed(encoded, rows, guesses)
        best_p, best = log_probabilities(scores, allowed).max(dim=-1)
        written = zip(rows, guesses, best.tolist(), best_p.tolist(), strict=True)
        kept = [row.take(guess, choices, log_p) for row, guess, choices, log_p in written]
        alive = [index for index, row in enumerate(rows) if row.ids[-1] != EOS and len(row.ids) < row.most]
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
        [has] = own_spaces(alone.real, alone.space)
        ids: list[int] = []
        log_p: list[float] = []
        end_log_p = 0.0
        while len(ids) < _most_steps(backbone, encoded, grammar):
            previous = torch.tensor([[START, *ids]], device=index.device)
            scores = decode(backbone, alone, own, previous)[:, -1]
            allowed = torch.zeros_like(alone.real)
            allowed[0, sorted(legal(ids, alone.space, grammar, has))] = True
            best_p, best = log_probabilities(scores, allowed & alone.real).max(dim=-1)
            if int(best) == EOS:
                end_log_p = float(best_p)
                break
            ids.append(int(best))
            log_p.append(float(best_p))
        decoded.append(Decoded(tuple(ids), tuple(log_p), end_log_p))
    return decoded


def _rows(
    backbone: Backbone, encoded: Encoded, grammars: Sequence[Grammar], taggers: Sequence[Tensor | None]
) -> list[_DecodingRow]:
    """The rows of a batch before anything is written."""
    first, count = encoded.space.first_word, len(encoded.hidden)
    drafts = draft(taggers or [None] * count, encoded.candidates[:, first:], encoded.real[:, first:])
    own = grammars or [FLAT] * count
    most = [_most_steps(backbone, encoded, grammar) for grammar in own]
    return list(map(_DecodingRow, own, own_spaces(encoded.real, encoded.space), most, drafts))


def _most_steps(backbone: Backbone, encoded: Encoded, grammar: Grammar) -> int:
    """Whole triples up to the decoder's positions; flat output cannot hold more entities than words."""
    room = backbone.max_pieces // STEPS_PER_ENTITY
    entities = room if grammar.nested else min(room, encoded.space.words)
    return entities * STEPS_PER_ENTITY


def _decoded(row: _DecodingRow) -> Decoded:
    ended = row.ids[-1:] == [EOS]
    count = len(row.ids) - ended
    return Decoded(tuple(row.ids[:count]), tuple(row.log_p[:count]), row.log_p[-1] if ended else 0.0)


def _allowed(encoded: Encoded, rows: Sequence[_DecodingRow], guesses: Sequence[list[int]]) -> Tensor:
    """The candidates that may follow each row's ids, and each id of its guess [B, T, C]."""
    space, places = encoded.space, 1 + max(map(len, guesses))
    bounds, is_start = [], []
    for row, guess in zip(rows, guesses, strict=True):
        together = row.ids + guess
        ends = [min(len(row.ids) + place, len(together)) for place in range(places)]
        bounds.append([row.grammar.choices(together, end, space, row.own) for end in ends])
        is_start.append([end % STEPS_PER_ENTITY == 0 for end in ends])
    device = encoded.real.device
    first, last = torch.tensor(bounds, device=device).unbind(-1)
    columns = torch.arange(space.size, device=device)
    within = (columns >= first[..., None]) & (columns <= last[..., None])
    ending = (columns == EOS) & torch.tensor(is_start, device=device)[..., None]
    return (within | ending) & encoded.real[:, None]
