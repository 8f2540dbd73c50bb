"""What pretraining minimises: the pointer loss with the label words as a prompt, and prompts that come and go.

The same candidates, grammar and loss as prompt tuning; here the backbone learns too. Each source has its own prompt
of random length, all share a default one, and either is sometimes absent, so that a fresh prompt has leverage later.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightner.model.backbone import Backbone
from lightner.model.batching import collate, encode
from lightner.model.forward import decode, legal_mask, pointer_loss, shift, stack_labels
from lightner.model.forward import encode as encode_batch
from lightner.model.prompts import NO_GUIDANCE, Guidance, concatenate
from lightner.model.starts import label_guidance
from lightner.model.verbalizer import average, label_pieces
from lightner.pretraining.mixture import Draw
from lightner.tuning.training import target_ids
from lightner.types import LabelSet, Sentence

PROMPT_LENGTH = 16
DEFAULT = "default"
_LABELS_SHARE = 0.9
_OWN_SHARE = 0.4
_DEFAULT_SHARE = 0.4


class Pretrainer(nn.Module):
    """The backbone and one plain prompt per source, [L, 1, H, P, D/H] at each site."""

    def __init__(self, backbone: Backbone, sources: Sequence[str]) -> None:
        super().__init__()
        self.backbone = backbone
        self.model = backbone.model
        self.prompts = nn.ModuleDict({_key(name): _PlainPrompt(backbone) for name in (DEFAULT, *sources)})

    def forward(self, draw: Draw, rng: random.Random) -> Tensor:
        """Loss of one batch; `rng` draws which prompts are present."""
        return batch_loss(self.backbone, draw.sentences, draw.labels, self._free(draw.source, rng), rng)

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


def batch_loss(
    backbone: Backbone, sentences: Sequence[Sentence], labels: LabelSet, free: Guidance, rng: random.Random
) -> Tensor:
    """Pointer loss of sentences under a label set, with `free` slots behind the label slots."""
    pieces = label_pieces(backbone.tokenizer, labels).to(backbone.device)
    weights = torch.zeros(pieces.ids.shape, device=backbone.device)
    vectors = average(weights, pieces, backbone.embedding)
    guidance = free
    if rng.random() < _LABELS_SHARE or not free.length:
        guidance = concatenate(label_guidance(backbone, pieces, vectors), free)
    examples = encode(backbone.tokenizer, [sentence.words for sentence in sentences])
    batch = collate(examples, pad=backbone.tokenizer.pad_token_id, device=backbone.device)
    encoded = encode_batch(backbone, batch, guidance, stack_labels([vectors], [0] * batch.size))
    targets = target_ids(sentences, labels, encoded.space).to(backbone.device)
    scores = decode(backbone, encoded, guidance, shift(targets))
    return pointer_loss(scores, targets, legal_mask(targets, encoded.real, encoded.space))


class _PlainPrompt(nn.Module):
    """Free slots that begin at the backbone's default ones where it has some, else at random."""

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
