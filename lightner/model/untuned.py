"""Prompts of label words alone, as they are used: read in parts, rounded as a published prompt is.

Legend: K labels, J label-word pieces, D width.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import reduce

import torch

from lightner.model.backbone import Backbone
from lightner.model.label_states import LabelStates, label_states
from lightner.model.prompts import Prompt, concatenate
from lightner.model.verbalizer import LabelPieces, label_pieces, labels_alike
from lightner.types import InputError, LabelSet, Reach

UNTUNED_REACH = Reach(words=90, sentences=3)
"""How much text a prompt reads at once that has learned from none: about what the backbone was pretrained on."""
STORED = torch.float16
"""The precision of a published guidance: one that is not published is rounded to it too, so that both answer alike."""
SPECIAL = 2
"""Sub-words that a label is read between."""
PIECES_AT_ONCE = 128
"""Sub-words of label words that are read at once, padding included: as long as a text waits that comes meanwhile."""

MOST_NAMED = 10
"""Labels of a group, and groups, that an error names."""


def label_prompt(backbone: Backbone, labels: LabelSet) -> Prompt:
    """The prompt of a label set from which nothing has been learned.

    Raises:
        InputError: the backbone cannot tell two labels apart, or cannot read one; the message names them.
    """
    steps = reading(backbone, labels)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            prompt: Prompt = end.value
            return prompt


@torch.no_grad()
def reading(backbone: Backbone, labels: LabelSet) -> Generator[None, None, Prompt]:
    """`label_prompt` in steps of about equal cost, between which others may use the device."""
    pieces = label_pieces(backbone.tokenizer, labels)
    _check(backbone, labels, pieces)
    read: list[LabelStates] = []
    for part in _parts(pieces):
        yield
        read.append(label_states(backbone, part.to(backbone.device)))
    dtype = backbone.embedding.dtype
    slots = reduce(concatenate, [states.slots for states in read])
    vectors = torch.cat([states.vectors for states in read])
    slots = slots.map(lambda tensor: tensor.to(STORED).to(dtype))
    return Prompt(labels, slots, vectors, reach=UNTUNED_REACH, calibration=backbone.calibration)


def _check(backbone: Backbone, labels: LabelSet, pieces: LabelPieces) -> None:
    if same := labels_alike(labels, pieces):
        named = "; ".join(", ".join(map(repr, group[:MOST_NAMED])) for group in same[:MOST_NAMED])
        raise InputError(
            f"labels: found equal label words for {named}, expected words that differ, such as a description of each"
        )
    room = backbone.max_pieces - SPECIAL
    for name, count in zip(labels.names, pieces.mask.sum(dim=1).tolist(), strict=True):
        if count > room:
            raise InputError(f"label {name!r}: found label words of {count} sub-words, expected at most {room}")


def _parts(pieces: LabelPieces) -> Sequence[LabelPieces]:
    """Neighbouring labels together, as many as `PIECES_AT_ONCE` allows; each part as wide as its longest label."""
    parts: list[LabelPieces] = []
    start, longest = 0, 0
    counts = pieces.mask.sum(dim=1).tolist()
    for place, count in enumerate([*counts, PIECES_AT_ONCE]):
        wider = max(longest, count)
        if place > start and (place == len(counts) or wider * (place - start + 1) > PIECES_AT_ONCE):
            parts.append(LabelPieces(pieces.ids[start:place, :longest], pieces.mask[start:place, :longest]))
            start, wider = place, count
        longest = wider
    return parts
