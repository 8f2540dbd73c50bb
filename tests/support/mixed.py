"""Domains of every kind on one tiny backbone in double precision, so that results can be compared to many digits."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lightner.model import forward
from lightner.model.backbone import Backbone
from lightner.model.forward import Encoded
from lightner.model.prompts import NO_GUIDANCE, Guidance, Prompt
from lightner.tagger import Row, prepare
from lightner.types import LabelSet
from tests.support.tiny import WIDTH, tiny_backbone, tiny_guidance

SENTENCES = tuple(
    tuple(text.split())
    for text in (
        "ada lives in paris",
        "soup",
        "emil and mary likes the bread of oslo on monday",
        "the city of rome , a group to ada and emil , lives on soup . the food of the city",
        "xylophonist quartets in q7z9k",
        "on monday mary lives in rome",
    )
)


def double_backbone(seed: int = 0, family: str = "bart") -> Backbone:
    """A tiny backbone in float64 whose biases and norms are random too: a fresh model's are zeros and ones."""
    backbone = tiny_backbone(seed, family)
    generator = torch.Generator().manual_seed(seed)
    backbone.model.double()
    for parameter in backbone.model.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return backbone


def random_prompt(labels: LabelSet, guidance: Guidance, *, seed: int) -> Prompt:
    """A prompt in float64 with random label vectors."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(len(labels), WIDTH, generator=generator, dtype=torch.float64)
    return Prompt(labels, guidance.to("cpu", torch.float64), vectors)


def prompt_of(backbone: Backbone) -> Prompt:
    """The prompt of one domain of persons and places."""
    return random_prompt(LabelSet.of(["person", "place"]), tiny_guidance(backbone, seed=3), seed=3)


def domains(backbone: Backbone) -> tuple[Prompt, ...]:
    """Four domains that differ in prompt length, feed-forward slots and label count; the last has no guidance."""
    long = tiny_guidance(backbone, length=5, slots=0, seed=1)
    short = tiny_guidance(backbone, length=2, slots=3, seed=2)
    slots = tiny_guidance(backbone, length=0, slots=4, seed=3)
    return (
        random_prompt(LabelSet.of(["person", "place"]), long, seed=1),
        random_prompt(LabelSet.of(["food"]), short, seed=2),
        random_prompt(LabelSet.of(["a", "b", "c", "d"]), slots, seed=3),
        random_prompt(LabelSet.of(["time", "group", "city"]), NO_GUIDANCE, seed=4),
    )


def mixed_rows(backbone: Backbone) -> tuple[Row, ...]:
    """Every sentence in two of the domains, neighbouring rows in different ones."""
    prompts = domains(backbone)
    count = len(SENTENCES)
    return tuple(Row(prompts[(n + n // count) % len(prompts)], SENTENCES[n % count]) for n in range(2 * count))


def encoded(backbone: Backbone, rows: Sequence[Row]) -> tuple[Encoded, Guidance]:
    """The rows through the encoder, as the tagger does it, and the guidance that they were stacked to."""
    work = prepare(backbone, rows)
    places = torch.tensor(work.places)
    with torch.no_grad():
        together = forward.encode(backbone, work.batch, work.guidance, work.labels)
    return together.select(places), work.guidance.select(places)
