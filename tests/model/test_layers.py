"""Layers computed straight from their weights give what the stock modules give, bit for bit.

But for rows with feed-forward slots of their own: these are other products, of a row each, and their last bits differ.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lightner.model import _layers
from lightner.model._attention import guided
from lightner.model._decoder import DecoderCache
from lightner.model.backbone import Backbone
from lightner.model.prompts import NO_GUIDANCE, Guidance, stack
from lightner.tagger import Row, prepare
from tests.support.mixed import SENTENCES, domains, double_backbone
from tests.support.tiny import WIDTH, tiny_guidance

FAMILIES = ("bart", "mbart")
DTYPES = (torch.float32, torch.bfloat16, torch.float64)


def guidances(backbone: Backbone) -> dict[str, Guidance]:
    """Guidances of a batch of three rows: every kind that the layers are given."""
    long, short = (tiny_guidance(backbone, length=length, slots=3, seed=length) for length in (5, 2))
    bare = tiny_guidance(backbone, length=0, slots=4, seed=3)
    return {
        "none": NO_GUIDANCE,
        "shared": long,
        "slots alone": bare,
        "one per row": stack([long, short, bare], [0, 1, 2]),
    }


def batch_of(backbone: Backbone, *, padded: bool) -> tuple[Tensor, Tensor]:
    """Sub-words and real places of three rows, of one length unless `padded`."""
    sentences = SENTENCES[:3] if padded else SENTENCES[:1] * 3
    batch = prepare(backbone, [Row(domains(backbone)[0], words) for words in sentences]).batch
    assert bool(batch.attention_mask.all()) != padded
    return batch.input_ids, batch.attention_mask


def assert_equal(found: Tensor, expected: Tensor, *, bits: bool) -> None:
    """Equal to the last bit, or to within rounding: of bfloat16 some hundredths, after two layers and their norms."""
    if bits:
        assert torch.equal(found, expected)
        return
    within = {"rtol": 0.02, "atol": 0.06} if found.dtype == torch.bfloat16 else {}
    torch.testing.assert_close(found, expected, **within)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("padded", [False, True], ids=["one length", "padded"])
def test_the_encoder_equals_the_stock_one(family: str, dtype: torch.dtype, padded: bool) -> None:
    backbone = double_backbone(1, family)
    backbone.model.to(dtype)
    ids, mask = batch_of(backbone, padded=padded)
    outputs = []
    for guidance in guidances(backbone).values():
        given = guidance.to("cpu", dtype)
        with torch.inference_mode(), guided(given):
            stock = backbone.model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
            straight = _layers.encode(backbone.encoder, ids, mask, given)
        assert_equal(straight[mask], stock[mask], bits=not given.rows)
        outputs.append(straight)
    assert all(not torch.equal(outputs[0], other) for other in outputs[1:])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["none", "shared", "slots alone", "one per row"])
def test_the_decoder_equals_the_stock_one(family: str, name: str) -> None:
    backbone = double_backbone(2, family)
    backbone.model.float()
    _, mask = batch_of(backbone, padded=True)
    guidance = guidances(backbone)[name].to("cpu", torch.float32)
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(*mask.shape, WIDTH, generator=generator)
    inputs = torch.randn(len(mask), 4, WIDTH, generator=generator)
    with torch.inference_mode():
        straight = DecoderCache(backbone, hidden, mask, guidance).read(inputs)
        with guided(guidance):
            stock = backbone.model.get_decoder()(
                inputs_embeds=inputs, encoder_hidden_states=hidden, encoder_attention_mask=mask, use_cache=False
            ).last_hidden_state
    assert_equal(straight, stock, bits=not guidance.rows)


def test_weights_that_change_in_place_are_seen() -> None:
    backbone = double_backbone(3)
    ids, mask = batch_of(backbone, padded=False)
    before = _layers.encode(backbone.encoder, ids, mask, NO_GUIDANCE)
    backbone.model.get_encoder().layers[0].fc1.weight.data += 1
    after = _layers.encode(backbone.encoder, ids, mask, NO_GUIDANCE)
    stock = backbone.model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
    assert not torch.equal(before, after)
    assert torch.equal(after, stock)


def test_off_the_cpu_slots_of_rows_are_joined_into_one_tensor_of_each_layer() -> None:
    backbone = double_backbone(1)
    guidance = guidances(backbone)["one per row"].to("meta", torch.float32)
    states = torch.empty(3, 7, WIDTH, device="meta")
    layers = backbone.shape.stack_layers["encoder"]
    pairs = _layers.slot_pairs(guidance, "encoder", states, layers)
    assert [tuple(each.shape) for pair in pairs for each in pair] == [(3, 4, WIDTH)] * (2 * layers)
