"""How much of texts a backbone's vocabulary has: it cannot tell apart words that it reads as the unknown token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from lightner.model.batching import encode
from lightner.model.languages import special_tokens

_BATCH = 4096  # words


@dataclass(frozen=True, slots=True)
class Coverage:
    """The sub-words of texts, how many of them are the unknown token, and the words in which that is, commonest first.

    Words that differ in case alone may be counted apart.
    """

    pieces: int
    unknown: int
    words: tuple[str, ...]

    @property
    def share(self) -> float:
        """The share of unknown sub-words."""
        return self.unknown / self.pieces if self.pieces else 0.0


def coverage(tokenizer: PreTrainedTokenizerBase, texts: Iterable[Sequence[str]]) -> Coverage:
    """Counts over texts that are split into words; a word without any sub-word is read as the unknown token."""
    counts = Counter(word for words in texts for word in words)
    distinct = sorted(counts)
    before, after = map(len, special_tokens(tokenizer))
    total = missing = 0
    without: Counter[str] = Counter()
    for first in range(0, len(distinct), _BATCH):
        batch = distinct[first : first + _BATCH]
        for word, example in zip(batch, encode(tokenizer, [[word] for word in batch]), strict=True):
            pieces = example.pieces[before : len(example.pieces) - after]
            unknown = pieces.count(tokenizer.unk_token_id)
            total += counts[word] * len(pieces)
            missing += counts[word] * unknown
            if unknown:
                without[word] = counts[word]
    return Coverage(total, missing, tuple(word for word, _ in without.most_common()))
