"""A prompt on disk: it is read back bit by bit, and any other files are refused by name."""

from __future__ import annotations

import hashlib
import json
import pickle
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import numpy as safetensors

from lightner.model.backbone import Backbone, prepare
from lightner.model.verbalizer import average, label_pieces
from lightner.store.artifact import (
    CARD,
    FILES,
    MANIFEST,
    README,
    TENSORS,
    VECTORS,
    WEIGHTS,
    Array,
    PromptArtifact,
    _is_finite,
    from_files,
    load,
    save,
    to_files,
)
from lightner.store.loading import artifact_of, guidance_of, prompt_for
from lightner.types import InputError, LabelSet
from tests.support.tiny import tiny_artifact, tiny_backbone, tiny_guidance

BACKBONE = tiny_backbone()
ARTIFACT = tiny_artifact(BACKBONE)
ANSWER_SPACE = {"verbalizer.weights": torch.zeros(2, 1)} | {
    f"verbalizer.{name}": torch.zeros(2, 16) for name in ("residual", "vectors")
}
Files = dict[str, bytes]


def assert_equal(first: PromptArtifact, second: PromptArtifact) -> None:
    assert first.card == second.card
    assert sorted(first.tensors) == sorted(second.tensors)
    for name, tensor in first.tensors.items():
        assert tensor.dtype == second.tensors[name].dtype
        assert np.array_equal(tensor, second.tensors[name]), name


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


printable = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=8,
)


@st.composite
def artifacts(draw: st.DrawFn) -> PromptArtifact:
    names = draw(st.lists(printable, min_size=1, max_size=4, unique=True))
    words = {name: draw(st.lists(printable, min_size=1, max_size=2)) for name in names}
    labels = LabelSet.of(names, words)
    length, slots = draw(st.integers(0, 3)), draw(st.integers(0, 2))
    artifact = tiny_artifact(
        BACKBONE,
        draw(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,127}", fullmatch=True)),
        labels=labels,
        length=length,
        slots=slots,
        seed=draw(st.integers(0, 2**31)),
    )
    free: dict[str, Any] = {
        name: draw(st.dictionaries(printable, json_values, max_size=3)) for name in ("tuning", "metrics", "data")
    }
    return PromptArtifact(replace(artifact.card, **free), artifact.tensors)


@settings(deadline=None, max_examples=50)
@given(artifacts())
def test_written_values_are_read_back(artifact: PromptArtifact) -> None:
    files = to_files(artifact)
    back = from_files(files, where="here")
    assert_equal(back, artifact)
    assert to_files(back) == files


def test_tensors_are_rounded_once() -> None:
    guidance = tiny_guidance(BACKBONE)
    weights, vectors = torch.randn(2, 1), torch.randn(2, 16)
    space = {**ANSWER_SPACE, WEIGHTS: weights, VECTORS: vectors}
    artifact = artifact_of(ARTIFACT.card, {**guidance.tensors(), **space})
    back = from_files(to_files(artifact), where="here")
    for name, tensor in guidance.tensors().items():
        assert torch.equal(guidance_of(back).tensors()[name], tensor.half())
    assert np.array_equal(back.tensors[WEIGHTS], weights.numpy())
    assert np.array_equal(back.tensors[VECTORS], vectors.numpy())


def test_the_artefact_holds_no_views_of_learned_tensors() -> None:
    whole = tiny_guidance(BACKBONE, length=6)
    part = whole.map(lambda tensor: tensor.half()[..., :3, :] if tensor.dim() == 5 else tensor)
    artifact = artifact_of(ARTIFACT.card, {**part.tensors(), **ANSWER_SPACE})
    part.key["encoder"].fill_(7)
    assert not (artifact.tensors["key.encoder"] == 7).any()
    assert_equal(from_files(to_files(artifact), where="here"), artifact)


def test_files_have_the_promised_names_and_the_manifest_lists_all_others() -> None:
    files = to_files(ARTIFACT)
    assert list(files) == list(FILES)
    manifest = json.loads(files[MANIFEST])
    assert sorted(manifest["files"]) == sorted({CARD, README, TENSORS})
    for name, entry in manifest["files"].items():
        assert entry == {"sha256": hashlib.sha256(files[name]).hexdigest(), "bytes": len(files[name])}


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


def test_only_a_card_of_nested_entities_says_so() -> None:
    assert b'"nested"' not in to_files(ARTIFACT)[CARD]
    nested = replace(ARTIFACT, card=replace(ARTIFACT.card, nested=True))
    files = to_files(nested)
    assert json.loads(files[CARD])["nested"] is True
    assert from_files(files, where="here").card == nested.card
    assert "may lie within one another" in files[README].decode()


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


def test_values_that_fp16_cannot_hold_are_refused_when_written() -> None:
    large = tiny_guidance(BACKBONE).map(lambda tensor: tensor * 1e6)
    with pytest.raises(InputError, match="found infinite values"):
        artifact_of(ARTIFACT.card, {**large.tensors(), **ANSWER_SPACE})


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


def test_a_flood_of_label_text_is_refused() -> None:
    many = tuple(f"L{number}" for number in range(3000))
    words = (("x" * 1000,), *((name,) for name in many[1:]))
    card = replace(ARTIFACT.card, labels=many, label_words=words)
    with pytest.raises(InputError, match="found 3000 labels and label words of up to 1000 characters"):
        artifact_of(card, {**tiny_guidance(BACKBONE).tensors(), **ANSWER_SPACE})


