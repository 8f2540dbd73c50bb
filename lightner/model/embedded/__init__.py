"""Checkpoints stored in int8, such as the small BART that comes with the package; loaded without any network.

Matrices are stored as int8 with one fp32 scale per row, everything else in fp16; loading restores an ordinary model of
its family. Knows nothing of training; `lightner pretrain` makes the files, `docs/backbone.md` says how.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from lightner.model.prompts import NO_GUIDANCE, Guidance
from lightner.types import InputError

FOLDER = Path(__file__).parent / "checkpoint"
MANIFEST = "manifest.json"
CARD = "README.md"
DEFAULT_PROMPT = "default_prompt.safetensors"
MAX_SHARD_BYTES = 16 * 2**20
_SCALE = ".scale"


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint: the model, its tokenizer, and the default guidance learned with it."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    default: Guidance


def is_checkpoint(folder: Path) -> bool:
    """Whether `folder` holds a checkpoint in this form."""
    return (folder / MANIFEST).is_file() and any(folder.glob("model-*.safetensors"))


def load(folder: Path = FOLDER, *, card: bool = True) -> Checkpoint:
    """Read and verify the checkpoint in `folder`, without its `card` if people may have edited that.

    Raises:
        InputError: a file is missing, not in the manifest, or differs from its sha256 there.
    """
    verify(folder, card=card)
    config = AutoConfig.from_pretrained(folder)
    model = _empty_model(config)
    tensors: dict[str, Tensor] = {}
    for shard in sorted(folder.glob("model-*.safetensors")):
        tensors.update(load_file(shard))
    model.load_state_dict(_with_ties(dequantise(tensors)), strict=True, assign=True)
    model.tie_weights()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt = folder / DEFAULT_PROMPT
    default = NO_GUIDANCE
    if prompt.exists():
        default = Guidance.from_tensors({name: tensor.float() for name, tensor in load_file(prompt).items()})
    return Checkpoint(model.eval(), tokenizer, default)


def save(
    folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, default: Guidance, card: str
) -> None:
    """Write the checkpoint: config, tokenizer, int8 shards, default prompt, card (README.md) and manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.safetensors"):
        old.unlink()
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    parts = shards(quantise(_without_ties(model.state_dict())))
    for number, shard in enumerate(parts, start=1):
        save_file(shard, folder / f"model-{number:05d}-of-{len(parts):05d}.safetensors")
    if default.tensors():
        half = {name: tensor.detach().half().contiguous() for name, tensor in default.tensors().items()}
        save_file(half, folder / DEFAULT_PROMPT)
    (folder / CARD).write_text(card, encoding="utf-8")
    write_manifest(folder)


def write_manifest(folder: Path) -> None:
    """Name every file of the checkpoint with its sha256; needed again after its card was edited."""
    files = sorted(path for path in folder.iterdir() if path.name != MANIFEST)
    manifest = {path.name: {"sha256": sha256(path), "bytes": path.stat().st_size} for path in files}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def verify(folder: Path, *, card: bool = True) -> None:
    """Compare the files of `folder`, or all but its card, with its manifest; InputError names the one that differs."""
    manifest = _manifest(folder / MANIFEST)
    for name, expected in manifest.items():
        if name == CARD and not card:
            continue
        file = folder / name
        if not file.exists():
            raise InputError(f"checkpoint: found no {file}, expected {expected['bytes']} bytes")
        found = {"sha256": sha256(file), "bytes": file.stat().st_size}
        if found != expected:
            raise InputError(f"checkpoint: found {file} with {found}, expected {expected}")
    listed = {*manifest, MANIFEST}
    for file in sorted(folder.iterdir()):
        if file.name not in listed and not file.name.startswith("."):
            raise InputError(f"checkpoint: found {file}, expected only the files of its {MANIFEST}")


def sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def quantise(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices to int8 with a scale per row (`<name>.scale`, fp32), other tensors to fp16."""
    stored: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.dim() < 2:
            stored[name] = tensor.detach().half().contiguous()
            continue
        wide = tensor.detach().float()
        scale = (wide.abs().amax(dim=1) / 127).clamp(min=1e-12)
        stored[name] = (wide / scale[:, None]).round().to(torch.int8).contiguous()
        stored[name + _SCALE] = scale.contiguous()
    return stored


def dequantise(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `quantise`, in float32."""
    return {
        name: tensor.float() * stored[name + _SCALE][:, None] if name + _SCALE in stored else tensor.float()
        for name, tensor in stored.items()
        if not name.endswith(_SCALE)
    }


def _manifest(path: Path) -> dict[str, dict[str, Any]]:
    if not path.exists():
        raise InputError(f"checkpoint: found no {path}, expected the checkpoint that comes with the package")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"checkpoint: found {path} damaged ({error}), expected a JSON manifest") from error
    if not isinstance(manifest, dict) or not all(
        isinstance(entry, dict) and entry.keys() == {"sha256", "bytes"} for entry in manifest.values()
    ):
        raise InputError(f"checkpoint: found {path} damaged, expected sha256 and bytes of each file")
    return manifest


def _empty_model(config: PretrainedConfig) -> PreTrainedModel:
    with torch.device("meta"):
        model: PreTrainedModel = AutoModel.from_config(config)
    return model


_TIED = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")


def _without_ties(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name not in _TIED}


def _with_ties(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {**tensors, **dict.fromkeys(_TIED, tensors["shared.weight"])}


def shards(tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """The tensors in order, in parts of at most `MAX_SHARD_BYTES`; one that is larger has a part of its own."""
    parts: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        if size + tensor.nbytes > MAX_SHARD_BYTES - 2**16 and parts[-1]:
            parts.append({})
            size = 0
        parts[-1][name] = tensor
        size += tensor.nbytes
    return parts
