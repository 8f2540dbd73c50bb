"""Scores of candidates: equal to docs/method.md's equations, from words to scores, on the independent BART."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lightner.model.batching import by_length
from lightner.model.forward import START, Labels, decode, encode, stack_labels
from lightner.model.pointers import encode_spans
from lightner.tagger import Row, prepare
from lightner.types import LabelSet, Span
from tests.support.mixed import SENTENCES, double_backbone, encoded, mixed_rows, random_prompt
from tests.support.naive import NaiveBart, NaivePrompt
from tests.support.tiny import tiny_guidance

WORDS = SENTENCES[4]
SPANS = (Span(0, 1, "place"), Span(2, 4, "food"))


@pytest.mark.parametrize("family", ["bart", "mbart"])
def test_scores_equal_the_equations_from_words_to_candidates(family: str) -> None:
    backbone = double_backbone(5, family)
    prompt = random_prompt(LabelSet.of(["food", "place"]), tiny_guidance(backbone, seed=5), seed=5)
    together, guidance = encoded(backbone, [Row(prompt, WORDS)])
    targets = encode_spans(SPANS, prompt.labels.names, together.space)
    read = [START, *targets[:-1]]
    with torch.no_grad():
        scores = decode(backbone, together, guidance, torch.tensor([read]))[0]

    config, tokenizer = backbone.model.config, backbone.tokenizer
    scale = config.d_model**0.5 if family == "mbart" else 1.0
    groups = (guidance.key, guidance.value, guidance.slot_key, guidance.slot_value)
    memories = NaivePrompt(*({name: tensor[:, 0] for name, tensor in group.items()} for group in groups))
    table = backbone.model.state_dict()["shared.weight"]
    naive = NaiveBart(backbone.model.state_dict(), heads=2, layers=2, scale=scale, norm_first=family == "mbart")

    pieces = [tokenizer.encode(word, add_special_tokens=False) for word in WORDS]
    assert max(map(len, pieces)) > 3
    ids = [tokenizer.bos_token_id, *(piece for word in pieces for piece in word), tokenizer.eos_token_id]
    first = [1 + sum(map(len, pieces[:index])) for index in range(len(WORDS))]
    hidden = naive.encode(ids, memories)
    words = [(hidden[place] + table[ids[place]]) / 2 for place in first]
    candidates = torch.stack([table[config.eos_token_id], *prompt.label_vectors, *words])
    backward = [table[config.eos_token_id], *prompt.label_vectors, *(table[ids[place]] for place in first)]
    inputs = [table[config.decoder_start_token_id] if step == START else backward[step] for step in read]
    expected: Tensor = naive.decode(torch.stack(inputs) * scale, hidden, memories) @ candidates.T
    torch.testing.assert_close(scores, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("family", ["bart", "mbart"])
def test_rows_read_by_length_equal_rows_read_at_once(family: str) -> None:
    by_lengths = double_backbone(3, family)
    at_once = replace(by_lengths, sharded=True)
    assert (by_lengths.reads_by_length, at_once.reads_by_length) == (True, False)
    work = prepare(by_lengths, mixed_rows(by_lengths))
    real = work.batch.attention_mask
    assert len(by_length(real.sum(dim=1).tolist())) > 1
    found = []
    for backbone in (by_lengths, at_once):
        guidance = work.guidance.map(lambda tensor: tensor.clone().requires_grad_())
        row = replace(guidance, mask=work.guidance.mask)
        states = encode(backbone, work.batch, row, work.labels)
        hidden = states.hidden * real[..., None]
        (hidden.square().sum() + (states.candidates * states.real[..., None]).square().sum()).backward()
        found.append((hidden, states.candidates * states.real[..., None], guidance))
    for ours, theirs in zip(found[0][:2], found[1][:2], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    for name, tensor in found[0][2].tensors().items():
        if "encoder" in name:
            torch.testing.assert_close(tensor.grad, found[1][2].tensors()[name].grad, rtol=1e-9, atol=1e-9)


def test_labels_of_a_batch_are_each_rows_own() -> None:
    vectors = [torch.randn(count, 4) for count in (2, 1, 3)]
    stacked = stack_labels(vectors, [2, 0, 1, 0])
    assert stacked.count.tolist() == [3, 2, 1, 2]
    for row, which in enumerate([2, 0, 1, 0]):
        assert torch.equal(stacked.vectors[row, : len(vectors[which])], vectors[which])


def test_labels_that_all_rows_share_are_not_copied() -> None:
    vectors = torch.randn(3, 4)
    shared = stack_labels([vectors], [0, 0, 0])
    assert isinstance(shared, Labels)
    assert (shared.vectors.shape, shared.count.tolist()) == ((1, 3, 4), [3])
    assert shared.vectors.data_ptr() == vectors.data_ptr()
