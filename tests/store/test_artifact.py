"""A prompt on disk: it is read back bit by bit, and its folder is written whole and once."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightner.store.artifact import (
    CARD,
    FILES,
    MANIFEST,
    README,
    TENSORS,
    VECTORS,
    WEIGHTS,
    PromptArtifact,
    from_files,
    load,
    save,
    to_files,
)
from lightner.store.loading import artifact_of, guidance_of
from lightner.types import InputError, LabelSet
from tests.support.tiny import tiny_artifact, tiny_backbone, tiny_guidance

BACKBONE = tiny_backbone()
ARTIFACT = tiny_artifact(BACKBONE)
ANSWER_SPACE = {"verbalizer.weights": torch.zeros(2, 1)} | {
    f"verbalizer.{name}": torch.zeros(2, 16) for name in ("residual", "vectors")
}


def assert_equal(first: PromptArtifact, second: PromptArtifact) -> None:
    assert first.card == second.card
    assert sorted(first.tensors) == sorted(second.tensors)
    for name, tensor in first.tensors.items():
        assert tensor.dtype == second.tensors[name].dtype
        assert np.array_equal(tensor, second.tensors[name]), name


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


def test_only_a_card_of_nested_entities_says_so() -> None:
    assert b'"nested"' not in to_files(ARTIFACT)[CARD]
    nested = replace(ARTIFACT, card=replace(ARTIFACT.card, nested=True))
    files = to_files(nested)
    assert json.loads(files[CARD])["nested"] is True
    assert from_files(files, where="here").card == nested.card
    assert "may lie within one another" in files[README].decode()


def test_values_that_fp16_cannot_hold_are_refused_when_written() -> None:
    large = tiny_guidance(BACKBONE).map(lambda tensor: tensor * 1e6)
    with pytest.raises(InputError, match="found infinite values"):
        artifact_of(ARTIFACT.card, {**large.tensors(), **ANSWER_SPACE})


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
