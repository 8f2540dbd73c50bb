"""Drafts of what decoding will write, by a linear tagger over the candidates: they save passes and change no output.

Decoding reads a draft after what it has written, in one pass, and keeps what it would have written anyway
(docs/decisions/0008; greedy speculative decoding, Leviathan et al. 2023). Tags of K labels: 0 outside, 1 + 2 c the
first word of class c, 2 + 2 c a further one. Legend: B batch, W words, D width, K labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightner.model.pointers import FIRST_LABEL, STEPS_PER_ENTITY, Space

_OUTSIDE = 0


@dataclass(frozen=True, slots=True)
class Draft:
    """What one row may hold: entities as (first word, last word), and the likeliest class of each word."""

    entities: tuple[tuple[int, int], ...]
    classes: Sequence[int]

    def follow(self, ids: Sequence[int], space: Space) -> list[int]:
        """Candidate ids, without eos, that may come after `ids`: the rest of an entity begun, then later ones."""
        phase = len(ids) % STEPS_PER_ENTITY
        begun = [each - space.first_word for each in ids[len(ids) - phase :]]
        guess: list[int] = []
        if phase:
            start = begun[0]
            end = begun[1] if phase == 2 else max([b for a, b in self.entities if a <= start <= b], default=start)
            guess = self._triple(start, end, space)[phase:]
            after = end + 1
        else:
            after = ids[-2] - space.first_word + 1 if ids else 0
        for start, end in self.entities:
            if start >= after:
                guess += self._triple(start, end, space)
        return guess

    def _triple(self, start: int, end: int, space: Space) -> list[int]:
        return [space.first_word + start, space.first_word + end, FIRST_LABEL + self.classes[end]]


def draft(taggers: Sequence[Tensor | None], words: Tensor, real: Tensor) -> list[Draft | None]:
    """Drafts of a batch, each row's by its own tagger; none where there is none.

    Shape: taggers, each [1 + 2 K, D + 1]; words [B, W, D]; real [B, W], False where a row has no word.
    """
    present = [tagger for tagger in taggers if tagger is not None]
    if not present:
        return [None] * len(taggers)
    nothing = present[0][:1]
    padded = torch.nn.utils.rnn.pad_sequence([nothing if each is None else each for each in taggers], batch_first=True)
    scores = torch.baddbmm(padded[:, None, :, -1], words, padded[..., :-1].transpose(1, 2)).float()
    sizes = torch.tensor([1 if each is None else len(each) for each in taggers], device=words.device)
    absent = torch.arange(padded.shape[1], device=words.device) >= sizes[:, None, None]
    scores = scores.masked_fill(absent, -torch.inf)
    tags = scores.argmax(dim=-1).masked_fill(~real, _OUTSIDE).tolist()
    classes = torch.logaddexp(scores[..., 1::2], scores[..., 2::2]).argmax(dim=-1).tolist()
    rows = zip(taggers, tags, classes, strict=True)
    return [None if each is None else Draft(tuple(_entities(mine)), best) for each, mine, best in rows]


def _entities(tags: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last words of entities: a further word of any class continues the entity before it."""
    start = None
    for place, tag in enumerate([*tags, _OUTSIDE]):
        begins, inside = tag % 2 == 1, tag != _OUTSIDE and tag % 2 == 0
        if start is not None and not inside:
            yield start, place - 1
            start = None
        if begins:
            start = place
