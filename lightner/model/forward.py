"""LightNER's forward pass: candidates, scores, and the loss over what the grammar allows.

A frozen backbone plus a guidance and label vectors; holds no trainable weights of its own. `forward` writes nothing.
Legend: B batch, S sub-words, W words, T steps, K labels, C candidates = 1 + K + W, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lightner.model._attention import guided
from lightner.model.backbone import Backbone
from lightner.model.batching import Batch, by_length
from lightner.model.pointers import EOS, FIRST_LABEL, FLAT, NESTED, STEPS_PER_ENTITY, Grammar, Space
from lightner.model.prompts import Guidance

IGNORE = -100


@dataclass(frozen=True)
class Labels:
    """Label vectors of a batch [B or 1, K, D] and how many of them each row has [B or 1]."""

    vectors: Tensor
    count: Tensor


@dataclass(frozen=True)
class Encoded:
    """What decoding needs of an encoded batch.

    Shape:
        hidden [B, S, D], attention_mask [B, S]: the encoder's output.
        candidates [B, C, D]: rows to score against. inputs [B, C + 1, D]: what the decoder reads back for each
        candidate; the last row is the start of a sequence. real [B, C]: candidates that exist in that row.
    """

    hidden: Tensor
    attention_mask: Tensor
    candidates: Tensor
    inputs: Tensor
    real: Tensor
    space: Space

    def select(self, rows: Tensor) -> Encoded:
        """Rows of the batch by index."""
        return Encoded(
            hidden=self.hidden.index_select(0, rows),
            attention_mask=self.attention_mask.index_select(0, rows),
            candidates=self.candidates.index_select(0, rows),
            inputs=self.inputs.index_select(0, rows),
            real=self.real.index_select(0, rows),
            space=self.space,
        )

    def read_back(self, previous: Tensor) -> Tensor:
        """What the decoder reads for candidates `previous` [B, T], or `START` -> [B, T, D]."""
        row = torch.where(previous < 0, self.space.size, previous)
        return self.inputs.gather(1, row[..., None].expand(-1, -1, self.inputs.shape[-1]))

    def scores(self, states: Tensor) -> Tensor:
        """Scores of the candidates for decoder states [B, T, D] -> [B, T, C]."""
        return states @ self.candidates.transpose(1, 2)


def stack_labels(vectors: Sequence[Tensor], rows: Sequence[int]) -> Labels:
    """Labels of a batch whose row b uses `vectors[rows[b]]` [K, D]; label counts may differ."""
    if len(vectors) == 1:
        return Labels(vectors[0][None], torch.tensor([len(vectors[0])], device=vectors[0].device))
    padded = torch.nn.utils.rnn.pad_sequence(list(vectors), batch_first=True)
    index = torch.tensor(rows, device=padded.device)
    counts = torch.tensor([len(those) for those in vectors], device=padded.device)
    return Labels(padded.index_select(0, index), counts.index_select(0, index))


def encode(backbone: Backbone, batch: Batch, guidance: Guidance, labels: Labels) -> Encoded:
    """Run the encoder and lay out each row's candidates `[eos, labels, words]` (paper, section 3.1)."""
    hidden = _read(backbone, batch, guidance)
    rows, width = batch.size, hidden.shape[-1]
    embedding, config = backbone.embedding, backbone.model.config
    at = batch.word_first[..., None].expand(-1, -1, width)
    words_read = embedding[batch.input_ids.gather(1, batch.word_first)]
    words_scored = (hidden.gather(1, at) + words_read) / 2
    classes = labels.vectors.to(hidden.dtype).expand(rows, -1, -1)
    eos = embedding[config.eos_token_id].expand(rows, 1, -1)
    start = embedding[config.decoder_start_token_id].expand(rows, 1, -1)
    space = Space(labels=classes.shape[1], words=batch.word_first.shape[1])
    return Encoded(
        hidden=hidden,
        attention_mask=batch.attention_mask,
        candidates=torch.cat([eos, classes, words_scored], dim=1),
        inputs=torch.cat([eos, classes, words_read, start], dim=1) * backbone.input_scale,
        real=_real(space, labels.count, batch.word_count),
        space=space,
    )


def _read(backbone: Backbone, batch: Batch, guidance: Guidance) -> Tensor:
    """The encoder's output [B, S, D], zero where a row is padded unless all rows were read at once."""
    longest = batch.input_ids.shape[1]
    lengths = batch.attention_mask.sum(dim=1).tolist() if backbone.reads_by_length else [longest]
    groups = by_length(lengths)
    if len(groups) == 1:
        return _encoder(backbone, batch.input_ids, batch.attention_mask, guidance)
    parts = []
    for begin, end in groups:
        width = max(lengths[begin:end])
        ids, mask = batch.input_ids[begin:end, :width], batch.attention_mask[begin:end, :width]
        part = _encoder(backbone, ids, mask, guidance.part(begin, end))
        parts.append(F.pad(part, (0, 0, 0, longest - width)))
    return torch.cat(parts)


