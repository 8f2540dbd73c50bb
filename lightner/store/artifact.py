"""A prompt on disk: safetensors, a JSON card, a README for people and a manifest of sha256s. Never the backbone.

Every byte is verified before it is parsed, and everything parsed is checked against the card. Nothing is unpickled.
Knows no object storage and no torch: tensors are arrays here, which `loading` gives to a model.
Legend: L layers, H heads, P prompt slots, N feed-forward slots, D width, K labels, J pieces.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from lightner.store import card as cards
from lightner.store.card import JSON as JSON
from lightner.store.card import Card as Card
from lightner.store.card import metrics_of as metrics_of
from lightner.types import InputError

TENSORS, CARD, README, MANIFEST = "prompt.safetensors", "card.json", "README.md", "manifest.json"
# The files of a prompt in the order in which they are stored, and the most bytes that each may have.
FILES: Mapping[str, int] = {CARD: 2**20, README: 2**20, TENSORS: 64 * 2**20, MANIFEST: 2**16}
NEEDED = (CARD, TENSORS, MANIFEST)
"""The files that are needed to read texts."""
MAX_HEADER_BYTES = 2**16
MAX_LABEL_PIECES = 2**16
MAX_LABEL_TEXT = 2**18
WEIGHTS, RESIDUAL, VECTORS = "verbalizer.weights", "verbalizer.residual", "verbalizer.vectors"
DRAFT_TAGGER = "draft.tagger"
_ANSWER_SPACE: Mapping[int, tuple[str, ...]] = {1: (WEIGHTS,), 2: (RESIDUAL, VECTORS, WEIGHTS)}  # by format version
_MANIFEST_VERSION = 1
GUIDANCE = ("key.", "value.", "slot_key.", "slot_value.")
"""How the names of a guidance's tensors begin."""
SITES = ("encoder", "decoder", "cross")
STACKS = ("encoder", "decoder")

Array: TypeAlias = NDArray[Any]
_EXPONENTS: Mapping[type, tuple[type[np.unsignedinteger[Any]], int]] = {
    np.float16: (np.uint16, 0x7C00),
    np.float32: (np.uint32, 0x7F800000),
}
"""Of each type that tensors have whole numbers of the same size, and the bits of the exponent in them."""


@dataclass(frozen=True, eq=False)
class PromptArtifact:
    """A card and its tensors by flat name: a guidance (fp16, B = 1), the answer space, and perhaps a draft tagger.

    Shape: key.*, value.* [L, 1, H, P, D/H]; slot_key.*, slot_value.* [L, 1, N, D], fp16; verbalizer.weights [K, J],
    verbalizer.residual and verbalizer.vectors [K, D], fp32 (a prompt of format version 1 has weights alone);
    draft.tagger [1 + 2 K, D + 1], fp16 (docs/decisions/0008).
    Raises InputError where a name, shape, type or value does not agree with the card.
    """

    card: Card
    tensors: Mapping[str, Array]

    def __post_init__(self) -> None:
        _check_label_text(self.card)
        expected = _expected_names(self.card)
        if sorted({*self.tensors} - {DRAFT_TAGGER}) != expected:
            raise InputError(f"found tensors {sorted(self.tensors)}, expected {expected} as the card says")
        for name, tensor in self.tensors.items():
            _check_tensor(name, tensor, self.card)


def to_files(artifact: PromptArtifact) -> dict[str, bytes]:
    """File name -> content; equal artefacts have equal bytes. Raises InputError where a file would be too large."""
    files = {
        CARD: cards.to_json(artifact.card),
        README: cards.readme(artifact.card).encode(),
        TENSORS: safetensors.save(dict(artifact.tensors)),
    }
    files[MANIFEST] = _manifest(files)
    _check_sizes(files, f"prompt {artifact.card.domain!r}")
    return files


def from_files(files: Mapping[str, bytes], *, where: str) -> PromptArtifact:
    """The inverse of `to_files`; `where` (a folder, an address) begins every error message.

    Raises:
        InputError: a file is missing, unknown, too large, differs from the manifest, or contradicts the card.
    """
    return _from_exactly(FILES, files, where)


def from_needed(files: Mapping[str, bytes], *, where: str) -> PromptArtifact:
    """As `from_files`, from the files `NEEDED`. What the manifest says of the README is compared with nothing."""
    return _from_exactly(NEEDED, files, where)


def _from_exactly(expected: Collection[str], files: Mapping[str, bytes], where: str) -> PromptArtifact:
    if sorted(files) != sorted(expected):
        raise InputError(f"{where}: found files {sorted(files)}, expected {sorted(expected)}")
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


def with_readme(files: Mapping[str, bytes], readme: bytes) -> dict[str, bytes]:
    """The files with another README, which people read and nothing else."""
    changed = {**files, README: readme}
    return {**changed, MANIFEST: _manifest(changed)}


