"""Properties of single kinds of stores: addresses, half-written versions on disk, and S3 servers that misbehave."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from obstore.store import S3Store

from lightner.store.artifact import CARD, FILES, MANIFEST, README, TENSORS, from_files, to_files
from lightner.store.async_reader import AsyncReader
from lightner.store.registry import Registry, RegistryUnavailable, UnknownPrompt
from lightner.types import InputError
from tests.support.registries import artifact, seed_of

if TYPE_CHECKING:
    from tests.support.s3 import S3Server


def test_old_half_written_versions_are_garbage_and_their_number_is_not_used_again(tmp_path: Path) -> None:
    registry = Registry.open(str(tmp_path))
    registry.publish(artifact(0))
    half = tmp_path / "movies" / "versions" / "v000007" / CARD
    half.parent.mkdir(parents=True)
    half.write_bytes(b"from a crash")
    os.utime(half, (half.stat().st_mtime - 3700,) * 2)
    assert registry.collect_garbage("movies", keep=1) == ("v000007",)
    assert not half.exists()
    assert registry.publish(artifact(1)).version == "v000008"


def test_a_lock_that_cannot_be_had_is_a_registry_that_is_not_available(tmp_path: Path) -> None:
    registry = Registry.open(str(tmp_path))
    registry.publish(artifact())
    (tmp_path / ".lock").unlink()
    (tmp_path / ".lock").mkdir()
    with pytest.raises(RegistryUnavailable, match=r"\.lock: .*Is a directory"):
        registry.set_alias("movies", "canary", "v000001")


@pytest.mark.parametrize("form", ["{0}", "file://{0}"])
def test_a_folder_is_opened_by_path_or_url_and_made_by_the_first_that_is_published(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "new" / "prompts"
    registry = Registry.open(form.format(folder))
    assert not folder.exists()
    registry.publish(artifact())
    assert registry.url == str(folder)
    assert Registry.open(str(folder)).fetch("movies")[0] == "v000001"


def test_looking_into_a_folder_that_does_not_exist_makes_none(tmp_path: Path) -> None:
    registry = Registry.open(str(tmp_path / "registyr"))
    assert registry.domains() == ()
    for look in (registry.versions, registry.aliases, registry.resolve, registry.fetch):
        with pytest.raises(UnknownPrompt, match=f"^{tmp_path}/registyr: found no"):
            look("movies")
    with pytest.raises(UnknownPrompt):
        asyncio.run(AsyncReader(registry).load("movies", "v000001", to_files))
    with pytest.raises(InputError, match=f"found no folder {tmp_path}/registyr, expected one into which"):
        registry.must_exist()
    assert not list(tmp_path.iterdir())
    registry.must_be_writable()
    assert registry.must_exist() is registry


def test_a_place_where_nothing_can_be_written_is_named_before_anything_is_published(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=f"found the file {tmp_path}/file, expected a folder"):
        Registry.open(str(tmp_path / "file"))
    with pytest.raises(RegistryUnavailable, match="Not a directory"):
        Registry.open(str(tmp_path / "file" / "registry")).must_be_writable()
    with pytest.raises(RegistryUnavailable):
        Registry.open("/proc/registry").must_be_writable()


def test_the_registry_works_in_memory() -> None:
    registry = Registry.open("memory:///")
    registry.publish(artifact(0))
    registry.publish(artifact(1))
    assert registry.rollback("movies") == "v000001"
    assert seed_of(registry.fetch("movies")) == 0


@pytest.mark.parametrize("url", ["", "ftp://host/x", "https://host/x", "s3://bucket/x?scheme=http", "file://host/x"])
def test_an_address_of_no_known_store_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="registry: found"):
        Registry.open(url)


@pytest.mark.parametrize("more", ["?sig=secret", "#b/secret"])
@pytest.mark.parametrize("scheme", ["file", "az", "s3"])
def test_a_query_after_an_address_is_refused_and_not_repeated(scheme: str, more: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"and \? or # after it, expected a folder") as caught:
        Registry.open(f"{scheme}://{tmp_path}{more}")
    assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError) as caught:
        Registry.open("ftp://user:secret@host/x")
    assert "secret" not in str(caught.value)


def test_a_folder_may_have_any_characters_in_its_name(tmp_path: Path) -> None:
    Registry.open(str(tmp_path / "a?b#c")).publish(artifact(0))
    assert (tmp_path / "a?b#c" / "movies").is_dir()


def test_a_folder_that_cannot_be_used_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RegistryUnavailable, match="file"):
        Registry.open(str(tmp_path / "file" / "prompts")).publish(artifact())


def test_readers_see_whole_prompts_while_others_publish(tmp_path: Path) -> None:
    writer, reader = Registry.open(str(tmp_path)), Registry.open(str(tmp_path))
    writer.publish(artifact(0))
    stop, seen, wrong = threading.Event(), set[str](), list[str]()

    def read() -> None:
        while not stop.is_set():
            version, found = reader.fetch("movies")
            seen.add(version)
            if version != f"v{1 + int(str(found.card.tuning['seed'])):06d}":
                wrong.append(version)

    thread = threading.Thread(target=read)
    thread.start()
    # The machine may be busy with the writer alone.
    for seed in range(1, 200):
        writer.publish(artifact(seed))
        if seed >= 14 and len(seen) > 2:
            break
    stop.set()
    thread.join()
    assert len(seen) > 2
    assert wrong == []


# Faults of the connection: both servers behave the same.
ON_BOTH = pytest.mark.parametrize("s3", ["s3_server", "gateway"], indirect=True)


@pytest.mark.s3
class TestOnS3:
    @ON_BOTH
    def test_an_outage_is_named_and_passes(self, s3_url: str, s3: S3Server) -> None:
        registry = Registry.open(s3_url, timeout_s=1)
        registry.publish(artifact(0))
        s3.fails = lambda method, path: True
        for call in (registry.resolve, registry.fetch, registry.versions, registry.rollback):
            with pytest.raises(RegistryUnavailable, match="s3://"):
                call("movies")
        with pytest.raises(RegistryUnavailable, match="s3://"):
            asyncio.run(AsyncReader(registry).load("movies", "v000001", to_files))
        with pytest.raises(RegistryUnavailable, match="s3://"):
            registry.publish(artifact(1))
        s3.behave()
        assert seed_of(registry.fetch("movies")) == 0
        assert registry.publish(artifact(1)).version == "v000002"

    @ON_BOTH
    @pytest.mark.parametrize("lost", [README, TENSORS, MANIFEST, "aliases.json"])
    def test_a_publisher_that_loses_the_store_half_way_leaves_the_old_prompt_live(
        self, s3_url: str, s3: S3Server, lost: str
    ) -> None:
        registry = Registry.open(s3_url, timeout_s=1)
        registry.publish(artifact(0))
        s3.fails = lambda method, path: method == "PUT" and path.endswith(lost)
        with pytest.raises(RegistryUnavailable, match=lost):
            registry.publish(artifact(1))
        s3.behave()
        assert seed_of(registry.fetch("movies")) == 0
        assert registry.publish(artifact(2)).version == "v000003"
        assert seed_of(registry.fetch("movies")) == 2

    @ON_BOTH
    def test_writes_whose_answers_are_lost_happen_once(self, s3_url: str, s3: S3Server) -> None:
        registry = Registry.open(s3_url)
        for seed in range(3):
            registry.publish(artifact(seed))
        lost: set[str] = set()

        def once_per_file(method: str, path: str) -> bool:
            name = path.rsplit("/", 1)[1]
            if method != "PUT" or name in lost:
                return False
            lost.add(name)
            return True

        s3.loses_answer = once_per_file
        assert registry.rollback("movies") == "v000002"
        assert lost == {"aliases.json"}
        assert seed_of(registry.fetch("movies")) == 1
        lost.clear()
        published = registry.publish(artifact(9))
        assert lost == {*FILES, "aliases.json"}
        s3.behave()
        assert registry.resolve("movies") == published.version
        assert seed_of(registry.fetch("movies")) == 9
        assert registry.rollback("movies") == "v000002"
        assert registry.rollback("movies") == "v000001"

    @ON_BOTH
    def test_a_missing_bucket_is_no_missing_prompt(self, s3_url: str, s3: S3Server) -> None:
        registry = Registry.open("s3://no-such-bucket/prompts", timeout_s=1)
        with pytest.raises(RegistryUnavailable, match="s3://no-such-bucket/prompts"):
            registry.fetch("movies")
        with pytest.raises(RegistryUnavailable, match="s3://no-such-bucket/prompts"):
            registry.publish(artifact())

    def test_a_server_that_compares_bare_etags_swaps_all_the_same(self, s3_url: str, s3: S3Server) -> None:
        s3.compares_bare_tags = True
        first, second = Registry.open(s3_url), Registry.open(s3_url)
        for seed in range(3):
            first.publish(artifact(seed))
            second.publish(artifact(10 + seed))
        s3.compares_bare_tags = False
        assert first.publish(artifact(20)).version == "v000007"
        assert [first.rollback("movies") for _ in range(6)] == [f"v{number:06d}" for number in (6, 5, 4, 3, 2, 1)]

    def test_where_conditions_are_ignored_publishers_still_keep_their_versions(self, s3_url: str, s3: S3Server) -> None:
        s3.ignores_conditions = True
        published: dict[str, int] = {}

        def publish(seeds: range) -> None:
            own = Registry.open(s3_url)
            for seed in seeds:
                published[own.publish(artifact(seed)).version] = seed

        threads = [threading.Thread(target=publish, args=(range(start, start + 4),)) for start in (0, 100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        registry = Registry.open(s3_url)
        assert len(published) == 8
        assert sorted(published) == sorted(registry.versions("movies"))
        for version, seed in published.items():
            assert seed_of(registry.fetch("movies", version)) == seed

    @ON_BOTH
    def test_plain_files_in_the_bucket_are_a_prompt_folder(self, s3_url: str, s3: S3Server) -> None:
        published = Registry.open(s3_url).publish(artifact(5))
        store = S3Store.from_url(s3_url, client_options={"allow_http": True})
        files = {name: bytes(store.get(f"movies/versions/{published.version}/{name}").bytes()) for name in FILES}
        assert from_files(files, where="bucket").card.tuning == {"seed": 5}