def _encoder(backbone: Backbone, ids: Tensor, mask: Tensor, guidance: Guidance) -> Tensor:
    if not torch.is_grad_enabled():
        return backbone.read(ids, mask, guidance)
    with guided(guidance):  # the stock modules, which know dropout
        hidden: Tensor = backbone.model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
    return hidden


def decode(backbone: Backbone, encoded: Encoded, guidance: Guidance, previous: Tensor) -> Tensor:
    """Scores of every candidate at every step, before the grammar, in one pass.

    Shape: previous [B, T], the candidate read at each step (`START` first) -> [B, T, C].
    """
    with guided(guidance):
        states = (
            backbone.model.get_decoder()(
                inputs_embeds=encoded.read_back(previous),
                encoder_hidden_states=encoded.hidden,
                encoder_attention_mask=encoded.attention_mask,
                use_cache=False,
            )
        ).last_hidden_state
    return encoded.scores(states)


START = -1


def shift(targets: Tensor) -> Tensor:
    """What the decoder reads when it is to write `targets` [B, T] (teacher forcing)."""
    start = torch.full_like(targets[:, :1], START)
    return torch.cat([start, targets[:, :-1].clamp(min=0)], dim=1)


def legal_mask(targets: Tensor, real: Tensor, space: Space, grammar: Grammar = FLAT) -> Tensor:
    """What the grammar allows at each step of `targets` [B, T], given the steps before -> [B, T, C].

    The fast form of `pointers.legal`. Steps after the end (`IGNORE`) allow eos, so that no row is empty.
    """
    columns = torch.arange(space.size, device=targets.device)
    first, last = _nested_bounds(targets, real, space) if grammar.nested else _flat_bounds(targets, space)
    is_start = _phase(targets)[None, :, None] == 0
    legal = (columns >= first[..., None]) & (columns <= last[..., None])
    legal = (legal | ((columns == EOS) & is_start)) & real[:, None]
    legal[..., EOS] |= targets == IGNORE
    return legal


def _flat_bounds(targets: Tensor, space: Space) -> tuple[Tensor, Tensor]:
    """The first and the last id, apart from eos, of each step of flat targets [B, T]."""
    phase = _phase(targets)
    first = torch.full_like(targets, space.first_word)
    first[:, 1:] = torch.where(phase[1:] == 1, targets[:, :-1], first[:, 1:])
    if targets.shape[1] > STEPS_PER_ENTITY:
        end = targets[:, 1 : 1 - STEPS_PER_ENTITY]
        first[:, STEPS_PER_ENTITY:] = torch.where(phase[STEPS_PER_ENTITY:] == 0, end + 1, first[:, STEPS_PER_ENTITY:])
    is_label = phase == STEPS_PER_ENTITY - 1
    first = torch.where(is_label, FIRST_LABEL, first)
    return first, torch.where(is_label, space.first_word - 1, space.size - 1).expand_as(first)


def _nested_bounds(targets: Tensor, real: Tensor, space: Space) -> tuple[Tensor, Tensor]:
    """The same of nested targets, which depend on all entities before."""
    bounds = [
        [NESTED.choices(row, step, space, own) if row[step] != IGNORE else (1, 0) for step in range(len(row))]
        for row, own in zip(targets.tolist(), own_spaces(real, space), strict=True)
    ]
    first, last = torch.tensor(bounds, device=targets.device).unbind(-1)
    return first, last


def own_spaces(real: Tensor, space: Space) -> list[Space]:
    """How many labels and words each row has of candidates `real` [B, C]."""
    labels = real[:, FIRST_LABEL : space.first_word].sum(dim=1).tolist()
    words = real[:, space.first_word :].sum(dim=1).tolist()
    return list(map(Space, labels, words))


def log_probabilities(scores: Tensor, legal: Tensor) -> Tensor:
    """Log-probabilities over the legal candidates [B, T, C], in float32 at least."""
    wide = scores if scores.dtype == torch.float64 else scores.float()
    return wide.masked_fill(~legal, -torch.inf).log_softmax(dim=-1)


def pointer_loss(scores: Tensor, targets: Tensor, legal: Tensor) -> Tensor:
    """Mean cross-entropy per step over what is legal there (docs/method.md, Loss)."""
    log_p = log_probabilities(scores, legal)
    return F.nll_loss(log_p.flatten(0, 1), targets.flatten(), ignore_index=IGNORE)


def _phase(targets: Tensor) -> Tensor:
    return torch.arange(targets.shape[1], device=targets.device) % STEPS_PER_ENTITY


def _real(space: Space, labels: Tensor, words: Tensor) -> Tensor:
    columns = torch.arange(space.size, device=words.device)
    label = (columns >= FIRST_LABEL) & (columns < FIRST_LABEL + labels[:, None])
    word = (columns >= space.first_word) & (columns < space.first_word + words[:, None])
    return (columns == EOS) | label | word
