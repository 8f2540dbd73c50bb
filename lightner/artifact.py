"""A prompt on disk: safetensors, a JSON card, a README for people and a manifest of sha256s. Never the backbone.

Every byte is verified before it is parsed, and everything parsed is checked against the card. Nothing is unpickled.
Knows no object storage. Legend: L layers, H heads, P prompt slots, N feed-forward slots, D width, K labels, J pieces.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor

from lightner import card as cards
from lightner import verbalizer
from lightner.backbone import Backbone
from lightner.card import JSON as JSON
from lightner.card import Card as Card
from lightner.card import check_name as check_name
from lightner.card import metrics_of as metrics_of
from lightner.prompts import SITES, STACKS, Guidance, Prompt, PromptShape
from lightner.types import InputError

TENSORS, CARD, README, MANIFEST = "prompt.safetensors", "card.json", "README.md", "manifest.json"
# The files of a prompt in the order in which they are stored, and the most bytes that each may have.
FILES: Mapping[str, int] = {CARD: 2**20, README: 2**20, TENSORS: 64 * 2**20, MANIFEST: 2**16}
MAX_HEADER_BYTES = 2**16
MAX_LABEL_PIECES = 2**16
MAX_LABEL_TEXT = 2**18
WEIGHTS = "verbalizer.weights"
DRAFT_TAGGER = "draft.tagger"


@dataclass(frozen=True, eq=False)
class PromptArtifact:
    """A card and its tensors by flat name: those of `Guidance.tensors()` (fp16, B = 1), the answer space's weights and,
    in prompts made since drafts are (docs/decisions/0008), a draft tagger.

    Shape: key.*, value.* [L, 1, H, P, D/H]; slot_key.*, slot_value.* [L, 1, N, D]; verbalizer.weights [K, J], fp32;
    draft.tagger [1 + 2 K, D + 1], fp16.
    Raises InputError where a name, shape, type or value does not agree with the card.
    """

    card: Card
    tensors: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        _check_label_text(self.card)
        expected = _expected_names(self.card)
        if sorted({*self.tensors} - {DRAFT_TAGGER}) != expected:
            raise InputError(f"found tensors {sorted(self.tensors)}, expected {expected} as the card says")
        for name, tensor in self.tensors.items():
            _check_tensor(name, tensor, self.card)

    @classmethod
    def of(cls, card: Card, guidance: Guidance, weights: Tensor) -> PromptArtifact:
        """The artefact of a learned guidance (B = 1) and verbalizer weights [K, J]: rounded copies on the CPU."""
        rounded = {name: _packed(tensor, torch.float16) for name, tensor in guidance.tensors().items()}
        return cls(card, {**rounded, WEIGHTS: _packed(weights, torch.float32)})

    @property
    def guidance(self) -> Guidance:
        others = (WEIGHTS, DRAFT_TAGGER)
        return Guidance.from_tensors({name: tensor for name, tensor in self.tensors.items() if name not in others})

    def drafting(self, tagger: Tensor) -> PromptArtifact:
        """The artefact with a draft tagger [1 + 2 K, D + 1]."""
        return PromptArtifact(self.card, {**self.tensors, DRAFT_TAGGER: _packed(tagger, torch.float16)})


def to_files(artifact: PromptArtifact) -> dict[str, bytes]:
    """File name -> content; equal artefacts have equal bytes. Raises InputError where a file would be too large."""
    files = {
        CARD: cards.to_json(artifact.card),
        README: cards.readme(artifact.card).encode(),
        TENSORS: safetensors.save({name: tensor.contiguous() for name, tensor in artifact.tensors.items()}),
    }
    files[MANIFEST] = _manifest(files)
    _check_sizes(files, f"prompt {artifact.card.domain!r}")
    return files


def from_files(files: Mapping[str, bytes], *, where: str) -> PromptArtifact:
    """The inverse of `to_files`; `where` (a folder, an address) begins every error message.

    Raises:
        InputError: a file is missing, unknown, too large, differs from the manifest, or contradicts the card.
    """
    if sorted(files) != sorted(FILES):
        raise InputError(f"{where}: found files {sorted(files)}, expected {sorted(FILES)}")
    _check_sizes(files, where)
    _check_manifest(files, where)
    try:
        card = cards.from_json(files[CARD])
    except InputError as error:
        raise InputError(f"{where}/{CARD}: {error}") from error
    try:
        return PromptArtifact(card, _read_tensors(files[TENSORS]))
    except InputError as error:
        raise InputError(f"{where}/{TENSORS}: {error}") from error


def save(artifact: PromptArtifact, folder: str | os.PathLike[str]) -> None:
    """Write the files into a new `folder`, all or nothing.

    Raises:
        InputError: `folder` exists already.
    """
    target = Path(folder)
    if os.path.lexists(target):
        raise _taken(target)
    files = to_files(artifact)
    target.parent.mkdir(parents=True, exist_ok=True)
    growing = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        for name, content in files.items():
            _write(growing / name, content)
        growing.chmod(0o755)
        _sync_folder(growing)
        growing.rename(target)
    except BaseException as error:
        shutil.rmtree(growing, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise _taken(target) from error
        raise
    _sync_folder(target.parent)


def load(folder: str | os.PathLike[str]) -> PromptArtifact:
    """Read and verify the prompt in `folder`. Raises InputError as `from_files` does."""
    source = Path(folder)
    files = {}
    for name, limit in FILES.items():
        try:
            with open(source / name, "rb") as file:
                files[name] = file.read(limit + 1)
        except OSError as error:
            raise InputError(f"{source}: found no readable {name} ({error.strerror}), expected a prompt") from error
    return from_files(files, where=str(source))


def prompt_for(artifact: PromptArtifact, backbone: Backbone) -> Prompt:
    """The prompt on the backbone's device and in its precision, with its label vectors [K, D].

    Raises:
        InputError: it was tuned on another backbone; the message names both.
    """
    card = artifact.card
    if card.backbone_fingerprint != backbone.fingerprint:
        raise InputError(
            f"prompt {card.domain!r}: found backbone {backbone.name!r} (fingerprint {backbone.fingerprint}), expected "
            f"{card.backbone_name!r} (fingerprint {card.backbone_fingerprint}), on which the prompt was tuned"
        )
    pieces = verbalizer.label_pieces(backbone.tokenizer, card.label_set)
    _check_fit(artifact, backbone.shape, tuple(pieces.ids.shape))
    device = backbone.device
    moved = verbalizer.LabelPieces(pieces.ids.to(device), pieces.mask.to(device))
    vectors = verbalizer.average(artifact.tensors[WEIGHTS].to(device), moved, backbone.embedding)
    dtype = backbone.embedding.dtype
    tagger = artifact.tensors.get(DRAFT_TAGGER)
    moved_tagger = None if tagger is None else tagger.to(device, dtype)
    return Prompt(card.label_set, artifact.guidance.to(device, dtype), vectors, moved_tagger)


def _taken(target: Path) -> InputError:
    return InputError(f"{target}: found it taken, expected a folder that does not exist yet")


def _packed(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    # A copy: views into one tensor would keep all of it alive, and safetensors refuses shared memory.
    return tensor.detach().to("cpu", dtype, copy=True).contiguous()


def _check_label_text(card: Card) -> None:
    # Label words become a padded [K, J] of pieces: one long label among many would fill the memory.
    longest = max(sum(len(word) for word in words) for words in card.label_words)
    if len(card.labels) * longest > MAX_LABEL_TEXT:
        raise InputError(
            f"found {len(card.labels)} labels and label words of up to {longest} characters, expected a product of at "
            f"most {MAX_LABEL_TEXT}"
        )


def _expected_names(card: Card) -> list[str]:
    attention = [f"{kind}.{site}" for kind in ("key", "value") for site in SITES] if card.length else []
    slots = [f"{kind}.{stack}" for kind in ("slot_key", "slot_value") for stack in STACKS] if card.slots else []
    return sorted([*attention, *slots, WEIGHTS])


def _check_tensor(name: str, tensor: Tensor, card: Card) -> None:
    """The tensor against the card alone; the other sizes only the backbone knows."""
    expected: tuple[int | None, ...]
    if name == WEIGHTS:
        dtype, expected = torch.float32, (len(card.labels), None)
    elif name == DRAFT_TAGGER:
        dtype, expected = torch.float16, (1 + 2 * len(card.labels), None)
    elif name.startswith("slot_"):
        dtype, expected = torch.float16, (None, 1, card.slots, None)
    else:
        dtype, expected = torch.float16, (None, 1, None, card.length, None)
    shape = tuple(tensor.shape)
    sizes = zip(shape, expected, strict=False)
    agrees = len(shape) == len(expected) and all(want in (None, size) for size, want in sizes)
    if tensor.dtype != dtype or not agrees or 0 in shape:
        sizes_text = ", ".join("*" if size is None else str(size) for size in expected)
        raise InputError(f"{name}: found {tensor.dtype} of shape {shape}, expected {dtype} of shape ({sizes_text})")
    if name == WEIGHTS and tensor.numel() > MAX_LABEL_PIECES:
        raise InputError(f"{name}: found shape {shape}, expected at most {MAX_LABEL_PIECES} label pieces in all")
    # The largest is NaN where any is; five times as fast as to ask each, in fp16 on a CPU.
    if not tensor.float().abs().max().isfinite():
        raise InputError(f"{name}: found infinite values or NaN, expected values that {dtype} can hold")


def _check_fit(artifact: PromptArtifact, shape: PromptShape, pieces: tuple[int, ...]) -> None:
    for name, tensor in artifact.tensors.items():
        kind, _, at = name.partition(".")
        if name == WEIGHTS:
            expected = pieces
        elif name == DRAFT_TAGGER:
            expected = (1 + 2 * len(artifact.card.labels), shape.width + 1)
        elif kind.startswith("slot_"):
            expected = (shape.stack_layers[at], 1, artifact.card.slots, shape.width)
        else:
            expected = (shape.site_layers[at], 1, shape.heads[at], artifact.card.length, shape.head_size(at))
        if tuple(tensor.shape) != expected:
            found = tuple(tensor.shape)
            raise InputError(f"prompt {artifact.card.domain!r}: {name}: found shape {found}, expected {expected}")


def _check_sizes(files: Mapping[str, bytes], where: str) -> None:
    for name, content in files.items():
        if len(content) > FILES[name]:
            raise InputError(f"{where}/{name}: found {len(content)} bytes or more, expected at most {FILES[name]}")


def _manifest(files: Mapping[str, bytes]) -> bytes:
    listed = {name: _entry(files[name]) for name in sorted(set(files) - {MANIFEST})}
    return cards.write_json({"format_version": cards.FORMAT_VERSION, "files": listed})


def _entry(content: bytes) -> dict[str, str | int]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def _check_manifest(files: Mapping[str, bytes], where: str) -> None:
    """Equality with the manifest of what is there covers every byte; what follows finds the file to blame."""
    actual = _manifest(files)
    if files[MANIFEST] == actual:
        return
    for name, expected in _listed(files[MANIFEST]).items():
        if (found := _entry(files[name])) != expected:
            raise InputError(f"{where}/{name}: found {found}, expected {expected} as {MANIFEST} says")
    found = _entry(files[MANIFEST])
    raise InputError(f"{where}/{MANIFEST}: found {found}, expected {_entry(actual)} for the files beside it")


def _listed(manifest: bytes) -> dict[str, object]:
    """What a manifest says of files that there are; nothing where it is no manifest."""
    try:
        listed = cards.read_json(manifest)["files"]
        return {name: listed[name] for name in FILES if name != MANIFEST and name in listed}
    except (InputError, KeyError, TypeError):
        return {}


def _read_tensors(content: bytes) -> dict[str, Tensor]:
    header = int.from_bytes(content[:8], "little")
    if header > MAX_HEADER_BYTES:
        raise InputError(f"found a header of {header} bytes, expected at most {MAX_HEADER_BYTES}")
    try:
        return safetensors.load(content)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise InputError(f"found no safetensors ({error}), expected a prompt's tensors") from error


def _write(path: Path, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