def from_edited(files: Mapping[str, bytes], *, where: str) -> PromptArtifact:
    """As `from_files`, whatever people have made of the README since: they edit it on a hub. Raises InputError."""
    listed = _listed(files[MANIFEST])
    for name in (CARD, TENSORS):
        if (found := _entry(files[name])) != listed.get(name):
            raise InputError(f"{where}/{name}: found {found}, expected {listed.get(name)} as {MANIFEST} says")
    return from_files(with_readme(files, files[README]), where=where)


def card_of(files: Mapping[str, bytes], *, where: str) -> Card:
    """The card among `files`, which need hold no more than it and the manifest. Raises InputError as `from_files`."""
    if CARD not in files or _listed(files[MANIFEST]).get(CARD) != _entry(files[CARD]):
        raise InputError(f"{where}/{CARD}: found it damaged or missing, expected what {MANIFEST} says")
    try:
        return cards.from_json(files[CARD])
    except InputError as error:
        raise InputError(f"{where}/{CARD}: {error}") from error


def save(artifact: PromptArtifact, folder: str | os.PathLike[str]) -> None:
    """Write the files into a new `folder`, all or nothing.

    Raises:
        InputError: `folder` exists already.
    """
    save_files(to_files(artifact), folder)


def save_files(files: Mapping[str, bytes], folder: str | os.PathLike[str]) -> None:
    """Write a prompt's files as `save` does. Raises InputError if `folder` exists already."""
    target = Path(folder)
    if os.path.lexists(target):
        raise _taken(target)
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


def _taken(target: Path) -> InputError:
    return InputError(f"{target}: found it taken, expected a folder that does not exist yet")


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
    return sorted([*attention, *slots, *_ANSWER_SPACE[card.format_version]])


def _check_tensor(name: str, tensor: Array, card: Card) -> None:
    """The tensor against the card alone; the other sizes only the backbone knows."""
    dtype: type[np.floating[Any]]
    expected: tuple[int | None, ...]
    if name in (WEIGHTS, RESIDUAL, VECTORS):
        dtype, expected = np.float32, (len(card.labels), None)
    elif name == DRAFT_TAGGER:
        dtype, expected = np.float16, (1 + 2 * len(card.labels), None)
    elif name.startswith("slot_"):
        dtype, expected = np.float16, (None, 1, card.slots, None)
    else:
        dtype, expected = np.float16, (None, 1, None, card.length, None)
    shape = tuple(tensor.shape)
    sizes = zip(shape, expected, strict=False)
    agrees = len(shape) == len(expected) and all(want in (None, size) for size, want in sizes)
    if tensor.dtype != dtype or not agrees or 0 in shape:
        wanted = f"{np.dtype(dtype)} of shape ({', '.join('*' if size is None else str(size) for size in expected)})"
        raise InputError(f"{name}: found {tensor.dtype} of shape {shape}, expected {wanted}")
    if name == WEIGHTS and tensor.size > MAX_LABEL_PIECES:
        raise InputError(f"{name}: found shape {shape}, expected at most {MAX_LABEL_PIECES} label pieces in all")
    if not _is_finite(tensor):
        raise InputError(f"{name}: found infinite values or NaN, expected values that {np.dtype(dtype)} can hold")


def _is_finite(tensor: Array) -> bool:
    """Whether no value is infinite or NaN: these, and only these, have all bits of the exponent set."""
    # numpy asks each half-precision value, or converts them all first, at ten times the cost of whole numbers.
    whole, exponent = _EXPONENTS[tensor.dtype.type]
    return bool((tensor.view(whole) & exponent).max() != exponent)


def _check_sizes(files: Mapping[str, bytes], where: str) -> None:
    for name, content in files.items():
        if len(content) > FILES[name]:
            raise InputError(f"{where}/{name}: found {len(content)} bytes or more, expected at most {FILES[name]}")


def _manifest(files: Mapping[str, bytes], absent: Mapping[str, object] | None = None) -> bytes:
    """The manifest of these files and of those `absent`, whose entries are given."""
    entries = {**(absent or {}), **{name: _entry(files[name]) for name in set(files) - {MANIFEST}}}
    listed = {name: entries[name] for name in sorted(entries)}
    return cards.write_json({"format_version": _MANIFEST_VERSION, "files": listed})


def _entry(content: bytes) -> dict[str, str | int]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def _check_manifest(files: Mapping[str, bytes], where: str) -> None:
    """Equality with the manifest of what is there covers every byte; what follows finds the file to blame."""
    listed = _listed(files[MANIFEST])
    actual = _manifest(files, {name: entry for name, entry in listed.items() if name not in files})
    if files[MANIFEST] == actual:
        return
    for name, expected in listed.items():
        if name in files and (found := _entry(files[name])) != expected:
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


def _read_tensors(content: bytes) -> dict[str, Array]:
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
