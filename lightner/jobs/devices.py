"""The device of a worker: when a job asks for GPUs, a GPU or an error. Knows no Ray."""

from __future__ import annotations

import os
import platform

import torch

from lightner.types import InputError

LOGICAL = "LIGHTNER_LOGICAL_GPUS"
"""Set on nodes whose GPUs Ray only counts, to try out scheduling: work that asks for a GPU is done on the CPU there."""


def device(*, gpu: bool) -> torch.device:
    """The CPU, or the GPU that Ray has given to this process. Raises InputError if torch sees no GPU."""
    if not gpu or (os.environ.get(LOGICAL) and not torch.cuda.is_available()):
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    why = "sees none" if torch.version.cuda else "is built without CUDA"
    raise InputError(
        f"--gpu: found no GPU on {platform.node()} (torch {torch.__version__} {why}), expected one; `lightner doctor`"
        " there says more, and without --gpu the CPU is used"
    )
