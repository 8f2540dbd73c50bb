"""A training state on disk: read as it was written, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from lightner.tuning.checkpoints import COUNTERS, TENSORS, load_state, save_state
from lightner.types import InputError


def stepped(seed: int) -> tuple[nn.Linear, torch.optim.AdamW]:
    torch.manual_seed(seed)
    layer = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
    step(layer, optimizer)
    return layer, optimizer


def step(layer: nn.Linear, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    torch.autograd.backward(layer(torch.ones(3)).square().sum())
    optimizer.step()


def saved(folder: Path) -> tuple[nn.Linear, torch.optim.AdamW]:
    layer, optimizer = stepped(0)
    save_state(folder, dict(layer.named_parameters()), optimizer, {"step": 7, "note": "é"})
    return layer, optimizer


def test_a_loaded_state_continues_like_the_saved_one(tmp_path: Path) -> None:
    layer, optimizer = saved(tmp_path)
    other, fresh = stepped(1)
    weights, counters = load_state(tmp_path, fresh)
    assert counters == {"step": 7, "note": "é"}
    other.load_state_dict(weights)
    for _ in range(3):
        step(layer, optimizer)
        step(other, fresh)
    assert torch.equal(other.weight, layer.weight)
    assert torch.equal(other.bias, layer.bias)


@pytest.mark.parametrize("name", [TENSORS, COUNTERS])
def test_a_missing_or_damaged_file_is_refused(tmp_path: Path, name: str) -> None:
    saved(tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=f"checkpoint {tmp_path}: found a damaged file"):
        load_state(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=f"found no {name}"):
        load_state(tmp_path)
