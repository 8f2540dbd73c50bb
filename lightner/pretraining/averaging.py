"""Data-parallel training by averaging: each worker trains by itself, and at intervals all take the mean.

On CPUs an exchange at every step costs more than it gains (docs/log.md); one every few dozen steps costs little. Adam's
moments are averaged with the parameters, so that all workers have the same state, and any of them can save it.
"""

from __future__ import annotations

from itertools import chain

import torch
import torch.distributed as dist
from torch import Tensor


def prime(optimizer: torch.optim.Optimizer) -> None:
    """Create Adam's moments for every parameter, so that all workers have the same ones; changes nothing else."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    rates = [group["lr"] for group in optimizer.param_groups]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    optimizer.step()
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    for parameter in parameters:
        optimizer.state[parameter]["step"].zero_()
    optimizer.zero_grad(set_to_none=True)


@torch.no_grad()
def average(optimizer: torch.optim.Optimizer, workers: int) -> None:
    """Give every worker the mean of all workers' parameters and moments."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    moments = chain.from_iterable(optimizer.state[p].values() for p in parameters)
    tensors: list[Tensor] = [*parameters, *(each for each in moments if isinstance(each, Tensor))]
    flat = torch.cat([tensor.detach().float().reshape(-1) for tensor in tensors])
    dist.all_reduce(flat)
    flat /= workers
    start = 0
    for tensor in tensors:
        tensor.copy_(flat[start : start + tensor.numel()].view_as(tensor))
        start += tensor.numel()
