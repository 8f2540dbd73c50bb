"""The pretraining loss: the pointer loss with the label words as a prompt, and learned prompts added at random.

The same candidates, grammar and loss as prompt tuning; here the backbone learns too. Each source has its own prompt
of random length, all share a default one, and either is sometimes absent, so that new prompts have an effect later.
An auxiliary loss trains the encoder to say which words are inside an entity of which label, which it would otherwise
learn through the decoder's pointers only. Legend: B batch, W words, K labels, D width.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightner.model.backbone import Backbone
from lightner.model.batching import Batch, collate, encode
from lightner.model.forward import Encoded, decode, legal_mask, pointer_loss, shift, stack_labels
from lightner.model.forward import encode as encode_batch
from lightner.model.label_states import label_states
from lightner.model.prompts import NO_GUIDANCE, Guidance, concatenate
from lightner.model.verbalizer import label_pieces
from lightner.pretraining.mixture import Draw
from lightner.tuning.training import target_ids
from lightner.types import LabelSet, Sentence

PROMPT_LENGTH = 16
DEFAULT = "default"
WORD_LOSS_WEIGHT = 0.5
_LABELS_SHARE = 0.95
_OWN_SHARE = 0.4
_DEFAULT_SHARE = 0.4
_RARE = -3.0  # initial bias of the word loss: most words are outside all entities


class WordLabels(nn.Module):
    """Predicts from encoder states whether each word is inside an entity of each label; dropped after pretraining."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.word, self.label = nn.Linear(width, width), nn.Linear(width, width)
        self.bias = nn.Parameter(torch.tensor(_RARE))

    def forward(self, words: Tensor, labels: Tensor) -> Tensor:
        """Shape: words [B, W, D], labels [K, D] -> logits [B, W, K]."""
        logits: Tensor = self.word(words) @ self.label(labels).T / words.shape[-1] ** 0.5 + self.bias
        return logits


class Pretrainer(nn.Module):
    """The backbone, one plain prompt per source, [L, 1, H, P, D/H] at each site, and the auxiliary word labels, whose
    loss counts for `word_loss` of the pointer loss."""

    def __init__(self, backbone: Backbone, sources: Sequence[str], *, word_loss: float = WORD_LOSS_WEIGHT) -> None:
        super().__init__()
        self.word_loss = word_loss
        self.backbone = backbone
        self.model = backbone.model
        self.prompts = nn.ModuleDict({_key(name): _PlainPrompt(backbone) for name in (DEFAULT, *sources)})
        self.word_labels = WordLabels(backbone.shape.width)

    def forward(self, draw: Draw, rng: random.Random) -> Tensor:
        """Loss of one batch; `rng` draws which prompts are present."""
        free = self._free(draw.source, rng)
        with_slots = rng.random() < _LABELS_SHARE or not free.length
        pointers, words = losses(self, draw.sentences, draw.labels, free, label_slots=with_slots)
        return pointers + self.word_loss * words

    def default(self) -> Guidance:
        guidance: Guidance = self.prompts[_key(DEFAULT)]()
        return guidance.map(lambda tensor: tensor.detach())

    def _free(self, source: str, rng: random.Random) -> Guidance:
        chance = rng.random()
        if chance < _OWN_SHARE and _key(source) in self.prompts:
            name = source
        elif chance < _OWN_SHARE + _DEFAULT_SHARE:
            name = DEFAULT
        else:
            return NO_GUIDANCE
        guidance: Guidance = self.prompts[_key(name)]()
        length = rng.randint(PROMPT_LENGTH // 4, PROMPT_LENGTH)
        return guidance.map(lambda tensor: tensor[..., :length, :])


@dataclass(frozen=True)
class ReadBatch:
    """A batch as the model read it, its sentences ordered by length, and its pointer loss."""

    sentences: tuple[Sentence, ...]
    batch: Batch
    encoded: Encoded
    vectors: Tensor
    pointer_loss: Tensor


def read(
    backbone: Backbone, sentences: Sequence[Sentence], labels: LabelSet, free: Guidance, *, label_slots: bool = True
) -> ReadBatch:
    """Read sentences under a label set, with `free` slots after the label slots, if any."""
    states = label_states(backbone, label_pieces(backbone.tokenizer, labels).to(backbone.device))
    vectors = states.vectors
    guidance = concatenate(states.slots, free) if label_slots else free
    ordered = sorted(sentences, key=lambda sentence: len(sentence.words))  # as the encoder reads them
    examples = encode(backbone.tokenizer, [sentence.words for sentence in ordered])
    batch = collate(examples, pad=backbone.tokenizer.pad_token_id, device=backbone.device)
    encoded = encode_batch(backbone, batch, guidance, stack_labels([vectors], [0] * batch.size))
    targets = target_ids(ordered, labels, encoded.space).to(backbone.device)
    scores = decode(backbone, encoded, guidance, shift(targets))
    loss = pointer_loss(scores, targets, legal_mask(targets, encoded.real, encoded.space))
    return ReadBatch(tuple(ordered), batch, encoded, vectors, loss)


def losses(
    pretrainer: Pretrainer, sentences: Sequence[Sentence], labels: LabelSet, free: Guidance, *, label_slots: bool
) -> tuple[Tensor, Tensor]:
    """The pointer loss and the word loss of sentences under a label set."""
    found = read(pretrainer.backbone, sentences, labels, free, label_slots=label_slots)
    wanted = inside(found.sentences, labels)
    return found.pointer_loss, _word_loss(pretrainer.word_labels, found.encoded, found.batch, found.vectors, wanted)


def inside(sentences: Sequence[Sentence], labels: LabelSet) -> Tensor:
    """1 for each word inside an entity of a label, else 0: [B, W, K]."""
    found = torch.zeros(len(sentences), max(len(sentence.words) for sentence in sentences), len(labels))
    place = {name: number for number, name in enumerate(labels.names)}
    for row, sentence in enumerate(sentences):
        for span in sentence.spans:
            found[row, span.start : span.end, place[span.label]] = 1.0
    return found


def _word_loss(head: nn.Module, encoded: Encoded, batch: Batch, vectors: Tensor, wanted: Tensor) -> Tensor:
    """Binary cross-entropy, summed over labels, averaged over words without padding."""
    at = batch.word_first[..., None].expand(-1, -1, encoded.hidden.shape[-1])
    logits = head(encoded.hidden.gather(1, at), vectors)
    each = F.binary_cross_entropy_with_logits(logits.float(), wanted.to(logits.device), reduction="none")
    real = torch.arange(each.shape[1], device=each.device)[None] < batch.word_count[:, None]
    return (each * real[..., None]).sum() / real.sum()


class _PlainPrompt(nn.Module):
    """Free slots that start from the backbone's default ones if it has some, otherwise at random."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        shape = backbone.shape
        self.slots = nn.ParameterDict()
        for site, layers in shape.site_layers.items():
            size = (layers, 1, shape.heads[site], PROMPT_LENGTH, shape.head_size(site))
            self.slots[f"key_{site}"] = nn.Parameter(0.3 * torch.randn(size))
            self.slots[f"value_{site}"] = nn.Parameter(0.1 * torch.randn(size))
        if backbone.default.length == PROMPT_LENGTH:
            for name, tensor in backbone.default.tensors().items():
                self.slots[name.replace(".", "_")].data.copy_(tensor)

    def forward(self) -> Guidance:
        return Guidance.from_tensors({name.replace("_", ".", 1): slot for name, slot in self.slots.items()})


def _key(source: str) -> str:
    return source.replace(".", "_")
