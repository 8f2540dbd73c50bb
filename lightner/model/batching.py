"""Sentences to tensors: sub-words, word positions and padding. Knows no labels and no prompts.

Legend: B batch, S sub-words, W words.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from lightner.types import InputError
from lightner.words import is_unspaced

_SPACE = "\u2581"  # as SentencePiece writes it
_GROUP_COST = 50  # padded places; measured, docs/decisions/0009


@dataclass(frozen=True, slots=True)
class Example:
    """Sub-word ids of one sentence with the model's special tokens, and each word's first sub-word."""

    pieces: tuple[int, ...]
    word_first: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """Padded sentences.

    Shape: input_ids, attention_mask [B, S]; word_first [B, W] (0 where padded); word_count [B].
    """

    input_ids: Tensor
    attention_mask: Tensor
    word_first: Tensor
    word_count: Tensor

    @property
    def size(self) -> int:
        return self.input_ids.shape[0]


def encode(tokenizer: PreTrainedTokenizerBase, sentences: Sequence[Sequence[str]]) -> list[Example]:
    """Sub-words of pre-split sentences.

    A word that the tokenizer leaves nothing of (a lone control character) becomes the unknown token, so that every
    word can be pointed at. A sub-word that is a space alone is left out before words that are written without one.

    Raises:
        InputError: a sentence without words.
    """
    for number, words in enumerate(sentences):
        if not words:
            raise InputError(f"sentence {number}: found no words, expected at least one")
    if not sentences:
        return []
    space = lone_space(tokenizer)
    encoded = tokenizer([list(words) for words in sentences], is_split_into_words=True)
    examples = []
    for row, words in enumerate(sentences):
        pieces, places = encoded["input_ids"][row], encoded.word_ids(row)
        first = _first_pieces(places, len(words))
        if first is None:
            known = [w if tokenizer.tokenize(" " + w) else tokenizer.unk_token for w in words]
            again = tokenizer([known], is_split_into_words=True)
            pieces, places = again["input_ids"][0], again.word_ids(0)
            first = _first_pieces(places, len(words))
            assert first is not None, f"words without sub-words remain in {known}"
        example = Example(tuple(pieces), first)
        examples.append(example if space is None else _without_spaces(example, words, places, space))
    return examples


def lone_space(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The id of the sub-word that is a space alone, as SentencePiece has it; None for a tokenizer without one."""
    found = tokenizer.convert_tokens_to_ids(_SPACE)
    return None if found in (None, tokenizer.unk_token_id) else int(found)


def _without_spaces(example: Example, words: Sequence[str], places: Sequence[int | None], space: int) -> Example:
    """Without the space alone that begins a word written without one: else it would be what all such words have."""
    left_out = {
        first
        for word, first in zip(words, example.word_first, strict=True)
        if example.pieces[first] == space and places[first + 1 : first + 2] == [places[first]] and is_unspaced(word)
    }
    if not left_out:
        return example
    pieces = tuple(piece for place, piece in enumerate(example.pieces) if place not in left_out)
    before = sorted(left_out)
    return Example(pieces, tuple(first - bisect_left(before, first) for first in example.word_first))


def collate(examples: Sequence[Example], *, pad: int, device: torch.device | str = "cpu") -> Batch:
    """Pad examples to one batch; `pad` is the tokenizer's padding id."""
    longest = max(len(example.pieces) for example in examples)
    widest = max(len(example.word_first) for example in examples)
    ids = torch.tensor([[*e.pieces, *[pad] * (longest - len(e.pieces))] for e in examples])
    first = torch.tensor([[*e.word_first, *[0] * (widest - len(e.word_first))] for e in examples])
    lengths = torch.tensor([len(e.pieces) for e in examples])
    mask = torch.arange(longest) < lengths[:, None]
    counts = torch.tensor([len(e.word_first) for e in examples])
    return Batch(ids.to(device), mask.to(device), first.to(device), counts.to(device))


def by_length(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Where to cut a batch with rows of these lengths, so that little of what is computed is padding: [begin, end).

    Of all ways to cut, the one of the fewest padded places, where each group counts as `_GROUP_COST` places more. Rows
    that are sorted by length are cut best.
    """
    cheapest: list[tuple[int, int]] = [(0, 0)]  # for so many rows: cost, begin of the last group
    for end in range(1, len(lengths) + 1):
        longest, ways = 0, []
        for begin in range(end - 1, -1, -1):
            longest = max(longest, lengths[begin])
            ways.append((cheapest[begin][0] + _GROUP_COST + (end - begin) * longest, begin))
        cheapest.append(min(ways))
    groups, end = [], len(lengths)
    while end:
        begin = cheapest[end][1]
        groups.append((begin, end))
        end = begin
    return groups[::-1]


def _first_pieces(word_ids: Sequence[int | None], words: int) -> tuple[int, ...] | None:
    first: dict[int, int] = {}
    for position, word in enumerate(word_ids):
        if word is not None:
            first.setdefault(word, position)
    return tuple(first[word] for word in range(words)) if len(first) == words else None
