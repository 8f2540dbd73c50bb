"""The embedded checkpoint: small, verified to the last byte, and an ordinary model once loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import BartConfig, BartModel

from lightner.model import embedded
from lightner.model.backbone import prepare
from lightner.model.embedded import DEFAULT_PROMPT, MANIFEST, MAX_SHARD_BYTES, dequantise, quantise
from lightner.model.prompts import NO_GUIDANCE, Guidance
from lightner.types import InputError
from tests.support.tiny import tiny_backbone, tiny_guidance, tiny_tokenizer


def saved(folder: Path, default: Guidance = NO_GUIDANCE) -> BartModel:
    model = tiny_backbone().model
    embedded.save(folder, model, tiny_tokenizer(), default, "A card.\n")
    return model


def random_matrices() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(40, 30, generator=generator) * torch.logspace(-6, 4, 40)[:, None]
    matrix[3] = 0
    matrix[4, 5:] = 0
    return {"matrix": matrix, "vector": torch.randn(50, generator=generator), "row": torch.full((1, 7), -2.5)}


def test_quantised_matrices_are_off_by_half_a_step_of_their_row_at_most() -> None:
    tensors = random_matrices()
    stored = quantise(tensors)
    assert stored["matrix"].dtype == torch.int8
    assert stored["matrix.scale"].dtype == torch.float32
    assert stored["vector"].dtype == torch.float16
    back = dequantise(stored)
    assert back.keys() == tensors.keys()
    for name in ("matrix", "row"):
        step = tensors[name].abs().amax(dim=1, keepdim=True) / 127
        assert ((back[name] - tensors[name]).abs() <= step / 2 * (1 + 1e-5)).all()
    assert not back["matrix"][3].any()
    torch.testing.assert_close(back["vector"], tensors["vector"], rtol=2**-11, atol=1e-7)


def test_quantising_twice_changes_nothing() -> None:
    back = dequantise(quantise(random_matrices()))
    again = dequantise(quantise(back))
    for name, tensor in back.items():
        torch.testing.assert_close(again[name], tensor, rtol=1e-6, atol=0)


def test_a_saved_checkpoint_is_loaded_as_an_ordinary_model(tmp_path: Path) -> None:
    default = tiny_guidance(tiny_backbone(), length=3, slots=0)
    model = saved(tmp_path, default)
    loaded = embedded.load(tmp_path)
    expected = dequantise(quantise(model.state_dict()))
    assert loaded.model.state_dict().keys() == expected.keys()
    for name, tensor in loaded.model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    tables = [loaded.model.shared, loaded.model.encoder.embed_tokens, loaded.model.decoder.embed_tokens]
    assert len({table.weight.data_ptr() for table in tables}) == 1
    everything = [*loaded.model.parameters(), *loaded.model.buffers()]
    assert {tensor.device.type for tensor in everything} == {"cpu"}
    for name, tensor in default.tensors().items():
        assert torch.equal(loaded.default.tensors()[name], tensor.half().float())
    words = [["ada", "xylophonist", "!"]]
    one, two = (t(words, is_split_into_words=True)["input_ids"] for t in (loaded.tokenizer, tiny_tokenizer()))
    assert one == two
    assert not loaded.model.training


def test_a_loaded_checkpoint_runs_and_saves_to_the_same_backbone(tmp_path: Path) -> None:
    saved(tmp_path / "first")
    first = embedded.load(tmp_path / "first")
    backbone = prepare("embedded", first.model, first.tokenizer)
    with torch.no_grad():
        hidden = backbone.model(input_ids=torch.tensor([[0, 4, 2]])).last_hidden_state
    assert torch.isfinite(hidden).all()
    embedded.save(tmp_path / "second", backbone.model, first.tokenizer, NO_GUIDANCE, "Another.\n")
    second = embedded.load(tmp_path / "second")
    for name, tensor in second.model.state_dict().items():
        torch.testing.assert_close(tensor, first.model.state_dict()[name], rtol=1e-6, atol=0)


def test_a_flipped_byte_in_any_file_is_refused_with_the_files_name(tmp_path: Path) -> None:
    saved(tmp_path, tiny_guidance(tiny_backbone(), length=2, slots=0))
    embedded.verify(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert {"README.md", "config.json", "tokenizer.json", DEFAULT_PROMPT, MANIFEST} < set(names)
    for name in names:
        path = tmp_path / name
        content = path.read_bytes()
        for position in (0, len(content) // 2, len(content) - 1):
            damaged = bytearray(content)
            damaged[position] ^= 0x80
            path.write_bytes(damaged)
            with pytest.raises(InputError, match=name):
                embedded.load(tmp_path)
        path.write_bytes(content[:-3])
        with pytest.raises(InputError, match=name):
            embedded.load(tmp_path)
        path.write_bytes(content)
    embedded.verify(tmp_path)


def test_a_missing_or_unknown_file_is_refused_with_its_name(tmp_path: Path) -> None:
    saved(tmp_path)
    extra = tmp_path / "model-00002-of-00002.safetensors"
    save_file({"shared.weight": torch.zeros(2, 2)}, extra)
    with pytest.raises(InputError, match=r"found .*model-00002-of-00002.safetensors, expected only the files"):
        embedded.load(tmp_path)
    extra.unlink()
    for path in sorted(tmp_path.iterdir()):
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(InputError, match=f"found no .*{path.name}"):
            embedded.load(tmp_path)
        path.write_bytes(content)
    embedded.load(tmp_path)


@pytest.mark.parametrize("content", [[], {"config.json": 3}, {"config.json": {"sha256": "00"}}])
def test_a_manifest_of_another_form_is_refused(tmp_path: Path, content: object) -> None:
    saved(tmp_path)
    (tmp_path / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"{MANIFEST} damaged"):
        embedded.load(tmp_path)


def test_a_second_save_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    saved(tmp_path, tiny_guidance(tiny_backbone(), length=2, slots=0))
    assert embedded.load(tmp_path).default.length == 2
    saved(tmp_path)
    assert embedded.load(tmp_path).default.tensors() == {}


def test_no_shard_is_larger_than_16_mib(tmp_path: Path) -> None:
    config = BartConfig(
        vocab_size=50_000,
        d_model=256,
        encoder_layers=4,
        decoder_layers=4,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=1024,
        decoder_ffn_dim=1024,
        max_position_embeddings=64,
    )
    with torch.device("meta"):
        model = BartModel(config)
    model.to_empty(device="cpu")
    for parameter in model.parameters():
        parameter.data.fill_(0.5)
    embedded.save(tmp_path, model, tiny_tokenizer(), NO_GUIDANCE, "Large.\n")
    shards = sorted(tmp_path.glob("*.safetensors"))
    assert [path.name for path in shards] == ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert MAX_SHARD_BYTES == 16 * 2**20
    assert all(path.stat().st_size <= MAX_SHARD_BYTES for path in shards)
    stored = [name for path in shards for name in load_file(path)]
    assert len(stored) == len(set(stored))


def test_a_matrix_larger_than_a_shard_has_its_own_shard() -> None:
    small, wide = torch.ones(2, 2), torch.zeros(17 * 2**10, 2**10)
    parts = embedded.shards(embedded.quantise({"a": small, "shared.weight": wide, "z": small}))
    assert [sorted(part) for part in parts] == [
        ["a", "a.scale"],
        ["shared.weight"],
        ["shared.weight.scale", "z", "z.scale"],
    ]
