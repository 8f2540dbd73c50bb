"""Tiny backbones of the mBART family, saved with a tokenizer that marks texts with their language."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import MBart50Tokenizer, MBartConfig, MBartModel, MBartTokenizer

from tests.support.tiny import LETTERS, WIDTH, WORDS

HAN = "我你他她们住在北京上海东去吃面包汤和喜欢的是，。！"
KANA = "とにはをタワーすむ"
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
_CODES = ("en_XX", "ja_XX", "zh_CN")
_POSITIONS = 64


def save(folder: Path, *, kind: type[MBartTokenizer] | type[MBart50Tokenizer] = MBartTokenizer, seed: int = 0) -> None:
    """A random model as `facebook/mbart-large-cc25` has it, whose settings name no start of the decoder, or with
    `MBart50Tokenizer` as `facebook/mbart-large-50`, which starts with the end of a text."""
    words = [f"\u2581{word}" for word in WORDS]
    pieces = dict.fromkeys([*_SPECIAL, "\u2581", *words, *LETTERS, *HAN, *KANA, *_CODES, "<mask>"])
    tokenizer = kind(vocab=[(piece, 0.0 if piece in _SPECIAL else -2.0 / len(piece)) for piece in pieces])
    config = MBartConfig(
        vocab_size=len(tokenizer), d_model=WIDTH, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=2 * WIDTH, decoder_ffn_dim=2 * WIDTH, scale_embedding=True,
        max_position_embeddings=_POSITIONS, init_std=0.3, bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=None if kind is MBartTokenizer else tokenizer.eos_token_id, forced_eos_token_id=None,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        MBartModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
