"""The answer space: one vector per label, a learned weighted average of its label words, and a learned residual.

Source: paper, section 3.2 ("semantic-aware answer space"). There is no label-specific classifier. Label words are read
in context (`label_states`), so that a label is more than a bag of words; the residual, which begins at zero, separates
labels whose words are equal. Legend: K labels, J label-word pieces, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from lightner.model.batching import lone_space
from lightner.types import LabelSet, alike
from lightner.words import is_unspaced


@dataclass(frozen=True)
class LabelPieces:
    """Sub-word ids [K, J] of each label's words, padded, and which of them are real [K, J]."""

    ids: Tensor
    mask: Tensor

    def to(self, device: torch.device | str) -> LabelPieces:
        return LabelPieces(self.ids.to(device), self.mask.to(device))


def label_pieces(tokenizer: PreTrainedTokenizerBase, labels: LabelSet) -> LabelPieces:
    """Sub-words of the label words; a word without any becomes the unknown token."""
    unknown = tokenizer.unk_token_id
    every = [" " + word for words in labels.words for word in words]  # at once: a call costs more than a word
    pieces = map(_shown, every, tokenizer(every, add_special_tokens=False)["input_ids"], repeat(lone_space(tokenizer)))
    rows = [[piece for _ in words for piece in next(pieces)] or [unknown] for words in labels.words]
    longest = max(len(row) for row in rows)
    ids = torch.tensor([row + [unknown] * (longest - len(row)) for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    return LabelPieces(ids, torch.arange(longest) < lengths[:, None])


def _shown(word: str, pieces: list[int], space: int | None) -> list[int]:
    """A label word's pieces as those of a text's word: without a space alone before a word written without one."""
    left_out = len(pieces) > 1 and pieces[0] == space and is_unspaced(word[1:])
    return pieces[1:] if left_out else pieces


def labels_alike(labels: LabelSet, pieces: LabelPieces) -> tuple[tuple[str, ...], ...]:
    """Groups of labels that the backbone cannot tell apart by their words, since these have equal sub-words.

    Of such labels an untuned prompt only ever predicts the first; tuning has nothing but their residuals to part them.
    Names that differ in case, signs or white space alone are in one group, and so are words outside the vocabulary.
    """
    rows = zip(pieces.ids.tolist(), pieces.mask.sum(dim=1).tolist(), strict=True)
    return alike(labels.names, (tuple(ids[:count]) for ids, count in rows))


def average(weights: Tensor, mask: Tensor, pieces: Tensor) -> Tensor:
    """`v_c = sum_j softmax(alpha_c)_j (label word piece j)`, over the real pieces.

    Shape: weights, mask [K, J], pieces [K, J, D] -> [K, D].
    """
    share = weights.masked_fill(~mask, -torch.inf).softmax(dim=-1)
    return torch.einsum("kj,kjd->kd", share.to(pieces.dtype), pieces)


class Verbalizer(nn.Module):
    """The learned weights `alpha` [K, J] and residuals [K, D]; at zero they give the plain average."""

    pieces: Tensor
    mask: Tensor

    def __init__(self, pieces: Tensor, mask: Tensor) -> None:
        """Shape: pieces [K, J, D], what the frozen backbone makes of each piece; mask [K, J], True where it is real."""
        super().__init__()
        self.register_buffer("pieces", pieces.detach(), persistent=False)
        self.register_buffer("mask", mask, persistent=False)
        self.weights = nn.Parameter(torch.zeros(mask.shape, device=pieces.device))
        self.residual = nn.Parameter(torch.zeros((len(mask), pieces.shape[-1]), device=pieces.device))

    def forward(self) -> Tensor:
        """Label vectors [K, D]."""
        return average(self.weights, self.mask, self.pieces) + self.residual
