"""Files that are no prompt, or not the one that was written, are refused by name."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from safetensors import numpy as safetensors

from lightner.store.artifact import (
    CARD,
    FILES,
    MANIFEST,
    README,
    TENSORS,
    WEIGHTS,
    Array,
    _is_finite,
    from_files,
    to_files,
)
from lightner.types import InputError
from tests.support.tiny import tiny_artifact, tiny_backbone

BACKBONE = tiny_backbone()
ARTIFACT = tiny_artifact(BACKBONE)
Files = dict[str, bytes]


def sealed(files: Files) -> Files:
    """The files with a manifest that fits them, as a forger of prompts would write it."""
    entries = {
        name: {"sha256": hashlib.sha256(files[name]).hexdigest(), "bytes": len(files[name])}
        for name in sorted(set(files) - {MANIFEST})
    }
    return {**files, MANIFEST: (json.dumps({"format_version": 1, "files": entries}, indent=2) + "\n").encode()}


def with_card(change: Callable[[dict[str, Any]], object]) -> Files:
    files = to_files(ARTIFACT)
    card = json.loads(files[CARD])
    change(card)
    return sealed({**files, CARD: json.dumps(card).encode()})


def with_tensors(change: Callable[[dict[str, Array]], object]) -> Files:
    tensors = dict(ARTIFACT.tensors)
    change(tensors)
    return sealed({**to_files(ARTIFACT), TENSORS: safetensors.save(tensors)})


@pytest.mark.parametrize("name", [MANIFEST, CARD, README])
def test_every_byte_of_a_text_file_counts(name: str) -> None:
    files = to_files(ARTIFACT)
    for position in range(len(files[name])):
        broken = bytearray(files[name])
        broken[position] ^= 1
        with pytest.raises(InputError, match=r"^here/.*expected"):
            from_files({**files, name: bytes(broken)}, where="here")


def test_every_region_of_the_tensors_counts_and_the_message_has_both_sha256s() -> None:
    files = to_files(ARTIFACT)
    good = hashlib.sha256(files[TENSORS]).hexdigest()
    for position in [*range(0, len(files[TENSORS]), 97), len(files[TENSORS]) - 1]:
        broken = bytearray(files[TENSORS])
        broken[position] ^= 128
        bad = hashlib.sha256(broken).hexdigest()
        with pytest.raises(InputError, match=rf"^here/prompt.safetensors: .*{bad}.*{good}"):
            from_files({**files, TENSORS: bytes(broken)}, where="here")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "change", [lambda c: c[:-1], lambda c: c + b"\n", lambda c: b""], ids=["cut", "longer", "empty"]
)
def test_a_file_of_another_length_is_refused(name: str, change: Callable[[bytes], bytes]) -> None:
    files = to_files(ARTIFACT)
    with pytest.raises(InputError, match=r"^here/"):
        from_files({**files, name: change(files[name])}, where="here")


def test_missing_and_unknown_files_are_refused() -> None:
    files = to_files(ARTIFACT)
    with pytest.raises(InputError, match=r"^here: found files .*, expected .*README.md"):
        from_files({name: files[name] for name in files if name != README}, where="here")
    with pytest.raises(InputError, match=r"^here: found files .*evil.pkl"):
        from_files({**files, "evil.pkl": b""}, where="here")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card.update(colour="red"), "found unknown keys \\['colour'\\]"),
        (lambda card: card.pop("labels"), "found no keys \\['labels'\\]"),
        (lambda card: card["prompt"].update(depth=1), "prompt: found unknown keys \\['depth'\\]"),
        (lambda card: card["backbone"].pop("name"), "backbone: found no keys \\['name'\\]"),
        (lambda card: card.update(backbone="embedded"), "backbone: found str, expected an object"),
        (lambda card: card.update(nested=False), "nested: found False, expected true, or no such key"),
        (lambda card: card.update(format_version=3), "format_version: found 3, expected one of"),
        (lambda card: card.update(format_version=True), "format_version: found True"),
        (lambda card: card["prompt"].update(length="3"), "length: found '3'"),
        (lambda card: card["prompt"].update(slots=-1), "found \\(3, -1\\)"),
        (lambda card: card.update(domain="../etc"), "domain: found '../etc'"),
        (lambda card: card.update(labels=[]), "labels: found \\[\\]"),
        (lambda card: card.update(labels="PER"), "labels: found 'PER'"),
        (lambda card: card.update(labels=["PER", "PER"]), "distinct names"),
        (lambda card: card.update(labels=["PER", "L\nOC"]), "expected printable text"),
        (lambda card: card.update(label_words=[["a"], 1]), "label_words: found 1"),
        (lambda card: card.update(label_words=[["a"]]), "one for each of 2 labels"),
        (lambda card: card.update(tuning=[1]), "tuning: found \\[1\\]"),
        (lambda card: card.update(tuning={"loss": float("nan")}), "found NaN"),
        (lambda card: card.update(created="yesterday"), "created: found 'yesterday'"),
        (lambda card: card.update(created="2026-01-01T00:00:00"), "created: found .*UTC"),
        (lambda card: card["backbone"].update(fingerprint="abc"), "fingerprint: found 'abc'"),
    ],
)
def test_a_forged_card_is_refused_with_its_file_and_key(
    change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(InputError, match=f"^here/card.json: .*{message}"):
        from_files(with_card(change), where="here")


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"[1]", b'{"domain": 1, "domain": 2}', b"[" * 100_000, pickle.dumps({"a": 1})],
    ids=["empty", "binary", "list", "key-twice", "deep", "pickle"],
)
def test_a_card_that_is_no_card_is_refused(content: bytes) -> None:
    files = sealed({**to_files(ARTIFACT), CARD: content})
    with pytest.raises(InputError, match=r"^here/card\.json: .*found .*expected"):
        from_files(files, where="here")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("key.cross"), "found tensors .*expected .*key.cross"),
        (lambda t: t.update(extra=np.zeros(1, np.float32)), "found tensors .*extra"),
        (lambda t: t.update({WEIGHTS: np.zeros((3, 1), np.float32)}), "verbalizer.weights: .*\\(3, 1\\).*\\(2, \\*\\)"),
        (lambda t: t.update({WEIGHTS: np.zeros((2, 40_000), np.float32)}), "at most 65536 label pieces"),
        (lambda t: t.update({WEIGHTS: np.zeros((2, 0), np.float32)}), "shape \\(2, 0\\)"),
        (lambda t: t.update({WEIGHTS: np.zeros((2, 1))}), "found float64"),
        (lambda t: t.update({"key.encoder": t["key.encoder"].astype(np.float32)}), "found float32"),
        (lambda t: t.update({"key.encoder": t["key.encoder"][..., :2, :].copy()}), "expected .*\\(\\*, 1, \\*, 3"),
        (lambda t: t.update({"slot_key.encoder": np.zeros((2, 2, 2, 16), np.float16)}), "slot_key.encoder: found"),
        (
            lambda t: t.update({"value.cross": t["value.cross"] * np.float16(np.nan)}),
            "value.cross: found infinite values or NaN",
        ),
        (
            lambda t: t.update({"value.cross": t["value.cross"] * np.float16(np.inf)}),
            "value.cross: found infinite values or NaN",
        ),
    ],
)
def test_forged_tensors_are_refused_with_their_name(change: Callable[[dict[str, Array]], object], message: str) -> None:
    with pytest.raises(InputError, match=rf"^here/prompt\.safetensors: .*{message}"):
        from_files(with_tensors(change), where="here")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no safetensors"),
        (pickle.dumps({"key.encoder": [1.0]}), "header of|no safetensors"),
        ((2**40).to_bytes(8, "little"), "header of 1099511627776 bytes"),
        ((10).to_bytes(8, "little") + b"not a json", "no safetensors"),
    ],
    ids=["empty", "pickle", "endless-header", "no-json"],
)
def test_a_file_that_is_not_safetensors_is_refused(content: bytes, message: str) -> None:
    files = sealed({**to_files(ARTIFACT), TENSORS: content})
    with pytest.raises(InputError, match=f"^here/prompt.safetensors: .*{message}"):
        from_files(files, where="here")


@pytest.mark.parametrize("name", FILES)
def test_oversize_is_refused_before_anything_is_parsed(name: str) -> None:
    files = {**to_files(ARTIFACT), name: bytes(FILES[name] + 1)}
    with pytest.raises(InputError, match=f"^here/{name}: found {FILES[name] + 1} bytes or more, expected at most"):
        from_files(files, where="here")


@pytest.mark.parametrize(
    "values",
    [
        np.arange(2**16, dtype=np.uint16).view(np.float16),
        np.array([0.0, -0.0, 1e-45, -1e-45, 3.4e38, -3.4e38, np.inf, -np.inf, np.nan, -np.nan], dtype=np.float32),
    ],
    ids=["all halves", "singles"],
)
def test_a_value_is_taken_for_infinite_or_nan_exactly_if_it_is(values: Array) -> None:
    assert [_is_finite(values[place : place + 1]) for place in range(len(values))] == np.isfinite(values).tolist()
    strided = np.stack([values[np.isfinite(values)]] * 2)[:, ::2]
    assert _is_finite(strided)
