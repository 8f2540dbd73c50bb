"""A training state on disk: weights, optimizer moments and counters, as safetensors and JSON. Never pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lightner.types import InputError

TENSORS = "state.safetensors"
COUNTERS = "state.json"


def save_state(
    folder: Path, tensors: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, counters: Mapping[str, Any]
) -> None:
    """Write a state into `folder`; `counters` is whatever JSON holds, such as the epoch."""
    state = {f"weight.{name}": tensor.detach() for name, tensor in tensors.items()}
    for index, moments in optimizer.state_dict()["state"].items():
        state |= {f"optimizer.{index}.{name}": tensor for name, tensor in moments.items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.cpu().contiguous().clone() for name, tensor in state.items()}, folder / TENSORS)
    (folder / COUNTERS).write_text(json.dumps(counters), encoding="utf-8")


def load_state(
    folder: Path, optimizer: torch.optim.Optimizer | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and counters of a state; an `optimizer` of the same parameters takes up its moments.

    Raises:
        InputError: a file of the state is missing or damaged.
    """
    for name in (TENSORS, COUNTERS):
        if not (folder / name).exists():
            raise InputError(f"checkpoint {folder}: found no {name}, expected a state written by this package")
    try:
        stored = load_file(folder / TENSORS)
        counters: dict[str, Any] = json.loads((folder / COUNTERS).read_text(encoding="utf-8"))
    except (SafetensorError, ValueError) as error:
        raise InputError(f"checkpoint {folder}: found a damaged file ({error}), expected a whole state") from error
    weights: dict[str, Tensor] = {}
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in stored.items():
        kind, _, rest = name.partition(".")
        if kind == "weight":
            weights[rest] = tensor
        else:
            index, _, moment = rest.partition(".")
            moments.setdefault(int(index), {})[moment] = tensor
    if optimizer is not None:
        optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    return weights, counters
