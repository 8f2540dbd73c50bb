"""Prompts as values: stacking, selecting, joining and naming lose nothing; the trainable form begins at its start."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lightner.model import forward
from lightner.model.backbone import Backbone
from lightner.model.decoding import greedy
from lightner.model.prompts import NO_GUIDANCE, Guidance, Prompt, PromptEncoder, concatenate, join_rows, stack
from lightner.model.starts import read_labels, start_guidance, transferred_residual, transferred_start
from lightner.tagger import Row
from lightner.types import LabelSet
from tests.support.mixed import SENTENCES, domains, double_backbone, encoded, mixed_rows, random_prompt
from tests.support.tiny import WIDTH, tiny_backbone, tiny_guidance

LABELS = LabelSet.of(["person", "place"], {"place": ["city", "a", "rome"]})


def same(first: Guidance, second: Guidance) -> bool:
    left, right = everything(first), everything(second)
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def everything(guidance: Guidance) -> dict[str, Tensor]:
    """All tensors, of one row those of its own prompt too; of several rows its slots under their numbers."""
    if len(guidance.rows) == 1:
        slots = {name: tensor for name, tensor in guidance.rows[0].tensors().items() if name.startswith("slot_")}
        return {**guidance.tensors(), **slots}
    rows = {
        f"{number} {name}": tensor for number, row in enumerate(guidance.rows) for name, tensor in row.tensors().items()
    }
    return {**guidance.tensors(), **rows}


def start_of(backbone: Backbone, *, length: int) -> Guidance:
    torch.manual_seed(0)
    return start_guidance(backbone, read_labels(backbone, LABELS), length=length)


def test_a_stack_of_different_prompts_equals_each_alone() -> None:
    backbone = double_backbone(1)
    rows = mixed_rows(backbone)
    together, guidance = encoded(backbone, rows)
    assert guidance.mask is not None
    assert {int(length) for length in guidance.mask.sum(dim=1)} == {0, 2, 5}
    for index, row in enumerate(rows):
        alone, own = encoded(backbone, [row])
        size, words = alone.hidden.shape[1], alone.space.words
        torch.testing.assert_close(together.hidden[index, :size], alone.hidden[0], rtol=1e-11, atol=1e-11)
        start = torch.tensor([[forward.START]])
        there = forward.decode(backbone, together, guidance, start.expand(len(rows), -1))[index, 0]
        here = forward.decode(backbone, alone, own, start)[0, 0]
        first, labels = together.space.first_word, len(row.prompt.labels)
        picked = [0, *range(1, 1 + labels), *range(first, first + words)]
        torch.testing.assert_close(there[picked], here, rtol=1e-11, atol=1e-11)
        assert torch.equal(together.real[index].nonzero()[:, 0], torch.tensor(picked))


def test_padding_of_a_stack_is_masked_and_feed_forward_slots_stay_where_they_are() -> None:
    backbone = tiny_backbone()
    prompts = [tiny_guidance(backbone, length=length, slots=slots, seed=length) for length, slots in ((1, 3), (4, 0))]
    stacked = stack(prompts, [1, 0, 1])
    assert stacked.mask is not None
    assert stacked.mask.tolist() == [[True] * 4, [True, False, False, False], [True] * 4]
    assert (stacked.length, stacked.slots) == (4, 3)
    for name, tensor in stacked.tensors().items():
        for row, which in enumerate([1, 0, 1]):
            source = prompts[which].tensors()[name]
            size = source.shape[-2]
            assert torch.equal(tensor[:, row, ..., :size, :], source[:, 0])
            assert not tensor[:, row, ..., size:, :].any()
    assert [row is prompts[which] for row, which in zip(stacked.rows, [1, 0, 1], strict=True)] == [True] * 3


def test_joined_rows_are_padded_with_zeros() -> None:
    first, second = torch.ones(2, 1, 3, WIDTH), torch.full((2, 1, 1, WIDTH), 2.0)
    joined = join_rows([first, second, None], [1, 0, 2, 1])
    assert joined.shape == (2, 4, 3, WIDTH)
    assert joined[0, :, :, 0].tolist() == [[2, 0, 0], [1, 1, 1], [0, 0, 0], [2, 0, 0]]


def test_prompts_of_one_length_are_stacked_without_a_mask() -> None:
    backbone = tiny_backbone()
    prompts = [tiny_guidance(backbone, seed=seed) for seed in range(2)]
    stacked = stack(prompts, [0, 1, 1])
    assert stacked.mask is None
    assert same(stacked.select(torch.tensor([2])), prompts[1])


def test_a_single_prompt_is_shared_unchanged_by_all_rows() -> None:
    prompt = tiny_guidance(tiny_backbone())
    assert stack([prompt], [0, 0, 0]) is prompt
    assert same(prompt.select(torch.tensor([2, 0])), prompt)


def test_an_already_stacked_guidance_cannot_be_stacked_or_joined() -> None:
    backbone = tiny_backbone()
    padded = stack([tiny_guidance(backbone, length=length) for length in (1, 2)], [0, 1])
    with pytest.raises(AssertionError, match="unpadded"):
        stack([padded], [0, 1])
    with pytest.raises(AssertionError, match="unpadded"):
        concatenate(padded, padded)


def test_selected_rows_keep_their_tensors_and_mask() -> None:
    backbone = tiny_backbone()
    prompts = [tiny_guidance(backbone, length=length, slots=2 * length, seed=length) for length in (1, 2, 3)]
    picked = stack(prompts, [0, 1, 2]).select(torch.tensor([2, 0]))
    expected = stack(prompts, [2, 0])
    assert same(picked, expected)
    assert picked.mask is not None
    assert picked.mask.tolist() == [[True, True, True], [True, False, False]]


def test_tensors_and_from_tensors_are_inverse() -> None:
    guidance = tiny_guidance(tiny_backbone(), length=3, slots=2)
    mask = torch.tensor([[True, True, False]])
    again = Guidance.from_tensors(guidance.tensors(), mask)
    assert same(again, guidance)
    assert again.mask is mask
    assert sorted(guidance.tensors()) == [
        *("key.cross", "key.decoder", "key.encoder", "slot_key.decoder", "slot_key.encoder"),
        *("slot_value.decoder", "slot_value.encoder", "value.cross", "value.decoder", "value.encoder"),
    ]
    assert NO_GUIDANCE.tensors() == {}
    assert (NO_GUIDANCE.length, NO_GUIDANCE.slots, NO_GUIDANCE.nbytes) == (0, 0, 0)
    assert guidance.nbytes == 4 * (6 * 2 * WIDTH * 3 + 4 * 2 * WIDTH * 2)


def test_joined_prompts_have_the_slots_of_both_in_order() -> None:
    backbone = tiny_backbone()
    first, second = (
        tiny_guidance(backbone, length=2, slots=3, seed=1),
        tiny_guidance(backbone, length=4, slots=0, seed=2),
    )
    joined = concatenate(first, second)
    assert (joined.length, joined.slots) == (6, 3)
    assert same(joined.map(lambda tensor: tensor[..., :2, :]), first.map(lambda tensor: tensor[..., :2, :]))
    for name, tensor in second.tensors().items():
        assert torch.equal(joined.tensors()[name][..., 2:, :], tensor)
    assert same(concatenate(NO_GUIDANCE, first), first)
    assert same(concatenate(first, NO_GUIDANCE), first)


both_forms = pytest.mark.parametrize("width", [8, 0], ids=["reparametrised", "plain"])


@both_forms
def test_a_prompt_encoder_begins_exactly_at_its_start(width: int) -> None:
    backbone = tiny_backbone()
    start = start_of(backbone, length=3)
    learned = PromptEncoder(backbone.shape, length=start.length, slots=4, width=width, start=start)
    guidance = learned()
    assert start.length == len(LABELS) + 3
    for name, tensor in start.tensors().items():
        assert torch.equal(guidance.tensors()[name], tensor), name
    assert all(not value.any() for value in guidance.slot_value.values())
    assert all(key.any() for key in guidance.slot_key.values())


@both_forms
def test_a_prompt_encoder_begins_exactly_at_a_start_with_feed_forward_slots(width: int) -> None:
    backbone = tiny_backbone()
    start = tiny_guidance(backbone, length=3, slots=2, seed=5)
    learned = PromptEncoder(backbone.shape, length=3, slots=2, width=width, start=start)
    assert same(learned(), start)


@both_forms
def test_without_a_start_the_prompt_is_the_networks_own(width: int) -> None:
    backbone = tiny_backbone()
    torch.manual_seed(0)
    guidance = PromptEncoder(backbone.shape, length=3, slots=0, width=width)()
    assert guidance.length == 3
    assert all(tensor.std() > 0.01 for tensor in guidance.tensors().values())


def test_new_feed_forward_slots_change_nothing_at_first() -> None:
    backbone = double_backbone(2)
    labels, words = LabelSet.of(["food"]), SENTENCES[2]

    def hidden(guidance: Guidance) -> Tensor:
        return encoded(backbone, [Row(random_prompt(labels, guidance, seed=0), words)])[0].hidden

    fresh = PromptEncoder(backbone.shape, length=0, slots=4, width=8).fold()
    assert (fresh.length, fresh.slots) == (0, 4)
    torch.testing.assert_close(hidden(fresh), hidden(NO_GUIDANCE), rtol=1e-12, atol=1e-12)
    assert float((hidden(tiny_guidance(backbone, length=0, slots=4)) - hidden(NO_GUIDANCE)).abs().max()) > 1e-2


@both_forms
def test_the_folded_prompt_equals_the_trained_one_and_is_free_of_it(width: int) -> None:
    backbone = tiny_backbone()
    learned = PromptEncoder(backbone.shape, length=3, slots=2, width=width)
    with torch.no_grad():
        for parameter in learned.parameters():
            parameter.add_(0.3)
    folded = learned.fold()
    assert same(folded, learned())
    assert not any(tensor.requires_grad for tensor in folded.tensors().values())
    before = folded.map(torch.clone)
    with torch.no_grad():
        for parameter in learned.parameters():
            parameter.zero_()
    assert same(folded, before)


@both_forms
def test_every_parameter_of_a_prompt_encoder_learns(width: int) -> None:
    backbone = tiny_backbone()
    learned = PromptEncoder(backbone.shape, length=3, slots=2, width=width)
    torch.autograd.backward([tensor.sin().sum() for tensor in learned().tensors().values()])
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in learned.parameters())


def test_a_start_takes_the_backbones_default_slots_first() -> None:
    default = tiny_guidance(tiny_backbone(), length=3, slots=0, seed=9)
    plain = tiny_backbone()
    backbone = Backbone(plain.name, plain.model, plain.tokenizer, plain.shape, plain.fingerprint, default)
    count = len(LABELS)
    shorter, longer = start_of(backbone, length=2), start_of(backbone, length=5)
    assert (shorter.length, longer.length) == (count + 2, count + 5)
    for name, tensor in default.tensors().items():
        assert torch.equal(shorter.tensors()[name][..., count:, :], tensor[..., :2, :])
        assert torch.equal(longer.tensors()[name][..., count : count + 3, :], tensor)
        fresh = longer.tensors()[name][..., count + 3 :, :]
        assert bool(fresh.any()) == name.startswith("key")


def test_a_transferred_start_keeps_shared_labels_and_all_that_is_not_a_labels() -> None:
    backbone = tiny_backbone()
    old, new = LabelSet.of(["food", "place"]), LabelSet.of(["group", "place", "time"])
    learned = tiny_guidance(backbone, length=len(old) + 3, slots=2, seed=9)
    states = read_labels(backbone, new)
    source = Prompt(old, learned, torch.randn(2, backbone.shape.width))
    start = transferred_start(backbone, states, labels=new, source=source)
    residual = transferred_residual(states, labels=new, source=source)
    shared = new.names.index("place")
    torch.testing.assert_close((states.vectors + residual)[shared], source.label_vectors[old.names.index("place")])
    assert [bool(row.any()) for row in residual] == [name == "place" for name in new.names]
    fresh = states.slots.tensors()
    assert (start.length, start.slots) == (len(new) + 3, 2)
    for name, tensor in start.tensors().items():
        theirs = learned.tensors()[name]
        if name.startswith("slot_"):
            assert torch.equal(tensor, theirs)
            continue
        assert torch.equal(tensor[..., new.names.index("place"), :], theirs[..., old.names.index("place"), :])
        for label in ("group", "time"):
            place = new.names.index(label)
            assert torch.equal(tensor[..., place, :], fresh[name][..., place, :])
        assert torch.equal(tensor[..., len(new) :, :], theirs[..., len(old) :, :])


def test_a_prompt_of_no_slots_equals_no_prompt() -> None:
    backbone = double_backbone(6)
    empty = tiny_guidance(backbone, length=1, slots=1).map(lambda tensor: tensor[..., :0, :].double())
    rows = [Row(domains(backbone)[3], words) for words in SENTENCES]
    plain, guidance = encoded(backbone, rows)
    assert guidance.tensors() == {}
    for bare, same_row in zip(greedy(backbone, plain, guidance), greedy(backbone, plain, empty), strict=True):
        assert bare.ids == same_row.ids
        assert bare.log_p == pytest.approx(same_row.log_p, abs=1e-11)
