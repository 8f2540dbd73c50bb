"""Backbones: frozen, identified by their fingerprint, and refused if incomplete."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import T5Config, T5Model

from lightner.model.backbone import Backbone, load, record_calibration, steps_in_bf16
from lightner.model.batching import encode
from lightner.tuning import rules
from lightner.tuning.training import PromptModel
from lightner.types import Calibration, InputError, LabelSet
from tests.support.eight import EIGHT
from tests.support.tiny import WIDTH, save, tiny_backbone, tiny_tokenizer


def saved(folder: Path, family: str = "bart") -> Backbone:
    backbone = tiny_backbone(0, family)
    save(backbone, folder)
    return backbone


@pytest.mark.parametrize("family", ["bart", "mbart"])
def test_a_folder_is_loaded_as_the_backbone_that_was_saved(tmp_path: Path, family: str) -> None:
    original = saved(tmp_path, family)
    loaded = load(str(tmp_path))
    assert loaded.fingerprint == original.fingerprint
    assert (loaded.name, loaded.shape) == (str(tmp_path), original.shape)
    assert (loaded.max_pieces, loaded.device.type) == (128, "cpu")
    assert loaded.input_scale == (WIDTH**0.5 if family == "mbart" else 1.0)
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    assert not any(module.training for module in loaded.model.modules())


def test_the_fingerprint_differs_by_weights_and_tokenizer_but_not_by_precision(tmp_path: Path) -> None:
    original = saved(tmp_path)
    assert load(str(tmp_path), dtype=torch.bfloat16).fingerprint == original.fingerprint
    assert tiny_backbone(1).fingerprint != original.fingerprint
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["shared.weight"][7, 3] += 1e-3
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert load(str(tmp_path)).fingerprint != original.fingerprint
    saved(tmp_path)
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["newword"])
    tokenizer.save_pretrained(tmp_path)
    assert load(str(tmp_path)).fingerprint != original.fingerprint


@pytest.mark.parametrize("family", ["bart", "mbart"])
def test_steps_with_layers_in_bfloat16_compute_what_autocast_computes(family: str) -> None:
    base = tiny_backbone(0, family)
    before = {name: weights.clone() for name, weights in base.model.state_dict().items()}
    labels = LabelSet.of(sorted({span.label for sentence in EIGHT for span in sentence.spans}))
    examples = encode(base.tokenizer, [sentence.words for sentence in EIGHT])
    found = []
    for backbone in (base, base.with_bf16_layers):
        tuned = PromptModel(base, labels, rules.plan(EIGHT, prompt_length=4, learning_rate=0.01))
        tuned.backbone = backbone
        torch.manual_seed(0)
        with base.dropping(0.1), torch.autocast("cpu", torch.bfloat16):
            loss = tuned(EIGHT, examples)
        torch.autograd.backward(loss)
        found.append([loss.detach(), *(parameter.grad for parameter in tuned.parameters())])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
    half = base.with_bf16_layers
    assert half is base.with_bf16_layers
    linear = {
        id(weights) for layer in half.model.modules() if isinstance(layer, nn.Linear) for weights in layer.parameters()
    }
    assert {weights.dtype for weights in half.model.parameters() if id(weights) in linear} == {torch.bfloat16}
    shared = {id(weights) for weights in base.model.parameters()}
    assert {id(weights) for weights in half.model.parameters()} - linear <= shared
    assert all(torch.equal(weights, before[name]) for name, weights in base.model.state_dict().items())


@pytest.mark.parametrize(("able", "sharded", "bf16"), [(False, False, True), (True, True, True), (True, False, False)])
def test_layers_stay_in_float32_where_steps_do_not_compute_in_bfloat16(
    monkeypatch: pytest.MonkeyPatch, able: bool, sharded: bool, bf16: bool
) -> None:
    monkeypatch.setattr("lightner.model.backbone.computes_in_bf16", lambda device: able)
    base = replace(tiny_backbone(), sharded=sharded)
    assert steps_in_bf16(base, bf16=bf16) is base
    base.model.double()
    assert steps_in_bf16(replace(base, sharded=False), bf16=True).embedding.dtype == torch.float64


def test_the_calibration_of_untuned_prompts_is_saved_with_the_model_and_is_no_part_of_its_fingerprint(
    tmp_path: Path,
) -> None:
    original = tiny_backbone()
    assert original.calibration == Calibration()
    record_calibration(original.model, Calibration(1.5, -0.25, threshold=0.4))
    save(original, tmp_path)
    loaded = load(str(tmp_path))
    assert loaded.calibration == Calibration(1.5, -0.25)
    assert loaded.fingerprint == original.fingerprint
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "untuned_calibration": {"temperature": "warm"}}))
    with pytest.raises(InputError, match=r"found untuned_calibration \{'temperature': 'warm'\}, expected numbers"):
        load(str(tmp_path))


def test_a_checkpoint_without_some_weights_is_refused_with_their_names(tmp_path: Path) -> None:
    saved(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["decoder.layers.1.encoder_attn.k_proj.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"found no weights for \['decoder.layers.1.encoder_attn.k_proj.weight'\]"):
        load(str(tmp_path))


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    content = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(content[:1000])
    with pytest.raises(InputError, match=f"backbone '{tmp_path}': found no loadable model at this folder"):
        load(str(tmp_path))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no loadable model at this folder"):
        load(str(tmp_path))


def test_a_folder_of_another_family_is_refused_by_name(tmp_path: Path) -> None:
    config = T5Config(d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, vocab_size=80, decoder_start_token_id=0)
    T5Model(config).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(InputError, match="found model family 't5'"):
        load(str(tmp_path))


def test_equal_weights_with_other_settings_are_another_backbone(tmp_path: Path) -> None:
    same = saved(tmp_path).fingerprint
    assert load(str(tmp_path)).fingerprint == same
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "encoder_attention_heads": 4}))
    assert load(str(tmp_path)).fingerprint != same
