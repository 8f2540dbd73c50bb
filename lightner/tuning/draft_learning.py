"""How draft taggers (`lightner.model.drafts`) are learned, from a tuned prompt's own training sentences.

Legend: W words, D width, K labels.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lightner.model import forward
from lightner.model.backbone import Backbone
from lightner.model.prompts import Prompt
from lightner.tagger import BATCH_SIZE, Row, prepare
from lightner.types import LabelSet, Sentence
from lightner.words import as_read

SENTENCES = 500
"""Sentences at most from which a draft tagger learns."""
_OUTSIDE = 0
_DECAY = 3e-3  # of weights for features of unit size; how far guesses are right hardly depends on it
_STEPS = 100


def draft_tagger(backbone: Backbone, prompt: Prompt, sentences: Sequence[Sentence]) -> Tensor:
    """What drafts for `prompt` (`lightner.model.drafts`), learned from its training sentences: a fixed sample, if many.

    Of a long sentence the first window counts. Shape: [1 + 2 K, D + 1], fp32, on the CPU.
    """
    drawn = sorted(random.Random(0).sample(range(len(sentences)), min(len(sentences), SENTENCES)))
    chosen = [as_read(sentences[index]) for index in drawn]
    words: list[Tensor] = []
    for begin in range(0, len(chosen), BATCH_SIZE):
        cropped = [sentence.words[: prompt.reach.words] for sentence in chosen[begin : begin + BATCH_SIZE]]
        work = prepare(backbone, [Row(prompt, those) for those in cropped])
        with torch.no_grad():
            encoded = forward.encode(backbone, work.batch, work.guidance, work.labels)
        candidates = encoded.candidates[:, encoded.space.first_word :]
        words += [candidates[place, : len(those)] for place, those in zip(work.places, cropped, strict=True)]
    return learn(words, chosen, prompt.labels)


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
