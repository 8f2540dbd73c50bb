"""The encoder with a prompt as an exported graph, and what runs such a graph; for `benchmarks.precision`.

    pip install onnx onnxscript onnxruntime

The graph has lengths of texts, of prompts and of batches as variables, so one serves all that a prompt reads. The
decoder stays as it is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from lightner.model._attention import guided
from lightner.model.backbone import Backbone
from lightner.model.prompts import Guidance

Run = Callable[..., Tensor]
"""Sub-words [B, S], their mask, and a prompt's tensors -> hidden [B, S, D]."""
Runner = Callable[[ExportedProgram], Run]


def with_encoder(base: Backbone, guidance: Guidance, runner: Runner) -> Backbone:
    """The backbone with its encoder run by `runner` for prompts that have the same tensors as `guidance`."""
    names = [name for name in guidance.tensors() if name.endswith(".encoder")]
    run = runner(exported(base.model.get_encoder(), guidance, names))

    class Graphed(Backbone):
        def read(self, ids: Tensor, mask: Tensor, guidance: Guidance) -> Tensor:
            assert guidance.mask is None
            tensors = guidance.tensors()
            if [name for name in tensors if name.endswith(".encoder")] != names:
                return super().read(ids, mask, guidance)
            return run(ids, mask, *(tensors[name] for name in names))

    return Graphed(**{each.name: getattr(base, each.name) for each in fields(base)})


def exported(encoder: nn.Module, guidance: Guidance, names: Sequence[str]) -> ExportedProgram:
    """The encoder's graph with the prompt's tensors as further inputs."""
    ids = torch.randint(5, 900, (4, 20))
    tensors = [guidance.tensors()[name] for name in names]
    any_size = {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}
    of_prompt = tuple({tensor.dim() - 2: Dim.DYNAMIC} for tensor in tensors)
    inputs = (ids, torch.ones_like(ids, dtype=torch.bool), *tensors)
    with torch.no_grad():
        return torch.export.export(
            _Flat(encoder, names), inputs, dynamic_shapes=(any_size, any_size, of_prompt), strict=False
        )


def compiled(program: ExportedProgram) -> Run:
    """By torch.compile (inductor)."""
    return torch.compile(program.module(), dynamic=True)


def in_onnx(program: ExportedProgram) -> Run:
    """By ONNX Runtime."""
    return _session(program, lambda path: path)


def in_onnx_int8(program: ExportedProgram) -> Run:
    """By ONNX Runtime, linear layers in int8 with a scale for each output, activations as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    def quantised(path: Path) -> Path:
        out = path.with_name("int8.onnx")
        quantize_dynamic(
            path, out, per_channel=True, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"]
        )
        return out

    return _session(program, quantised)


def _session(program: ExportedProgram, change: Callable[[Path], Path]) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "encoder.onnx"
        made = torch.onnx.export(program, dynamo=True, verbose=False)
        assert made is not None
        made.save(path)
        session = onnxruntime.InferenceSession(change(path), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def run(*tensors: Tensor) -> Tensor:
        feed = {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True)}
        return torch.from_numpy(session.run(None, feed)[0])

    return run


class _Flat(nn.Module):
    """The encoder with the prompt's tensors as arguments."""

    def __init__(self, encoder: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.encoder, self.names = encoder, names

    def forward(self, ids: Tensor, mask: Tensor, *tensors: Tensor) -> Tensor:
        with guided(Guidance.from_tensors(dict(zip(self.names, tensors, strict=True)))):
            hidden: Tensor = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        return hidden