def test_a_guidance_of_another_length_than_the_card_says_is_refused() -> None:
    with pytest.raises(InputError, match=r"key.encoder: found .*\(2, 1, 2, 4, 8\)"):
        artifact_of(ARTIFACT.card, {**tiny_guidance(BACKBONE, length=4).tensors(), **ANSWER_SPACE})
    with pytest.raises(InputError, match="found tensors"):
        artifact_of(ARTIFACT.card, ANSWER_SPACE)


def test_a_saved_folder_is_loaded_and_never_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "a b" / "movies"
    save(ARTIFACT, folder)
    assert_equal(load(folder), ARTIFACT)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    with pytest.raises(InputError, match="movies: found it taken"):
        save(tiny_artifact(BACKBONE, seed=1), folder)
    assert_equal(load(folder), ARTIFACT)
    assert [path.name for path in folder.parent.iterdir()] == ["movies"]


def test_only_one_of_many_saves_into_a_folder_succeeds_and_leaves_no_other_files(tmp_path: Path) -> None:
    seeds = range(6)
    ready, saved, refused = threading.Barrier(len(seeds)), list[int](), list[str]()

    def write(seed: int) -> None:
        artifact = tiny_artifact(BACKBONE, seed=seed)
        ready.wait()
        try:
            save(artifact, tmp_path / "movies")
            saved.append(seed)
        except InputError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=write, args=(seed,)) for seed in seeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(saved) == 1
    assert len(refused) == 5
    assert load(tmp_path / "movies").card.tuning == {"seed": saved[0]}
    assert [path.name for path in tmp_path.iterdir()] == ["movies"]


def test_a_folder_without_a_prompt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found no readable card\.json"):
        load(tmp_path)
    save(ARTIFACT, tmp_path / "movies")
    (tmp_path / "movies" / TENSORS).unlink()
    with pytest.raises(InputError, match=r"found no readable prompt\.safetensors"):
        load(tmp_path / "movies")


def test_a_prompt_has_the_learned_values_in_the_precision_of_the_backbone() -> None:
    prompt = prompt_for(ARTIFACT, BACKBONE)
    assert prompt.labels == ARTIFACT.card.label_set
    for name, tensor in prompt.guidance.tensors().items():
        assert torch.equal(tensor, torch.from_numpy(ARTIFACT.tensors[name]).float())
    assert torch.equal(prompt.label_vectors, torch.from_numpy(ARTIFACT.tensors[VECTORS]))
    assert prompt.label_vectors.shape == (2, 16)


def test_a_prompt_follows_a_backbone_of_lower_precision() -> None:
    original = tiny_backbone()
    half = prepare(original.name, original.model, original.tokenizer, dtype=torch.bfloat16)
    prompt = prompt_for(ARTIFACT, half)
    assert prompt.label_vectors.dtype == torch.bfloat16
    assert {tensor.dtype for tensor in prompt.guidance.tensors().values()} == {torch.bfloat16}


@pytest.mark.parametrize("foreign", [tiny_backbone(seed=1), tiny_backbone(family="mbart")], ids=["weights", "family"])
def test_a_foreign_backbone_is_refused_naming_both(foreign: Backbone) -> None:
    with pytest.raises(InputError) as caught:
        prompt_for(ARTIFACT, foreign)
    for part in ("movies", foreign.name, foreign.fingerprint, BACKBONE.name, BACKBONE.fingerprint):
        assert part in str(caught.value)


def test_the_same_backbone_under_another_name_is_accepted() -> None:
    elsewhere = replace(BACKBONE, name="/models/tiny")
    assert prompt_for(ARTIFACT, elsewhere).labels == ARTIFACT.card.label_set


@pytest.mark.parametrize(
    ("name", "shape"),
    [("key.encoder", (3, 1, 2, 3, 8)), ("value.cross", (2, 1, 4, 3, 4)), ("slot_key.decoder", (2, 1, 2, 8))],
)
def test_tensors_that_do_not_fit_the_backbone_are_refused(name: str, shape: tuple[int, ...]) -> None:
    forged = PromptArtifact(ARTIFACT.card, {**ARTIFACT.tensors, name: np.zeros(shape, np.float16)})
    with pytest.raises(InputError, match=rf"prompt 'movies': {name}: found shape \({shape[0]}, .*, expected \(2, 1, "):
        prompt_for(forged, BACKBONE)


def first_format(weights: torch.Tensor) -> PromptArtifact:
    """A prompt as it was stored before label vectors were."""
    kept = {name: tensor for name, tensor in ARTIFACT.tensors.items() if not name.startswith("verbalizer.")}
    return PromptArtifact(replace(ARTIFACT.card, format_version=1), {**kept, WEIGHTS: weights.numpy()})


def test_label_vectors_of_the_first_format_are_averages_of_embeddings() -> None:
    pieces = label_pieces(BACKBONE.tokenizer, ARTIFACT.card.label_set)
    weights = torch.randn(pieces.ids.shape)
    expected = average(weights, pieces.mask, BACKBONE.embedding[pieces.ids])
    assert torch.equal(prompt_for(first_format(weights), BACKBONE).label_vectors, expected)


def test_weights_of_the_first_format_that_do_not_fit_the_label_words_are_refused() -> None:
    with pytest.raises(InputError, match=r"verbalizer.weights: found shape \(2, 5\), expected \(2, "):
        prompt_for(first_format(torch.zeros(2, 5)), BACKBONE)
