"""Damaged, lost, foreign and oversize objects on any store are refused by name."""

from __future__ import annotations

import pytest
from obstore.store import LocalStore, S3Store

from lightner.store.artifact import CARD, MANIFEST, README, TENSORS, to_files
from lightner.store.registry import Registry
from lightner.types import InputError
from tests.support.registries import artifact, flip, seed_of


@pytest.mark.parametrize("name", [MANIFEST, CARD, README, TENSORS])
def test_a_corrupt_file_is_refused_and_other_versions_and_domains_are_not(
    registry: Registry, raw: LocalStore | S3Store, name: str
) -> None:
    registry.publish(artifact(0))
    registry.publish(artifact(1))
    registry.publish(artifact(2, "music"))
    path = f"movies/versions/v000002/{name}"
    size = len(raw.get(path).bytes())
    intact = bytes(raw.get(path).bytes())
    for position in (0, size // 3, size // 2, size - 1):
        flip(raw, path, position)
        with pytest.raises(InputError, match=r"movies/versions/v000002/.*found .*sha256.*expected"):
            registry.fetch("movies")
        with pytest.raises(InputError, match="v000002"):
            registry.verify("movies", "v000002")
        raw.put(path, intact)
    flip(raw, path, 0)
    registry.verify("movies", "v000001")
    assert seed_of(registry.fetch("music")) == 2
    assert registry.rollback("movies") == "v000001"
    assert seed_of(registry.fetch("movies")) == 0


@pytest.mark.parametrize("name", [CARD, README, TENSORS])
def test_a_lost_file_is_refused_by_name(registry: Registry, raw: LocalStore | S3Store, name: str) -> None:
    registry.publish(artifact())
    raw.delete(f"movies/versions/v000001/{name}")
    with pytest.raises(InputError, match=f"v000001: found files .*expected .*{name}"):
        registry.fetch("movies")


def test_a_prompt_of_another_domain_is_refused(registry: Registry, raw: LocalStore | S3Store) -> None:
    registry.publish(artifact())
    for name, content in to_files(artifact(domain="music")).items():
        raw.put(f"movies/versions/v000001/{name}", content)
    with pytest.raises(InputError, match="found domain 'music', expected 'movies'"):
        registry.fetch("movies")


def test_oversize_objects_are_refused_by_their_size(registry: Registry, raw: LocalStore | S3Store) -> None:
    registry.publish(artifact())
    raw.put(f"movies/versions/v000001/{CARD}", bytes(2**20 + 1))
    with pytest.raises(InputError, match=r"card\.json: found 1048577 bytes, expected at most 1048576"):
        registry.fetch("movies")


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[1]", b'{"format_version": 1, "aliases": {"live": "v000001"}, "retired": [], "floor": 0}',
     b'{"format_version": 1, "aliases": {"live": {"version": "../x", "since": "", "history": []}},'
     b' "retired": [], "floor": 0}'],
    ids=["empty", "no-keys", "list", "no-alias", "path"],
)  # fmt: skip
def test_corrupt_aliases_are_refused_by_name(registry: Registry, raw: LocalStore | S3Store, content: bytes) -> None:
    registry.publish(artifact())
    registry.publish(artifact(domain="music"))
    raw.put("movies/aliases.json", content)
    for call in (registry.resolve, registry.aliases, registry.rollback):
        with pytest.raises(InputError, match=r"movies/aliases\.json: found no aliases"):
            call("movies")
    assert registry.resolve("music") == "v000001"
    registry.verify("movies", "v000001")
