"""Drafts of what decoding will write, by a linear tagger over the candidates: they save passes and change no output.

Decoding reads a draft behind what it has written, in one pass, and keeps what it would have written anyway
(docs/decisions/0008; greedy speculative decoding, Leviathan et al. 2023). Tags of K labels: 0 outside, 1 + 2 c the
first word of class c, 2 + 2 c a further one. Legend: B batch, W words, D width, K labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lightner.pointers import FIRST_LABEL, STEPS_PER_ENTITY, Space
from lightner.types import LabelSet, Sentence

SENTENCES = 500
"""Sentences at most from which a draft tagger learns."""
_OUTSIDE = 0
_DECAY = 3e-3  # of weights for features of unit size; how far guesses are right hardly depends on it
_STEPS = 100


@dataclass(frozen=True, slots=True)
class Draft:
    """What one row may hold: entities as (first word, last word), and the likeliest class of each word."""

    entities: tuple[tuple[int, int], ...]
    classes: Sequence[int]

    def follow(self, ids: Sequence[int], space: Space) -> list[int]:
        """Candidate ids, without eos, that may come after `ids`: the rest of an entity begun, then those behind it."""
        phase = len(ids) % STEPS_PER_ENTITY
        begun = [each - space.first_word for each in ids[len(ids) - phase :]]
        guess: list[int] = []
        if phase:
            start = begun[0]
            end = begun[1] if phase == 2 else max([b for a, b in self.entities if a <= start <= b], default=start)
            guess = self._triple(start, end, space)[phase:]
            behind = end + 1
        else:
            behind = ids[-2] - space.first_word + 1 if ids else 0
        for start, end in self.entities:
            if start >= behind:
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


def learn(words: Sequence[Tensor], sentences: Sequence[Sentence], labels: LabelSet) -> Tensor:
    """A tagger [1 + 2 K, D + 1], the last column of which is the bias.

    Shape: words, for each sentence [W, D] or fewer words than it has; a span counts where all its words are there.
    Logistic regression with weight decay, on the CPU in fp32: seconds for hundreds of sentences.
    """
    features = torch.cat([each.float().cpu() for each in words])
    pairs = zip(words, sentences, strict=True)
    tags = torch.tensor([tag for each, sentence in pairs for tag in _tags(sentence, labels, len(each))])
    size = features.square().mean().sqrt().clamp(min=1e-6)
    features = F.pad(features / size, (0, 1), value=1.0)
    tagger = torch.zeros(1 + 2 * len(labels.names), features.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([tagger], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(features @ tagger.T, tags) + _DECAY * tagger[:, :-1].square().sum()
        torch.autograd.backward(loss)
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    learned = tagger.detach()
    return torch.cat([learned[:, :-1] / size, learned[:, -1:]], dim=1)


def _tags(sentence: Sentence, labels: LabelSet, count: int) -> list[int]:
    tags = [_OUTSIDE] * count
    for span in sentence.spans:
        if span.end <= count:
            begin = 1 + 2 * labels.names.index(span.label)
            tags[span.start : span.end] = [begin, *[begin + 1] * (span.end - span.start - 1)]
    return tags


def _entities(tags: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last words of entities: a further word of any class goes on with the entity before it."""
    start = None
    for place, tag in enumerate([*tags, _OUTSIDE]):
        begins, inside = tag % 2 == 1, tag != _OUTSIDE and tag % 2 == 0
        if start is not None and not inside:
            yield start, place - 1
            start = None
        if begins:
            start = place
