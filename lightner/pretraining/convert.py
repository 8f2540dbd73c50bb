"""Warm start of the embedded backbone: BERT weights of all-MiniLM-L6-v2 as a BART encoder and decoder.

BERT's post-norm layers fit BART's one to one. Positions and token type 0 go to BART's position table at its offset
of 2. The decoder takes the upper layers, its cross-attention from their self-attention.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModel, AutoTokenizer, BartConfig, BartModel, PreTrainedTokenizerFast

from lightner.model import embedded
from lightner.model.backbone import SUPPORTED
from lightner.model.embedded import Checkpoint, sha256
from lightner.model.prompts import NO_GUIDANCE
from lightner.pretraining.case_marks import with_case_marks
from lightner.types import InputError

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
POSITION_OFFSET = 2
_LAYER = {
    "self_attn.q_proj": "attention.self.query",
    "self_attn.k_proj": "attention.self.key",
    "self_attn.v_proj": "attention.self.value",
    "self_attn.out_proj": "attention.output.dense",
    "self_attn_layer_norm": "attention.output.LayerNorm",
    "fc1": "intermediate.dense",
    "fc2": "output.dense",
    "final_layer_norm": "output.LayerNorm",
}


def start(folder: Path, *, decoder_layers: int) -> Checkpoint:
    """The starting model: a checkpoint of `lightner pretrain`, one of a BART family, or the files of MiniLM.

    MiniLM's tokenizer gets case marks. `decoder_layers` is for a model made from MiniLM; others keep theirs.

    Raises:
        InputError: the folder holds none of these, or has unofficial MiniLM files.
    """
    if embedded.is_checkpoint(folder):
        return embedded.load(folder)
    if _family(folder) in SUPPORTED:
        tokenizer = AutoTokenizer.from_pretrained(folder, add_prefix_space=True)
        return Checkpoint(AutoModel.from_pretrained(folder, dtype=torch.float32), tokenizer, NO_GUIDANCE)
    model, tokenizer = from_minilm(folder, decoder_layers=decoder_layers)
    return Checkpoint(model, with_case_marks(tokenizer), NO_GUIDANCE)


def _family(folder: Path) -> str | None:
    config = folder / "config.json"
    found = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    return found.get("model_type") if isinstance(found, dict) else None


def from_minilm(folder: Path, *, decoder_layers: int) -> tuple[BartModel, PreTrainedTokenizerFast]:
    """A BART model and tokenizer from the MiniLM files in `folder`.

    Raises:
        InputError: model.safetensors is missing or is not the official file.
    """
    weights = folder / "model.safetensors"
    if not weights.exists():
        raise InputError(f"MiniLM: found no {weights}, expected the files of all-MiniLM-L6-v2")
    found = sha256(weights)
    if found != MINILM_SHA256:
        raise InputError(f"MiniLM: found {weights} with sha256 {found}, expected {MINILM_SHA256}")
    tokenizer = _tokenizer(folder)
    bert = {name.removeprefix("bert."): tensor.float() for name, tensor in load_file(weights).items()}
    model = BartModel(_config(bert, tokenizer, decoder_layers))
    missing, unexpected = model.load_state_dict(_state(bert, decoder_layers), strict=False)
    assert (missing, unexpected) == ([], []), f"missing {missing}, unexpected {unexpected}"
    return model, tokenizer


def _tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        bos_token="[CLS]",
        eos_token="[SEP]",
        model_max_length=512,
    )


def _config(bert: Mapping[str, Tensor], tokenizer: PreTrainedTokenizerFast, decoder_layers: int) -> BartConfig:
    vocabulary, width = bert["embeddings.word_embeddings.weight"].shape
    return BartConfig(
        vocab_size=vocabulary,
        d_model=width,
        max_position_embeddings=bert["embeddings.position_embeddings.weight"].shape[0],
        encoder_layers=sum(name.endswith("intermediate.dense.weight") for name in bert),
        decoder_layers=decoder_layers,
        encoder_attention_heads=width // 32,
        decoder_attention_heads=width // 32,
        encoder_ffn_dim=bert["encoder.layer.0.intermediate.dense.weight"].shape[0],
        decoder_ffn_dim=bert["encoder.layer.0.intermediate.dense.weight"].shape[0],
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        decoder_start_token_id=tokenizer.cls_token_id,
        forced_eos_token_id=None,
        dropout=0.1,
        attention_dropout=0.0,
    )


def _state(bert: Mapping[str, Tensor], decoder_layers: int) -> dict[str, Tensor]:
    words = bert["embeddings.word_embeddings.weight"]
    positions = bert["embeddings.position_embeddings.weight"] + bert["embeddings.token_type_embeddings.weight"][0]
    table = torch.cat([torch.zeros(POSITION_OFFSET, positions.shape[1]), positions])
    layers = sum(name.endswith("intermediate.dense.weight") for name in bert)
    state = {"shared.weight": words}
    for side in ("encoder", "decoder"):
        state[f"{side}.embed_tokens.weight"] = words
        state[f"{side}.embed_positions.weight"] = table.clone()
        for part in ("weight", "bias"):
            state[f"{side}.layernorm_embedding.{part}"] = bert[f"embeddings.LayerNorm.{part}"].clone()
    for index in range(layers):
        state.update(_layer(bert, index, f"encoder.layers.{index}"))
    for index in range(decoder_layers):
        source = layers - decoder_layers + index
        target = f"decoder.layers.{index}"
        state.update(_layer(bert, source, target))
        for name, tensor in _layer(bert, source, target).items():
            if ".self_attn" in name:
                state[name.replace(".self_attn", ".encoder_attn")] = tensor
    return state


def _layer(bert: Mapping[str, Tensor], source: int, target: str) -> dict[str, Tensor]:
    return {
        f"{target}.{ours}.{part}": bert[f"encoder.layer.{source}.{theirs}.{part}"].clone()
        for ours, theirs in _LAYER.items()
        for part in ("weight", "bias")
    }
