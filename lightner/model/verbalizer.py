"""The answer space: one vector per label, a learned weighted average of its label words' embeddings.

Source: paper, section 3.2 ("semantic-aware answer space"). There is no label-specific classifier.
Legend: K labels, J label-word pieces, D width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from lightner.types import LabelSet


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
    pieces = iter(tokenizer(every, add_special_tokens=False)["input_ids"])
    rows = [[piece for _ in words for piece in next(pieces)] or [unknown] for words in labels.words]
    longest = max(len(row) for row in rows)
    ids = torch.tensor([row + [unknown] * (longest - len(row)) for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    return LabelPieces(ids, torch.arange(longest) < lengths[:, None])


def average(weights: Tensor, pieces: LabelPieces, embedding: Tensor) -> Tensor:
    """`v_c = sum_j softmax(alpha_c)_j E(label word j)`.

    Shape: weights [K, J], embedding [vocabulary, D] -> [K, D].
    """
    share = weights.masked_fill(~pieces.mask, -torch.inf).softmax(dim=-1)
    return torch.einsum("kj,kjd->kd", share.to(embedding.dtype), embedding[pieces.ids])


class Verbalizer(nn.Module):
    """The learned weights `alpha` [K, J]; they begin at zero, the plain average."""

    def __init__(self, pieces: LabelPieces) -> None:
        super().__init__()
        self.pieces = pieces
        self.weights = nn.Parameter(torch.zeros(pieces.ids.shape))

    def forward(self, embedding: Tensor) -> Tensor:
        """Label vectors [K, D] in the backbone's `embedding` [vocabulary, D]."""
        return average(self.weights, self.pieces, embedding)
