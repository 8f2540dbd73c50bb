"""Load a frozen encoder-decoder: a hub name, a local folder, or the embedded default when nothing is named.

Knows no prompts beyond preparing the model for them. Every backbone has a fingerprint; a prompt tuned on one is
refused by another.
"""

from __future__ import annotations

import copy
import hashlib
import json
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from lightner.model import _attention, _layers, embedded
from lightner.model._layers import Stack
from lightner.model.hub_checkpoints import fetched
from lightner.model.languages import speak, split_language
from lightner.model.prompts import NO_GUIDANCE, Guidance, PromptShape
from lightner.types import EMBEDDED, Calibration, InputError

SUPPORTED = _attention.SUPPORTED
"""Families that take prompts, by `model_type`."""
CALIBRATION = "untuned_calibration"
"""The model's setting for what makes probabilities of the scores of untuned prompts: `temperature` and `offset`."""
# Settings that change what equal weights compute; shapes are in the weights themselves.
_IDENTITY = (
    "model_type",
    "encoder_attention_heads",
    "decoder_attention_heads",
    "activation_function",
    "scale_embedding",
    "pad_token_id",
    "eos_token_id",
    "decoder_start_token_id",
)


@dataclass(frozen=True)
class Backbone:
    """A frozen model with its tokenizer; `default` is a guidance that new prompts start from, if one was learned.

    `calibration`: of prompts that have learned from no sentence, fitted in pretraining.
    `sharded`: its weights lie in parts on several workers, so that all have to run the same number of forward passes.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    shape: PromptShape
    fingerprint: str
    default: Guidance = NO_GUIDANCE
    sharded: bool = False
    calibration: Calibration = Calibration()  # noqa: RUF009 a frozen value

    @property
    def embedding(self) -> Tensor:
        """Input embeddings [vocabulary, D], unscaled."""
        weight = self.model.get_input_embeddings().weight
        assert isinstance(weight, Tensor)
        return weight

    @property
    def device(self) -> torch.device:
        device: torch.device = self.model.device
        return device

    @property
    def reads_by_length(self) -> bool:
        """Whether the encoder reads the rows of a batch in groups of about one length: where computing costs more
        than launching (docs/decisions/0009)."""
        return self.device.type == "cpu" and not self.sharded

    @cached_property
    def with_bf16_layers(self) -> Backbone:
        """The same backbone for steps in bfloat16: linear layers have their weights in it, all else is shared.

        It computes what `step_precision` computes with this one, which would cast every frozen weight in every step.
        """
        shared = [*self.model.parameters(), *self.model.buffers()]
        model = copy.deepcopy(self.model, {id(tensor): tensor for tensor in shared})
        for layer in model.modules():
            for name, weights in layer.named_parameters(recurse=False) if isinstance(layer, nn.Linear) else ():
                setattr(layer, name, nn.Parameter(weights.detach().to(torch.bfloat16), requires_grad=False))
        return replace(self, model=model)

    @property
    def max_pieces(self) -> int:
        """Sub-words of the longest input, special tokens included."""
        return int(self.model.config.max_position_embeddings)

    def dropping(self, share: float) -> AbstractContextManager[None]:
        """A context in which this thread's forward passes have `share` as residual dropout; 0 changes nothing."""
        return _attention.dropping(share)

    @cached_property
    def input_scale(self) -> float:
        """Factor between an embedding and the decoder's input for it (some families scale by sqrt(D))."""
        return float(getattr(self.model.get_encoder().embed_tokens, "embed_scale", 1.0))

    @cached_property
    def encoder(self) -> Stack:
        """The encoder's layers, to be computed straight from their weights."""
        return Stack.of(self.model.get_encoder(), sharded=self.sharded)

    def read(self, ids: Tensor, mask: Tensor, guidance: Guidance) -> Tensor:
        """The encoder's output [B, S, D] for sub-words and their mask [B, S], without gradients."""
        return _layers.encode(self.encoder, ids, mask, guidance)

    @cached_property
    def decoder(self) -> Stack:
        """The decoder's layers, to be computed straight from their weights."""
        return Stack.of(self.model.get_decoder(), sharded=self.sharded)


