"""A real backbone of a few thousand random weights, and prompts for it: the same code paths, in milliseconds."""

from __future__ import annotations

import os

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BartConfig, BartModel, MBartConfig, MBartModel, PreTrainedTokenizerFast

from lightner.model.backbone import Backbone, prepare
from lightner.model.prompts import Guidance
from lightner.model.verbalizer import label_pieces
from lightner.store.artifact import PromptArtifact
from lightner.store.card import Card
from lightner.store.loading import artifact_of
from lightner.types import LabelSet

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
WORDS = (
    "ada", "paris", "rome", "oslo", "emil", "mary", "person", "place", "food", "time", "city", "group",
    "lives", "in", "and", "the", "a", "of", "to", "on", "likes", "soup", "bread", "monday",
)  # fmt: skip
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
MARKS = ".,!?-"
WIDTH = 16


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A WordPiece tokenizer in which `WORDS` are one piece and other words of `LETTERS` are spelt."""
    pieces = dict.fromkeys([*SPECIAL, *WORDS, *MARKS, *LETTERS, *(f"##{letter}" for letter in LETTERS)])
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(token, vocabulary[token]) for token in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def tiny_backbone(seed: int = 0, family: str = "bart") -> Backbone:
    """A frozen random "bart" or "mbart" of width 16, 2 + 2 layers and 2 heads; its name is `tiny-<family>-<seed>`."""
    config_class, model_class = {"bart": (BartConfig, BartModel), "mbart": (MBartConfig, MBartModel)}[family]
    tokenizer = tiny_tokenizer()
    config = config_class(
        vocab_size=len(tokenizer),
        d_model=WIDTH,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=2 * WIDTH,
        decoder_ffn_dim=2 * WIDTH,
        max_position_embeddings=128,
        scale_embedding=family == "mbart",
        init_std=0.3,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.eos_token_id,
        forced_eos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = model_class(config)
    return prepare(f"tiny-{family}-{seed}", model, tokenizer)


def save(backbone: Backbone, folder: str | os.PathLike[str]) -> None:
    """Write a backbone as the folder that `--backbone` names."""
    backbone.model.save_pretrained(folder)
    backbone.tokenizer.save_pretrained(folder)


def tiny_guidance(backbone: Backbone, *, length: int = 3, slots: int = 2, seed: int = 0) -> Guidance:
    """A random guidance (B = 1) of `length` attention and `slots` feed-forward slots."""
    generator = torch.Generator().manual_seed(seed)
    shape = backbone.shape
    tensors = {}
    for kind in ("key", "value") if length else ():
        for site, layers in shape.site_layers.items():
            size = (layers, 1, shape.heads[site], length, shape.head_size(site))
            tensors[f"{kind}.{site}"] = torch.randn(size, generator=generator)
    for kind in ("slot_key", "slot_value") if slots else ():
        for stack, layers in shape.stack_layers.items():
            tensors[f"{kind}.{stack}"] = torch.randn(layers, 1, slots, shape.width, generator=generator)
    return Guidance.from_tensors(tensors)


def tiny_artifact(
    backbone: Backbone,
    domain: str = "movies",
    *,
    labels: LabelSet = LabelSet.of(["PER", "LOC"]),  # noqa: B008 a frozen value
    length: int = 3,
    slots: int = 2,
    seed: int = 0,
) -> PromptArtifact:
    """A random prompt of `domain` for `backbone`."""
    pieces = label_pieces(backbone.tokenizer, labels)
    card = Card(
        domain=domain,
        labels=labels.names,
        label_words=labels.words,
        backbone_name=backbone.name,
        backbone_fingerprint=backbone.fingerprint,
        length=length,
        slots=slots,
        tuning={"seed": seed},
        created="2026-01-02T03:04:05+00:00",
    )
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn((2, len(labels), backbone.shape.width), generator=generator)
    answer_space = {
        "verbalizer.weights": torch.randn(pieces.ids.shape, generator=generator),
        "verbalizer.residual": vectors[0],
        "verbalizer.vectors": vectors[1],
    }
    guidance = tiny_guidance(backbone, length=length, slots=slots, seed=seed)
    return artifact_of(card, {**guidance.tensors(), **answer_space})
