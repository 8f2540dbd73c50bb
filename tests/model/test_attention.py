"""Prompts inside a stock model: equal to the equations, without effect when absent, refused in unknown families."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    BartModel,
    GPT2Config,
    GPT2Model,
    LEDConfig,
    LEDModel,
    MBartModel,
    PreTrainedModel,
    T5Config,
    T5Model,
)
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.masking_utils import create_causal_mask

from lightner.model._attention import dropping, guided, install, recording
from lightner.model.backbone import Backbone
from lightner.model.prompts import NO_GUIDANCE, Guidance, stack
from lightner.types import InputError
from tests.support.mixed import double_backbone
from tests.support.naive import NaiveBart, NaivePrompt
from tests.support.tiny import WIDTH, tiny_backbone, tiny_guidance

FAMILIES = ("bart", "mbart")
ROWS = ([0, 4, 10, 5, 2], [0, 6, 2], [0, 8, 14, 7, 20, 21, 2])
STEPS = 4


def naive_of(backbone: Backbone) -> NaiveBart:
    config = backbone.model.config
    return NaiveBart(
        weights=backbone.model.state_dict(),
        heads=config.encoder_attention_heads,
        layers=config.encoder_layers,
        scale=backbone.input_scale,
        norm_first=config.model_type == "mbart",
    )


def naive_prompt(guidance: Guidance) -> NaivePrompt:
    """The only row of a guidance of B = 1."""
    groups = (guidance.key, guidance.value, guidance.slot_key, guidance.slot_value)
    return NaivePrompt(*({name: tensor[:, 0] for name, tensor in group.items()} for group in groups))


def learnable(guidance: Guidance) -> Guidance:
    return guidance.map(lambda tensor: tensor.double().requires_grad_())


def gradients(guidance: Guidance) -> dict[str, Tensor]:
    found = {}
    for name, tensor in guidance.tensors().items():
        assert tensor.grad is not None, f"no gradient for {name}"
        found[name] = tensor.grad.clone()
    return found


def padded() -> tuple[Tensor, Tensor]:
    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in ROWS], batch_first=True, padding_value=1)
    lengths = torch.tensor([len(row) for row in ROWS])
    return ids, torch.arange(ids.shape[1]) < lengths[:, None]


def fast(backbone: Backbone, guidance: Guidance, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Encoder and decoder states of the padded rows under `guidance`, by the installed model."""
    ids, mask = padded()
    with guided(guidance):
        hidden = backbone.model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
        decoded = backbone.model.get_decoder()(
            inputs_embeds=inputs, encoder_hidden_states=hidden, encoder_attention_mask=mask, use_cache=False
        ).last_hidden_state
    return hidden, decoded


def weighted(hidden: Tensor, decoded: Tensor) -> Tensor:
    """A number that depends on each state in its own way."""
    generator = torch.Generator().manual_seed(7)
    first = torch.randn(hidden.shape, generator=generator, dtype=torch.float64)
    return (hidden * first).sum() + (decoded * torch.sin(decoded)).sum()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("mixed", [False, True], ids=["one prompt for all rows", "a prompt per row"])
