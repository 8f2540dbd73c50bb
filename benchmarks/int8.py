"""What frozen weights in int8 cost in F1 and save in time and memory, beside float32 and bfloat16.

    pip install torchao
    OMP_NUM_THREADS=1 python -m benchmarks.int8 NAME=TRAIN:TEST [...] --rounds 5 --out FILE.json

Two ways, both with activations quantised as they come, a prompt's slots left as they are and embeddings in float32:
torchao's, which replaces weights by tensors of its own, and torch's older linear layer, which torch has deprecated.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks import precision
from lightner.model import _attention, backbone
from lightner.model.backbone import Backbone


def main() -> None:
    """All four on every data set; the bytes of the weights first."""
    bases = {name: backbone.load(dtype=dtype) for name, dtype in precision.DTYPES.items()}
    bases |= {"int8 (torchao)": changed(with_torchao), "int8 (torch.ao)": changed(with_torch)}
    print(json.dumps({"weight_bytes": {name: weight_bytes(base.model) for name, base in bases.items()}}), flush=True)
    precision.run(bases, str(__doc__))


def changed(quantise: Callable[[nn.Module], None]) -> Backbone:
    """The embedded backbone after `quantise`."""
    base = backbone.load()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantise(base.model)
    return base


def with_torchao(model: nn.Module) -> None:
    """Every linear layer's weight as a tensor that torch's own functions take; our widened layers stay."""
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    quantize_(model, Int8DynamicActivationInt8WeightConfig())


def with_torch(model: nn.Module) -> None:
    """Every linear layer by torch.ao's, one scale for each of its outputs."""
    for name, child in list(model.named_children()):
        if isinstance(child, _attention.WidenedIn | _attention.WidenedOut):
            setattr(model, name, WidenedIn8(child) if isinstance(child, _attention.WidenedIn) else WidenedOut8(child))
        elif isinstance(child, nn.Linear):
            setattr(model, name, Linear8(child))
        else:
            with_torch(child)


def weight_bytes(model: nn.Module) -> int:
    """Of all parameters, and of what torch.ao keeps in their place."""
    hidden = sum(module.nbytes for module in model.modules() if isinstance(module, Linear8))
    return hidden + sum(map(_bytes, model.parameters()))


class Linear8(nn.Module):
    """torch.ao's linear layer, which hides its weights, and their bytes."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        from torch.ao.nn.quantized.dynamic import Linear
        from torch.ao.quantization import per_channel_dynamic_qconfig

        plain = nn.Linear(linear.in_features, linear.out_features)
        plain.weight, plain.bias, plain.qconfig = linear.weight, linear.bias, per_channel_dynamic_qconfig
        self.inner = Linear.from_float(plain)
        self.nbytes = linear.weight.numel() + linear.bias.nbytes

    def forward(self, input: Tensor) -> Tensor:
        out: Tensor = self.inner(input)
        return out


class WidenedIn8(Linear8):
    """`_attention.WidenedIn` with its own rows in int8."""

    def __init__(self, widened: _attention.WidenedIn) -> None:
        super().__init__(widened)
        self.place = widened.place

    def forward(self, input: Tensor) -> Tensor:
        slots = _attention._slots(_attention._keys, self.place)
        hidden = super().forward(input)
        return hidden if slots is None else torch.cat([hidden, input @ slots.transpose(-1, -2)], dim=-1)


class WidenedOut8(Linear8):
    """`_attention.WidenedOut` with its own columns in int8."""

    def __init__(self, widened: _attention.WidenedOut) -> None:
        super().__init__(widened)
        self.place, self.width = widened.place, widened.in_features

    def forward(self, input: Tensor) -> Tensor:
        slots = _attention._slots(_attention._values, self.place)
        if slots is None:
            return super().forward(input)
        return super().forward(input[..., : self.width].contiguous()) + input[..., self.width :] @ slots


def _bytes(tensor: Tensor) -> int:
    if type(tensor.data) in (Tensor, nn.Parameter):
        return tensor.nbytes
    # One of torchao's tensors, which tells its size as if it were float32.
    inner, _ = tensor.__tensor_flatten__()
    return sum(getattr(tensor, name).nbytes for name in inner)


if __name__ == "__main__":
    main()
