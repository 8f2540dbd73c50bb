"""Prompts as values: keys/values placed before a frozen backbone's own, and how they are learned.

`Guidance` is data handed to each forward pass, never an attribute of the backbone. Knows no transformers.
Legend: B batch, L layers, H heads, P prompt slots, N feed-forward slots, D width, K labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightner.types import Calibration, LabelSet, Reach


@dataclass(frozen=True)
class Guidance:
    """Prompt-guided attention (paper, section 3.3) and feed-forward slots (docs/method.md) of one batch.

    Shape:
        key, value: site -> [L, B or 1, H, P, D/H]; empty: no attention prompt.
        mask: [B or 1, P], True where a slot is real; None: all are.
        slot_key, slot_value: stack -> [L, 1, N, D]; empty: no feed-forward slots that all rows share.
        rows: of a batch of several prompts each row's own, whose feed-forward slots stay where they are: they are most
            of a prompt, and copying them into one tensor took longer than computing with them.
    """

    key: Mapping[str, Tensor] = field(default_factory=dict)
    value: Mapping[str, Tensor] = field(default_factory=dict)
    mask: Tensor | None = None
    slot_key: Mapping[str, Tensor] = field(default_factory=dict)
    slot_value: Mapping[str, Tensor] = field(default_factory=dict)
    rows: tuple[Guidance, ...] = ()

    @property
    def length(self) -> int:
        return next(iter(self.key.values())).shape[3] if self.key else 0

    @property
    def slots(self) -> int:
        shared = next(iter(self.slot_key.values())).shape[2] if self.slot_key else 0
        return max([shared, *(row.slots for row in self.rows)])

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors().values())

    def tensors(self) -> dict[str, Tensor]:
        """All tensors but mask and rows under flat names such as `key.encoder`; `from_tensors` is the inverse."""
        groups = {"key": self.key, "value": self.value, "slot_key": self.slot_key, "slot_value": self.slot_value}
        return {f"{group}.{name}": tensor for group, those in groups.items() for name, tensor in those.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], mask: Tensor | None = None) -> Guidance:
        groups: dict[str, dict[str, Tensor]] = {"key": {}, "value": {}, "slot_key": {}, "slot_value": {}}
        for name, tensor in tensors.items():
            group, _, place = name.partition(".")
            groups[group][place] = tensor
        return cls(groups["key"], groups["value"], mask, groups["slot_key"], groups["slot_value"])

    def map(self, change: Callable[[Tensor], Tensor]) -> Guidance:
        """The guidance with `change` applied to every tensor but the mask."""
        changed = Guidance.from_tensors({name: change(tensor) for name, tensor in self.tensors().items()}, self.mask)
        return replace(changed, rows=tuple(row.map(change) for row in self.rows))

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Guidance:
        mask = None if self.mask is None else self.mask.to(device)
        return replace(self.map(lambda tensor: tensor.to(device, dtype)), mask=mask)

    def select(self, rows: Tensor) -> Guidance:
        """Rows of the batch by index; a guidance that all rows share (B = 1) stays as it is."""
        own = tuple(self.rows[row] for row in rows.tolist()) if self.rows else ()
        return self._of_rows(lambda tensor, batch: tensor.index_select(batch, rows), own)

    def part(self, begin: int, end: int) -> Guidance:
        """Rows [begin, end) of the batch, as views; a guidance that all rows share (B = 1) stays as it is."""
        return self._of_rows(lambda tensor, batch: tensor.narrow(batch, begin, end - begin), self.rows[begin:end])

    def _of_rows(self, pick: Callable[[Tensor, int], Tensor], own: tuple[Guidance, ...]) -> Guidance:
        """What `pick` takes of each tensor along the dimension of the batch, if it is not 1, with rows of their own."""

        def picked(tensor: Tensor, batch: int) -> Tensor:
            return tensor if tensor.shape[batch] == 1 else pick(tensor, batch)

        mask = None if self.mask is None else picked(self.mask, 0)
        tensors = {name: picked(tensor, 1) for name, tensor in self.tensors().items()}
        return replace(Guidance.from_tensors(tensors, mask), rows=own)


NO_GUIDANCE = Guidance()


@dataclass(frozen=True)
class Prompt:
    """All that one domain adds to the backbone, on one device: guidance (B = 1) and label vectors `v_c` [K, D].

    Texts are read in parts of its `reach`. A `draft_tagger` [1 + 2 K, D + 1] (`lightner.model.drafts`) saves passes of
    decoding and changes no output. Raw scores become probabilities by its `calibration`. Of a `nested` domain entities
    may lie within one another.
    """

    labels: LabelSet
    guidance: Guidance
    label_vectors: Tensor
    draft_tagger: Tensor | None = None
    reach: Reach = Reach()  # noqa: RUF009 a frozen value
    calibration: Calibration = Calibration()  # noqa: RUF009 a frozen value
    nested: bool = False

    @property
    def nbytes(self) -> int:
        drafts = 0 if self.draft_tagger is None else self.draft_tagger.nbytes
        return self.guidance.nbytes + self.label_vectors.nbytes + drafts


def concatenate(first: Guidance, second: Guidance) -> Guidance:
    """One prompt whose slots are those of `first`, then those of `second`; both of B = 1 and without mask."""
    assert first.mask is second.mask is None, "only unpadded prompts can be joined"
    left, right = first.tensors(), second.tensors()
    joined = {
        name: torch.cat([those[name] for those in (left, right) if name in those], dim=-2)
        for name in sorted({*left, *right})
    }
    return Guidance.from_tensors(joined)


def stack(prompts: Sequence[Guidance], rows: Sequence[int]) -> Guidance:
    """One guidance for a batch whose row b uses `prompts[rows[b]]`; lengths may differ, and are padded and masked."""
    assert all(prompt.mask is None for prompt in prompts), "only unpadded prompts can be stacked"
    if len(prompts) == 1:
        return prompts[0]
    key, value = (
        {site: join_rows([those.get(site) for those in all_of], rows) for site in sorted(set().union(*all_of))}
        for all_of in ([prompt.key for prompt in prompts], [prompt.value for prompt in prompts])
    )
    own = tuple(prompts[row] for row in rows) if any(prompt.slots for prompt in prompts) else ()
    length = max(prompt.length for prompt in prompts)
    if all(prompt.length == length for prompt in prompts):
        return Guidance(key, value, rows=own)
    device, lengths = next(iter(key.values())).device, [prompts[row].length for row in rows]
    real = torch.arange(length, device=device) < torch.tensor(lengths, device=device)[:, None]
    return Guidance(key, value, real, rows=own)


def join_rows(tensors: Sequence[Tensor | None], rows: Sequence[int]) -> Tensor:
    """Tensor `tensors[rows[b]]` at row b of one, padded with zeros to the longest; None is one of no length."""
    present = [tensor for tensor in tensors if tensor is not None]
    longest = max(tensor.shape[-2] for tensor in present)
    empty = present[0][..., :0, :]
    padded = [
        tensor if tensor.shape[-2] == longest else F.pad(tensor, (0, 0, 0, longest - tensor.shape[-2]))
        for tensor in (empty if maybe is None else maybe for maybe in tensors)
    ]
    return torch.cat([padded[row] for row in rows], dim=1)


@dataclass(frozen=True, slots=True)
class PromptShape:
    """What a backbone offers to prompts: layers per site and per stack, heads, head size and width."""

    site_layers: Mapping[str, int]
    stack_layers: Mapping[str, int]
    heads: Mapping[str, int]
    width: int

    def head_size(self, site: str) -> int:
        return self.width // self.heads[site]


class PromptEncoder(nn.Module):
    """The trainable form of a prompt: attention slots, reparametrised or plain, and plain feed-forward slots.

    Per site `Embedding(P, D) -> Linear(D, M) -> Tanh -> Linear(M, 2 L D)` (paper, section 3.3); with a width M of 0 the
    slots themselves learn. Where a `start` is given the difference to it is learned and begins at zero. Feed-forward
    values begin at zero, so they change nothing at first. `forward` folds all of it into a `Guidance`.
    """

    def __init__(
        self, shape: PromptShape, *, length: int, slots: int, width: int, start: Guidance = NO_GUIDANCE
    ) -> None:
        super().__init__()
        self.shape, self.length, self.slots = shape, length, slots
        self.embedding = nn.ParameterDict()
        self.project = nn.ModuleDict()
        if length:
            for site, layers in shape.site_layers.items():
                if not width:
                    size = (length, 2 * layers * shape.width)
                    self.embedding[site] = nn.Parameter(torch.zeros(size) if start.length else torch.randn(size))
                    self.project[site] = nn.Identity()
                    continue
                self.embedding[site] = nn.Parameter(torch.randn(length, shape.width))
                last = nn.Linear(width, 2 * layers * shape.width)
                if start.length:
                    nn.init.zeros_(last.weight)
                    nn.init.zeros_(last.bias)
                self.project[site] = nn.Sequential(nn.Linear(shape.width, width), nn.Tanh(), last)
        self.slot_key = nn.ParameterDict()
        self.slot_value = nn.ParameterDict()
        if slots:
            scale = 0.0 if start.slots else shape.width**-0.5
            for stack_name, layers in shape.stack_layers.items():
                self.slot_key[stack_name] = nn.Parameter(torch.randn(layers, 1, slots, shape.width) * scale)
                self.slot_value[stack_name] = nn.Parameter(torch.zeros(layers, 1, slots, shape.width))
        assert start.length in (0, length), f"start has {start.length} slots, the prompt {length}"
        assert start.slots in (0, slots), f"start has {start.slots} feed-forward slots, the prompt {slots}"
        self.start_names = tuple(start.tensors())
        for name, tensor in start.tensors().items():
            self.register_buffer(_buffer(name), tensor.detach().clone())

    def forward(self) -> Guidance:
        tensors: dict[str, Tensor] = {}
        for site, layers in self.shape.site_layers.items() if self.length else ():
            heads, size = self.shape.heads[site], self.shape.head_size(site)
            flat = self.project[site](self.embedding[site])
            pair = flat.view(self.length, layers, 2, heads, size).permute(2, 1, 3, 0, 4).unsqueeze(2)
            tensors[f"key.{site}"], tensors[f"value.{site}"] = pair[0], pair[1]
        for stack_name in self.slot_key:
            tensors[f"slot_key.{stack_name}"] = self.slot_key[stack_name]
            tensors[f"slot_value.{stack_name}"] = self.slot_value[stack_name]
        for name in self.start_names:
            tensors[name] = tensors[name] + self.get_buffer(_buffer(name))
        return Guidance.from_tensors(tensors)

    @torch.no_grad()
    def fold(self) -> Guidance:
        """The learned guidance as plain tensors; the network is no longer needed (paper: dropped after training)."""
        guidance: Guidance = self()
        return guidance.map(lambda tensor: tensor.detach().clone())


def _buffer(name: str) -> str:
    return "start_" + name.replace(".", "_")