def test_forward_and_gradients_equal_the_equations(family: str, mixed: bool) -> None:
    backbone = double_backbone(3, family)
    sizes = ((4, 3), (2, 5), (3, 0)) if mixed else ((4, 3),)
    prompts = [
        learnable(tiny_guidance(backbone, length=length, slots=slots, seed=n))
        for n, (length, slots) in enumerate(sizes)
    ]
    which = [0, 1, 2] if mixed else [0, 0, 0]
    inputs = torch.randn(3, STEPS, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    hidden, decoded = fast(backbone, stack(prompts, which), inputs)
    losses = [weighted(hidden[n, : len(row)], decoded[n]) for n, row in enumerate(ROWS)]
    torch.autograd.backward(losses)
    found = [gradients(prompt) for prompt in prompts]
    for prompt in prompts:
        for tensor in prompt.tensors().values():
            tensor.grad = None

    naive = naive_of(backbone)
    naive_losses = []
    for n, row in enumerate(ROWS):
        memories = naive_prompt(prompts[which[n]])
        own = naive.encode(row, memories)
        written = naive.decode(inputs[n], own, memories)
        torch.testing.assert_close(hidden[n, : len(row)], own, rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(decoded[n], written, rtol=1e-11, atol=1e-11)
        naive_losses.append(weighted(own, written))
    torch.autograd.backward(naive_losses)
    for by_model, prompt in zip(found, prompts, strict=True):
        expected = gradients(prompt)
        assert by_model.keys() == expected.keys()
        for name, gradient in expected.items():
            assert float(gradient.abs().max()) > 1e-3, f"{name} has no leverage: the comparison would say nothing"
            torch.testing.assert_close(by_model[name], gradient, rtol=1e-9, atol=1e-9)


def test_bf16_on_a_cpu_stays_near_fp32_and_keeps_attention_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = tiny_backbone(3)
    prompt = tiny_guidance(backbone, length=4, slots=3)
    inputs = torch.randn(3, STEPS, WIDTH, generator=torch.Generator().manual_seed(1))
    hidden, decoded = fast(backbone, prompt, inputs)
    kernel, seen = torch.nn.functional.scaled_dot_product_attention, set()

    def watched(query: Tensor, *rest: Any, **named: Any) -> Tensor:
        seen.add((query.dtype, torch.is_autocast_enabled("cpu")))
        return kernel(query, *rest, **named)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    with torch.autocast("cpu", torch.bfloat16):
        half_hidden, half_decoded = fast(backbone, prompt, inputs)
    assert seen == {(torch.float32, False)}
    for full, half in ((hidden, half_hidden), (decoded, half_decoded)):
        assert not torch.equal(full, half)
        torch.testing.assert_close(half.float(), full, rtol=0, atol=0.15)


def stock_and_installed(family: str) -> tuple[PreTrainedModel, PreTrainedModel]:
    installed = tiny_backbone(5, family).model
    kind = {"bart": BartModel, "mbart": MBartModel}[family]
    fresh = type(installed.config)(**installed.config.to_dict())
    stock = kind(fresh).eval()
    stock.load_state_dict(installed.state_dict())
    assert stock.config._attn_implementation == "sdpa"
    return stock, installed


def cached_states(model: PreTrainedModel, inputs: Tensor, hidden: Tensor, mask: Tensor) -> Iterator[Tensor]:
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    for step in range(inputs.shape[1]):
        yield (
            model.get_decoder()(
                inputs_embeds=inputs[:, step : step + 1],
                encoder_hidden_states=hidden,
                encoder_attention_mask=mask,
                past_key_values=cache,
                use_cache=True,
            ).last_hidden_state
        )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("all_real", [True, False], ids=["without padding", "with padding"])
def test_without_guidance_outputs_are_the_stock_models_bit_for_bit(family: str, all_real: bool) -> None:
    stock, installed = stock_and_installed(family)
    ids, mask = padded()
    if all_real:
        ids = ids.masked_fill(~mask, 9)
        mask = torch.ones_like(mask)
    written = torch.randint(4, 30, (3, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours = installed(input_ids=ids, attention_mask=mask, decoder_input_ids=written)
        theirs = stock(input_ids=ids, attention_mask=mask, decoder_input_ids=written)
        assert torch.equal(ours.encoder_last_hidden_state, theirs.encoder_last_hidden_state)
        assert torch.equal(ours.last_hidden_state, theirs.last_hidden_state)
        hidden = theirs.encoder_last_hidden_state
        inputs = torch.randn(3, 6, WIDTH, generator=torch.Generator().manual_seed(0))
        steps = zip(
            cached_states(installed, inputs, hidden, mask), cached_states(stock, inputs, hidden, mask), strict=True
        )
        assert all(torch.equal(mine, its) for mine, its in steps)


def test_without_guidance_the_causal_mask_is_left_to_the_kernel_as_in_the_stock_model() -> None:
    stock, installed = stock_and_installed("bart")

    def mask(model: PreTrainedModel) -> Tensor | None:
        found: Tensor | None = create_causal_mask(
            config=model.config,
            inputs_embeds=torch.zeros(2, 5, WIDTH),
            attention_mask=torch.ones(2, 5),
            past_key_values=None,
        )
        return found

    assert mask(stock) is None
    assert mask(installed) is None
    with guided(NO_GUIDANCE):
        assert mask(installed) is None
    with guided(tiny_guidance(tiny_backbone())):
        explicit = mask(installed)
    assert explicit is not None
    assert explicit[0, 0].tolist() == torch.ones(5, 5).tril().bool().tolist()


def test_a_second_install_changes_nothing() -> None:
    backbone = double_backbone()
    guidance = tiny_guidance(backbone).to("cpu", torch.float64)
    inputs = torch.ones(3, 2, WIDTH, dtype=torch.float64)
    before = fast(backbone, guidance, inputs)
    assert install(backbone.model) == backbone.shape
    assert all(torch.equal(one, two) for one, two in zip(before, fast(backbone, guidance, inputs), strict=True))


def test_a_backbones_weights_keep_their_names() -> None:
    stock, installed = stock_and_installed("bart")
    assert list(installed.state_dict()) == list(stock.state_dict())
    assert "lightner" not in installed.config.to_json_string()


def t5() -> PreTrainedModel:
    return T5Model(T5Config(d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, vocab_size=20))


def led() -> PreTrainedModel:
    layers = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    widths = {"d_model": 8, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8, "vocab_size": 20, "attention_window": 4}
    return LEDModel(LEDConfig(**layers, **widths))


def gpt2() -> PreTrainedModel:
    return GPT2Model(GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=20))


@pytest.mark.parametrize(
    ("build", "reason"), [(t5, "position bias"), (led, "windowed attention"), (gpt2, "not been tested")]
)
def test_an_unsupported_family_is_refused_by_name_with_the_reason(
    build: Callable[[], PreTrainedModel], reason: str
) -> None:
    model = build()
    family, before = model.config.model_type, model.config._attn_implementation
    with pytest.raises(InputError, match=rf"found model family '{family}' .*{reason}.*expected one of .*bart"):
        install(model)
    assert model.config._attn_implementation == before


def states(backbone: Backbone) -> Tensor:
    ids, mask = padded()
    with torch.no_grad():
        found: Tensor = backbone.model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
    return found


def test_nested_guidance_holds_inside_and_the_outer_one_comes_back() -> None:
    backbone = tiny_backbone()
    first, second = tiny_guidance(backbone, seed=1), tiny_guidance(backbone, length=4, slots=0, seed=2)
    plain = states(backbone)
    with guided(first):
        outer = states(backbone)
        with guided(second):
            inner = states(backbone)
            with guided(NO_GUIDANCE):
                assert torch.equal(states(backbone), plain)
        assert torch.equal(states(backbone), outer)
    assert torch.equal(states(backbone), plain)
    assert not torch.equal(outer, plain)
    assert not torch.equal(inner, outer)


def test_guidance_and_recording_end_with_an_exception() -> None:
    backbone = tiny_backbone()
    plain = states(backbone)
    records = []

    def fail() -> None:
        with guided(tiny_guidance(backbone)), recording() as record:
            records.append(record)
            states(backbone)
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    first = dict(records[0])
    assert torch.equal(states(backbone), plain)
    assert len(first) == 2
    assert all(records[0][place] is pair for place, pair in first.items())


def test_threads_do_not_see_one_anothers_guidance() -> None:
    backbone = tiny_backbone()
    prompts = [tiny_guidance(backbone, length=n + 1, seed=n) for n in range(3)]
    expected = []
    for prompt in prompts:
        with guided(prompt):
            expected.append(states(backbone))
    plain = states(backbone)
    together = threading.Barrier(4, timeout=30)
    found: dict[int, list[Tensor]] = {}

    def tag(number: int) -> None:
        if number == len(prompts):
            together.wait()
            found[number] = [states(backbone) for _ in range(5)]
            return
        with guided(prompts[number]):
            together.wait()
            found[number] = [states(backbone) for _ in range(5)]

    threads = [threading.Thread(target=tag, args=(number,)) for number in range(4)]
    with guided(prompts[0]):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
    for number, own in enumerate([*expected, plain]):
        assert [torch.equal(own, one) for one in found[number]] == [True] * 5


def test_recording_leaves_keys_and_values_of_every_site_and_layer() -> None:
    backbone = tiny_backbone()
    with recording() as record:
        fast(backbone, NO_GUIDANCE, torch.ones(3, STEPS, WIDTH))
    sizes = {place: tuple(key.shape) for place, (key, _) in record.items()}
    per_site = {"encoder": (3, 2, 7, 8), "decoder": (3, 2, STEPS, 8), "cross": (3, 2, 7, 8)}
    assert sizes == {(site, layer): size for site, size in per_site.items() for layer in range(2)}


@pytest.mark.parametrize("family", FAMILIES)
def test_dropout_is_the_stock_models_own_in_training_bit_for_bit(family: str) -> None:
    shares = {"dropout": 0.4, "attention_dropout": 0.2, "activation_dropout": 0.3}
    kind = {"bart": BartModel, "mbart": MBartModel}[family]
    plain = tiny_backbone(5, family).model
    stock, installed = (kind(type(plain.config)(**{**plain.config.to_dict(), **shares})) for _ in range(2))
    for model in (stock, installed):
        model.load_state_dict(plain.state_dict())
    install(installed.eval())
    ids, mask = padded()

    def passed(model: PreTrainedModel) -> tuple[Tensor, Tensor]:
        torch.manual_seed(3)
        written = torch.full((3, 9), 7)
        found = model(input_ids=ids, attention_mask=mask, decoder_input_ids=written)
        return found.encoder_last_hidden_state, found.last_hidden_state

    with torch.no_grad(), dropping(0.4):
        ours = passed(installed)
    theirs, undropped = passed(stock.train()), passed(stock.eval())
    for mine, its, plainly in zip(ours, theirs, undropped, strict=True):
        assert torch.equal(mine, its)
        assert not torch.equal(mine, plainly)


def test_dropout_ends_with_the_context_and_changes_no_module() -> None:
    backbone = tiny_backbone()
    plain = states(backbone)

    def fail() -> None:
        with dropping(0.4):
            assert not torch.equal(states(backbone), plain)
            assert not any(module.training for module in backbone.model.modules())
            raise RuntimeError("stop")

    with dropping(0.0):
        assert torch.equal(states(backbone), plain)
    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert torch.equal(states(backbone), plain)


def test_a_thread_that_reads_does_not_see_the_dropout_of_one_that_trains() -> None:
    backbone = tiny_backbone()
    plain = states(backbone)
    found: list[Tensor] = []
    with dropping(0.4):
        reader = threading.Thread(target=lambda: found.append(states(backbone)))
        reader.start()
        reader.join(timeout=60)
        assert not torch.equal(states(backbone), plain)
    assert [torch.equal(one, plain) for one in found] == [True]
