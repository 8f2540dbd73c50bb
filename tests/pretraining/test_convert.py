"""Starting models of pretraining: MiniLM's weights, a checkpoint of a BART family, or one that pretraining made."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel

from lightner.model import embedded
from lightner.model.backbone import prepare
from lightner.model.prompts import NO_GUIDANCE
from lightner.pretraining import convert
from lightner.pretraining.objective import Pretrainer
from lightner.types import InputError
from tests.support.tiny import save, tiny_backbone


def test_a_checkpoint_of_our_own_is_a_start_with_its_default_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bert_folder(tmp_path)
    monkeypatch.setattr(convert, "MINILM_SHA256", embedded.sha256(folder / "model.safetensors"))
    first = convert.start(folder, decoder_layers=1)
    assert first.default == NO_GUIDANCE
    base = prepare("first", first.model, first.tokenizer)
    default = Pretrainer(base, []).default()
    embedded.save(tmp_path / "made", first.model, first.tokenizer, default, "A card.\n")
    again = convert.start(tmp_path / "made", decoder_layers=5)
    assert again.model.config.decoder_layers == 1
    assert again.tokenizer.get_vocab() == first.tokenizer.get_vocab()
    begun = Pretrainer(prepare("again", again.model, again.tokenizer, default=again.default), ["news"])
    for name, tensor in begun.default().tensors().items():
        assert torch.equal(tensor, default.tensors()[name].half().float()), name
        assert torch.equal(begun.prompts["news"]().tensors()[name], tensor), name


@pytest.mark.parametrize("family", ["bart", "mbart"])
def test_a_checkpoint_of_a_bart_family_is_a_start_and_its_result_a_backbone(tmp_path: Path, family: str) -> None:
    tiny = tiny_backbone(family=family)
    save(tiny, tmp_path / "theirs")
    begun = convert.start(tmp_path / "theirs", decoder_layers=9)
    for name, tensor in begun.model.state_dict().items():
        assert torch.equal(tensor, tiny.model.state_dict()[name]), name
    embedded.save(tmp_path / "made", begun.model, begun.tokenizer, NO_GUIDANCE, "A card.\n")
    assert type(embedded.load(tmp_path / "made").model) is type(tiny.model)


def test_the_warm_start_computes_what_bert_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bert_folder(tmp_path)
    monkeypatch.setattr(convert, "MINILM_SHA256", embedded.sha256(folder / "model.safetensors"))
    model, tokenizer = convert.from_minilm(folder, decoder_layers=1)
    bert = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    ids = tokenizer(["a b c a"], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        theirs = bert(input_ids=ids).last_hidden_state
        ours = model.eval().get_encoder()(input_ids=ids).last_hidden_state
    torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=0)
    state = model.state_dict()
    cross, own = "decoder.layers.0.encoder_attn.k_proj.weight", "decoder.layers.0.self_attn.k_proj.weight"
    assert torch.equal(state[cross], state[own])
    assert torch.equal(state[own], bert.encoder.layer[1].attention.self.key.weight)


def test_other_weights_than_minilm_are_refused_by_hash(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model\.safetensors with sha256 .* expected 53aa51"):
        convert.from_minilm(bert_folder(tmp_path), decoder_layers=1)


def bert_folder(folder: Path) -> Path:
    config = BertConfig(
        vocab_size=12, hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16,
    )  # fmt: skip
    torch.manual_seed(0)
    model = BertModel(config, add_pooling_layer=False)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "model.safetensors")
    config.save_pretrained(folder)
    words = ["[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