def load(
    name: str | None = None, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> Backbone:
    """The backbone `name`, or the embedded one; frozen, in evaluation mode.

    `name` is a hub name or a folder, in transformers' form or in that of `lightner pretrain`; of a multilingual one it
    may end in the language of the texts, as in `facebook/mbart-large-50:zh_CN`.

    Raises:
        InputError: it cannot be loaded, has no such language, or its family takes no prompts.
    """
    if name is None or name == EMBEDDED:
        loaded = embedded.load()
        return prepare(EMBEDDED, loaded.model, loaded.tokenizer, device=device, dtype=dtype, default=loaded.default)
    place, language = split_language(name)
    default = NO_GUIDANCE
    here = embedded.is_checkpoint(Path(place))
    if (folder := Path(place) if here else fetched(place)) is not None:
        loaded = embedded.load(folder, card=here)
        model, tokenizer, default = loaded.model, loaded.tokenizer, loaded.default
    else:
        model, tokenizer = _from_transformers(place)
    speak(name, language, model, tokenizer)
    return prepare(name, model, tokenizer, device=device, dtype=dtype, default=default)


def _from_transformers(name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A complete model and its tokenizer, in transformers' form."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, add_prefix_space=True)
        model, loading = AutoModel.from_pretrained(name, dtype=torch.float32, output_loading_info=True)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        where = "folder" if Path(name).exists() else "hub name or folder"
        raise InputError(f"backbone {name!r}: found no loadable model at this {where} ({error})") from error
    if loading["missing_keys"]:
        missing = sorted(loading["missing_keys"])
        raise InputError(f"backbone {name!r}: found no weights for {missing}, expected a complete checkpoint")
    return model, tokenizer


def prepare(
    name: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    default: Guidance = NO_GUIDANCE,
) -> Backbone:
    """Freeze `model`, make it take prompts, and fingerprint it (in the precision it was loaded in)."""
    shape = _attention.install(model)
    if not tokenizer.is_fast:
        raise InputError(f"backbone {name!r}: found a slow tokenizer, expected a fast one (it must map words)")
    for setting in ("pad_token_id", "eos_token_id", "decoder_start_token_id"):
        if getattr(model.config, setting) is None:
            raise InputError(f"backbone {name!r}: found no {setting} in the model's settings, expected a number")
    fingerprint = _fingerprint(model, tokenizer)
    calibration = _calibration(name, model)
    model.requires_grad_(False).eval().to(device=device, dtype=dtype)
    return Backbone(name, model, tokenizer, shape, fingerprint, default.to(device, dtype), calibration=calibration)


def record_calibration(model: PreTrainedModel, calibration: Calibration) -> None:
    """Make the calibration of untuned prompts a setting of the model, to be saved with it."""
    setattr(model.config, CALIBRATION, {"temperature": calibration.temperature, "offset": calibration.offset})


def _calibration(name: str, model: PreTrainedModel) -> Calibration:
    found = getattr(model.config, CALIBRATION, None)
    if found is None:
        return Calibration()
    try:
        return Calibration(float(found["temperature"]), float(found["offset"]))
    except (KeyError, TypeError, ValueError, InputError) as error:
        expected = "expected numbers as temperature and offset"
        raise InputError(f"backbone {name!r}: found {CALIBRATION} {found!r}, {expected}") from error


def computes_in_bf16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16, so that it is faster there and not only emulated."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = torch.cpu.get_capabilities()
    return device.type == "cpu" and bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def steps_in_bf16(backbone: Backbone, *, bf16: bool) -> Backbone:
    """The backbone that steps with `step_precision` are made with.

    One in parts on several workers stays as it is, and so does one in double precision, which autocast leaves alone.
    """
    cast = backbone.embedding.dtype == torch.float32 and not backbone.sharded
    return backbone.with_bf16_layers if bf16 and cast and computes_in_bf16(backbone.device) else backbone


def step_precision(device: torch.device, *, bf16: bool) -> torch.autocast:
    """The context in which one training step computes: bfloat16 where it is wanted and the device is made for it.

    One step, not a loop: autocast keeps its cast copies of the weights until the context ends.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16 and computes_in_bf16(device))


def _fingerprint(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> str:
    settings = {name: getattr(model.config, name) for name in _IDENTITY}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    digest.update(tokenizer.backend_tokenizer.to_str().encode())
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(f"{key} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().data)
    return digest.hexdigest()
