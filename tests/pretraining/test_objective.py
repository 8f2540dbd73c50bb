"""The pretraining loss: words inside entities, and the parameters that both losses train."""

from __future__ import annotations

import random

import torch

from lightner.model.prompts import NO_GUIDANCE
from lightner.pretraining import objective
from lightner.pretraining.mixture import Draw
from lightner.pretraining.objective import Pretrainer, inside, losses
from lightner.types import LabelSet, Sentence, Span
from tests.support.sentences import sentence
from tests.support.tiny import tiny_backbone

LABELS = LabelSet.of(["PER", "LOC"])


def test_words_are_inside_of_the_entities_that_cover_them() -> None:
    sentences = [Sentence(("Ana", "Ruiz", "came"), (Span(0, 2, "PER"),)), Sentence(("Oslo",), (Span(0, 1, "LOC"),))]
    found = inside(sentences, LABELS)
    place, person = LABELS.names.index("LOC"), LABELS.names.index("PER")
    assert found[..., person].tolist() == [[1, 1, 0], [0, 0, 0]]
    assert found[..., place].tolist() == [[0, 0, 0], [1, 0, 0]]


def test_the_word_loss_reaches_the_encoder_and_not_the_decoder() -> None:
    backbone = tiny_backbone()
    pretrainer = Pretrainer(backbone, [])
    pretrainer.requires_grad_(True)
    _, words = losses(pretrainer, [sentence(1), sentence(2)], LABELS, NO_GUIDANCE, label_slots=True)
    torch.autograd.backward(words)
    reached = {name for name, p in backbone.model.named_parameters() if p.grad is not None and bool(p.grad.any())}
    assert any(name.startswith("encoder.layers.1") for name in reached)
    assert not any(name.startswith("decoder.layers") for name in reached)


def test_padding_adds_nothing_to_the_word_loss() -> None:
    pretrainer = Pretrainer(tiny_backbone(), [])
    short, long = Sentence(("Ana",), (Span(0, 1, "PER"),)), Sentence(("Oslo", "and", "the", "soup"), ())
    counts = [len(each.words) for each in (short, long)]
    with torch.no_grad():
        alone = [losses(pretrainer, [each], LABELS, NO_GUIDANCE, label_slots=True)[1] for each in (short, long)]
        _, together = losses(pretrainer, [short, long], LABELS, NO_GUIDANCE, label_slots=True)
    mean = sum(loss * count for loss, count in zip(alone, counts, strict=True)) / sum(counts)
    torch.testing.assert_close(together, mean, rtol=1e-4, atol=1e-5)


def test_prompts_come_and_go() -> None:
    pretrainer = Pretrainer(tiny_backbone(), ["news"])
    pretrainer.requires_grad_(True)
    draw = Draw("news", (sentence(1),), LABELS)
    used = set()
    for seed in range(12):
        pretrainer.zero_grad(set_to_none=True)
        torch.autograd.backward(pretrainer(draw, random.Random(seed)))
        slots = pretrainer.prompts.named_parameters()
        used.add(tuple(sorted({name.split(".")[0] for name, p in slots if p.grad is not None and bool(p.grad.any())})))
    assert used == {(), ("news",), (objective.DEFAULT,)}
