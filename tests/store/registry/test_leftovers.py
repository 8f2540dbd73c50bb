"""What is stored beside live versions, on any store: attachments, half-written versions, and garbage."""

from __future__ import annotations

import pytest
from obstore.store import LocalStore, S3Store

from lightner.store.artifact import CARD, FILES, to_files
from lightner.store.registry import Registry, UnknownPrompt
from lightner.types import InputError
from tests.support.registries import artifact, seed_of


def test_attachments_come_and_go_with_their_version_and_no_reader_needs_them(
    registry: Registry, raw: LocalStore | S3Store
) -> None:
    registry.publish(artifact(0), attachments={"scan.png": b"picture", "scan.html": b"page"})
    registry.publish(artifact(1))
    registry.publish(artifact(2))
    where = "movies/versions/v000001"
    assert bytes(raw.get(f"{where}/scan.png").bytes()) == b"picture"
    raw.put(f"{where}/scan.png", b"another")
    raw.delete(f"{where}/scan.html")
    assert seed_of(registry.fetch("movies", "v000001")) == 0
    assert registry.collect_garbage("movies", keep=1) == ("v000001",)
    assert not [each for page in raw.list(f"{where}/") for each in page]
    assert registry.versions("movies") == ("v000002", "v000003")


@pytest.mark.parametrize(
    ("attachments", "message"),
    [
        ({CARD: b""}, "attachment: found 'card.json', expected none of"),
        ({"../up": b""}, "attachment: found '../up'"),
        ({"large": bytes(2**22 + 1)}, "attachment large: found 4194305 bytes, expected at most 4194304"),
    ],
)
def test_a_bad_attachment_is_refused_before_anything_is_stored(
    registry: Registry, attachments: dict[str, bytes], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        registry.publish(artifact(), attachments=attachments)
    assert registry.domains() == ()


@pytest.mark.parametrize("written", range(1, len(FILES)))
def test_a_crash_while_publishing_leaves_the_old_version(
    registry: Registry, raw: LocalStore | S3Store, written: int
) -> None:
    registry.publish(artifact(0))
    files = to_files(artifact(1))
    for domain in ("movies", "music"):
        for name in list(FILES)[:written]:
            raw.put(f"{domain}/versions/v000002/{name}", files[name])
    assert registry.versions("movies") == ("v000001",)
    assert registry.domains() == ("movies",)
    assert seed_of(registry.fetch("movies")) == 0
    for ref in ("resolve", "fetch"):
        with pytest.raises(UnknownPrompt, match="no version 'v000002'"):
            getattr(registry, ref)("movies", "v000002")
    with pytest.raises(UnknownPrompt, match="no version 'v000002'"):
        registry.set_alias("movies", "live", "v000002")
    assert registry.publish(artifact(2)).version == "v000003"
    assert seed_of(registry.fetch("movies")) == 2


def test_garbage_collection_keeps_versions_that_an_alias_or_a_rollback_needs(registry: Registry) -> None:
    for seed in range(6):
        registry.publish(artifact(seed))
    registry.set_alias("movies", "canary", "v000002")
    assert registry.collect_garbage("movies", keep=1) == ("v000001", "v000003", "v000004")
    assert registry.versions("movies") == ("v000002", "v000005", "v000006")
    for version in registry.versions("movies"):
        registry.verify("movies", version)
    assert registry.collect_garbage("movies", keep=1) == ()
    assert registry.rollback("movies") == "v000005"
    assert registry.rollback("movies") == "v000002"
    with pytest.raises(UnknownPrompt):
        registry.rollback("movies")
    with pytest.raises(UnknownPrompt, match="no version 'v000003'"):
        registry.set_alias("movies", "live", "v000003")
    with pytest.raises(InputError, match="found keep 0"):
        registry.collect_garbage("movies", keep=0)


def test_a_deletion_that_was_interrupted_is_finished(registry: Registry, raw: LocalStore | S3Store) -> None:
    for seed in range(4):
        registry.publish(artifact(seed))
    kept = bytes(raw.get(f"movies/versions/v000001/{CARD}").bytes())
    assert registry.collect_garbage("movies", keep=1) == ("v000001", "v000002")
    raw.put(f"movies/versions/v000001/{CARD}", kept)
    assert registry.collect_garbage("movies", keep=1) == ("v000001",)
    assert not [each for page in raw.list("movies/versions/v000001/") for each in page]


def test_young_half_written_versions_are_left_to_their_publisher(registry: Registry, raw: LocalStore | S3Store) -> None:
    registry.publish(artifact(0))
    raw.put(f"movies/versions/v000002/{CARD}", b"on its way")
    assert registry.collect_garbage("movies", keep=1) == ()
    assert bytes(raw.get(f"movies/versions/v000002/{CARD}").bytes()) == b"on its way"
