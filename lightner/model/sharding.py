"""A frozen backbone too large for one device: its layers' weights lie in parts on all data-parallel workers (FSDP2).

Each layer is put together when it computes, forward and backward, and taken apart after it. What is computed stays the
same; every worker then has to run as many forward passes as the others, evaluation included.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from lightner.model.backbone import Backbone
from lightner.types import InputError


def shard(backbone: Backbone, device: torch.device | str) -> Backbone:
    """The backbone with its layers' weights spread over the devices of the default process group, one of which is
    `device`; the model given is changed. Load it on the CPU: then no device ever holds all of it.

    Embeddings stay whole: candidates and label vectors are read from them.

    Raises:
        InputError: there is no process group of two or more.
    """
    count = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
    if count < 2:
        raise InputError(f"sharded backbone: found {count} worker, expected at least 2")
    mesh = init_device_mesh(torch.device(device).type, (count,))
    for stack in (backbone.model.get_encoder(), backbone.model.get_decoder()):
        for layer in stack.layers:
            fully_shard(layer, mesh=mesh, reshard_after_forward=True)
    backbone.model.to(device)
    default = backbone.default.to(device, backbone.embedding.dtype)
    return replace(backbone, default=default, sharded=True)
