"""The registry on a local folder and on two real S3 servers, moto and Ceph, with the same guarantees."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from obstore.store import LocalStore, S3Store

from lightner.store.artifact import CARD, FILES, MANIFEST, README, TENSORS, PromptArtifact, to_files
from lightner.store.async_reader import AsyncReader
from lightner.store.objects import Listed
from lightner.store.registry import Published, Registry, UnknownPrompt
from lightner.types import InputError
from tests.support.tiny import tiny_artifact, tiny_backbone

if TYPE_CHECKING:
    from tests.support.s3 import S3Server

BACKBONE = tiny_backbone()


S3 = [pytest.param(name, marks=pytest.mark.s3) for name in ("s3_server", "gateway")]


@pytest.fixture
def s3(request: pytest.FixtureRequest, place: str) -> S3Server:
    server: S3Server = request.getfixturevalue(place)
    server.behave()
    return server


@pytest.fixture(params=["local", *S3])
def place(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path, place: str) -> str:
    if place == "local":
        return str(tmp_path / "a b" / "prompts")
    address: str = request.getfixturevalue("s3_url")
    return address


@pytest.fixture
def registry(url: str) -> Registry:
    return Registry.open(url)


@pytest.fixture
def raw(url: str) -> LocalStore | S3Store:
    """The same store without the registry, to simulate an intruder, a crash or a broken disk."""
    if "://" in url:
        return S3Store.from_url(url, client_options={"allow_http": True})
    return LocalStore(url, mkdir=True)


def artifact(seed: int = 0, domain: str = "movies") -> PromptArtifact:
    return tiny_artifact(BACKBONE, domain, seed=seed)


def seed_of(found: tuple[str, PromptArtifact]) -> object:
    return found[1].card.tuning["seed"]


def unchanged(found: PromptArtifact) -> PromptArtifact:
    return found


def flip(store: LocalStore | S3Store, path: str, position: int) -> None:
    broken = bytearray(store.get(path).bytes())
    broken[position] ^= 1
    store.put(path, bytes(broken))


class TestOnAnyStore:
    def test_a_published_prompt_is_live_and_read_back_bit_by_bit(self, registry: Registry) -> None:
        original = artifact(7)
        files = to_files(original)
        published = registry.publish(original)
        assert published == Published("movies", "v000001", "live", sum(len(content) for content in files.values()))
        version, back = registry.fetch("movies")
        assert version == "v000001"
        assert to_files(back) == files

    def test_the_layout_is_as_documented(self, registry: Registry, raw: LocalStore | S3Store) -> None:
        registry.publish(artifact())
        found = {each["path"] for page in raw.list() for each in page}
        expected = {f"movies/versions/v000001/{name}" for name in FILES} | {"movies/aliases.json"}
        assert {path for path in found if not path.startswith(".")} == expected

    def test_attachments_come_and_go_with_their_version_and_no_reader_needs_them(
        self, registry: Registry, raw: LocalStore | S3Store
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
        self, registry: Registry, attachments: dict[str, bytes], message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            registry.publish(artifact(), attachments=attachments)
        assert registry.domains() == ()

    def test_versions_count_and_aliases_follow(self, registry: Registry) -> None:
        assert [registry.publish(artifact(seed)).version for seed in range(3)] == ["v000001", "v000002", "v000003"]
        assert registry.versions("movies") == ("v000001", "v000002", "v000003")
        assert registry.resolve("movies") == "v000003"
        assert [seed_of(registry.fetch("movies", version)) for version in registry.versions("movies")] == [0, 1, 2]
        assert registry.aliases("movies") == {"live": "v000003"}

    def test_publishing_lists_no_versions_up_to_those_that_are_known(
        self, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for seed in range(3):
            registry.publish(artifact(seed))
        registry.publish(artifact(3), alias=None)
        registry.rollback("movies")
        listed: list[str] = []
        whole = registry.objects.list

        def recorded(prefix: str, *, after: str | None = None) -> list[Listed]:
            found = whole(prefix, after=after)
            listed.extend(each.path.split("/")[2] for each in found)
            return found

        monkeypatch.setattr(registry.objects, "list", recorded)
        assert registry.publish(artifact(4)).version == "v000005"
        assert {*listed} == {"v000003", "v000004"}  # live is v000002 now, v000003 is no longer named
        assert registry.versions("movies") == tuple(f"v{number:06d}" for number in range(1, 6))

    def test_publishing_counts_on_where_names_no_longer_sort_as_numbers(
        self, registry: Registry, raw: LocalStore | S3Store
    ) -> None:
        files = to_files(artifact(0))
        for version in ("v999999", "v1000000"):
            for name in FILES:
                raw.put(f"movies/versions/{version}/{name}", files[name])
        registry.set_alias("movies", "live", "v999999")
        assert registry.publish(artifact(1)).version == "v1000001"
        assert registry.publish(artifact(2)).version == "v1000002"

    def test_another_alias_leaves_live_alone_and_can_be_promoted(self, registry: Registry) -> None:
        registry.publish(artifact(0))
        canary = registry.publish(artifact(1), alias="canary")
        silent = registry.publish(artifact(2), alias=None)
        assert (canary.alias, silent.alias) == ("canary", None)
        assert registry.aliases("movies") == {"live": "v000001", "canary": "v000002"}
        registry.set_alias("movies", "live", registry.resolve("movies", "canary"))
        assert seed_of(registry.fetch("movies")) == 1

    def test_rollback_goes_back_one_by_one_and_forward_again(self, registry: Registry) -> None:
        for seed in range(3):
            registry.publish(artifact(seed))
        assert registry.rollback("movies") == "v000002"
        assert seed_of(registry.fetch("movies")) == 1
        assert registry.rollback("movies") == "v000001"
        with pytest.raises(UnknownPrompt, match="no earlier version of alias 'live' of domain 'movies'"):
            registry.rollback("movies")
        registry.set_alias("movies", "live", "v000003")
        assert registry.rollback("movies") == "v000001"
        assert registry.publish(artifact(3)).version == "v000004"

    def test_moving_an_alias_to_where_it_is_leaves_its_history(self, registry: Registry) -> None:
        registry.publish(artifact(0))
        registry.publish(artifact(1))
        registry.set_alias("movies", "live", "v000002")
        assert registry.rollback("movies") == "v000001"

    def test_domains_are_apart(self, registry: Registry) -> None:
        assert registry.domains() == ()
        for domain in ("movies", "movies.v2", "0-food"):
            registry.publish(artifact(domain=domain))
        assert registry.domains() == ("0-food", "movies", "movies.v2")
        assert registry.versions("movies") == ("v000001",)
        assert registry.fetch("movies.v2")[1].card.domain == "movies.v2"

    def test_missing_domains_and_versions_are_named(self, registry: Registry) -> None:
        registry.publish(artifact())
        cases: list[tuple[Callable[[], object], str]] = [
            (lambda: registry.resolve("music"), "no alias 'live' of domain 'music'"),
            (lambda: registry.fetch("music"), "no alias 'live' of domain 'music'"),
            (lambda: registry.fetch("movies", "canary"), r"no alias 'canary' of domain 'movies', expected \['live'\]"),
            (lambda: registry.resolve("movies", "v000002"), "no version 'v000002' of domain 'movies'"),
            (lambda: registry.fetch("movies", "v000002"), "no version 'v000002' of domain 'movies'"),
            (lambda: registry.set_alias("movies", "live", "v000002"), "no version 'v000002' of domain 'movies'"),
            (lambda: registry.verify("movies", "v000002"), "no version 'v000002' of domain 'movies'"),
            (lambda: registry.versions("music"), "no versions of domain 'music'"),
            (lambda: registry.aliases("music"), "no aliases of domain 'music'"),
            (lambda: registry.rollback("music"), "no earlier version"),
        ]
        for call, message in cases:
            with pytest.raises(UnknownPrompt, match=message) as caught:
                call()
            assert isinstance(caught.value, InputError)
            assert isinstance(caught.value, LookupError)
        assert registry.aliases("movies") == {"live": "v000001"}

    @pytest.mark.parametrize("name", ["..", "../movies", "a/b", "Movies", "", "movies\n", "%2e%2e"])
    def test_names_that_could_leave_the_registry_are_refused(self, registry: Registry, name: str) -> None:
        for call in (registry.resolve, registry.fetch, registry.versions, registry.aliases, registry.rollback):
            with pytest.raises(InputError, match="domain: found"):
                call(name)
        with pytest.raises(InputError, match="domain: found"):
            registry.fetch(name, "v000001")
        with pytest.raises(InputError, match="domain: found"):
            registry.collect_garbage(name, keep=1)
        for alias_call in (registry.resolve, registry.fetch):
            with pytest.raises(InputError, match="alias: found"):
                alias_call("movies", name)
        with pytest.raises(InputError, match="version: found"):
            registry.set_alias("movies", "live", name)

    def test_an_alias_may_not_look_like_a_version(self, registry: Registry) -> None:
        with pytest.raises(InputError, match="alias: found 'v000001'"):
            registry.publish(artifact(), alias="v000001")
        assert registry.domains() == ()

    @pytest.mark.parametrize("name", [MANIFEST, CARD, README, TENSORS])
    def test_a_corrupt_file_is_refused_and_other_versions_and_domains_are_not(
        self, registry: Registry, raw: LocalStore | S3Store, name: str
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
    def test_a_lost_file_is_refused_by_name(self, registry: Registry, raw: LocalStore | S3Store, name: str) -> None:
        registry.publish(artifact())
        raw.delete(f"movies/versions/v000001/{name}")
        with pytest.raises(InputError, match=f"v000001: found files .*expected .*{name}"):
            registry.fetch("movies")

    def test_a_prompt_of_another_domain_is_refused(self, registry: Registry, raw: LocalStore | S3Store) -> None:
        registry.publish(artifact())
        for name, content in to_files(artifact(domain="music")).items():
            raw.put(f"movies/versions/v000001/{name}", content)
        with pytest.raises(InputError, match="found domain 'music', expected 'movies'"):
            registry.fetch("movies")

    def test_oversize_objects_are_refused_by_their_size(self, registry: Registry, raw: LocalStore | S3Store) -> None:
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
    def test_corrupt_aliases_are_refused_by_name(
        self, registry: Registry, raw: LocalStore | S3Store, content: bytes
    ) -> None:
        registry.publish(artifact())
        registry.publish(artifact(domain="music"))
        raw.put("movies/aliases.json", content)
        for call in (registry.resolve, registry.aliases, registry.rollback):
            with pytest.raises(InputError, match=r"movies/aliases\.json: found no aliases"):
                call("movies")
        assert registry.resolve("music") == "v000001"
        registry.verify("movies", "v000001")

    @pytest.mark.parametrize("written", range(1, len(FILES)))
    def test_a_crash_while_publishing_leaves_the_old_version(
        self, registry: Registry, raw: LocalStore | S3Store, written: int
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

    def test_two_publishers_never_lose_one_anothers_version(self, url: str) -> None:
        published: dict[str, int] = {}
        failures: list[BaseException] = []

        def publish(seeds: range) -> None:
            own = Registry.open(url)
            try:
                for seed in seeds:
                    published[own.publish(artifact(seed)).version] = seed
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=publish, args=(range(start, start + 10),)) for start in (0, 100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        registry = Registry.open(url)
        assert failures == []
        assert len(published) == 20
        assert sorted(published) == list(registry.versions("movies"))
        for version, seed in published.items():
            assert seed_of(registry.fetch("movies", version)) == seed
        assert seed_of(registry.fetch("movies")) in (9, 109)
        seen = [registry.resolve("movies"), *(registry.rollback("movies") for _ in range(19))]
        assert sorted(seen) == sorted(published), "every move of the alias is in its history"

    def test_reads_for_an_event_loop_give_the_same(self, registry: Registry, raw: LocalStore | S3Store) -> None:
        domains = [f"d{number}" for number in range(8)]
        for number, domain in enumerate(domains):
            registry.publish(artifact(number, domain))
        flip(raw, f"d3/versions/v000001/{TENSORS}", 50)
        reader = AsyncReader(registry)

        async def load_all() -> list[PromptArtifact | BaseException]:
            loads = (reader.load(domain, "v000001", unchanged) for domain in domains)
            return await asyncio.gather(*loads, return_exceptions=True)

        for number, each in enumerate(asyncio.run(load_all())):
            if number == 3:
                assert isinstance(each, InputError)
                assert "d3/versions/v000001/prompt.safetensors: found" in str(each)
            else:
                assert isinstance(each, PromptArtifact)
                assert to_files(each) == to_files(artifact(number, domains[number]))
        assert asyncio.run(reader.resolve("d1")) == asyncio.run(reader.resolve("d1", "v000001")) == "v000001"
        for domain, ref in (("d9", "live"), ("d1", "canary"), ("d1", "v000009")):
            with pytest.raises(UnknownPrompt):
                asyncio.run(reader.resolve(domain, ref))
        for domain in ("d1", "d9"):
            with pytest.raises(UnknownPrompt):
                asyncio.run(reader.load(domain, "v000009", unchanged))
        with pytest.raises(InputError, match="domain: found"):
            asyncio.run(reader.load("../d1", "v000001", unchanged))
        with pytest.raises(InputError, match="domain: found"):
            asyncio.run(reader.resolve("../d1"))

    @pytest.mark.parametrize("name", [MANIFEST, CARD, TENSORS])
    def test_an_event_loop_is_given_no_corrupt_prompt_and_none_of_another_domain(
        self, registry: Registry, raw: LocalStore | S3Store, name: str
    ) -> None:
        registry.publish(artifact())
        reader, path = AsyncReader(registry), f"movies/versions/v000001/{name}"
        intact = bytes(raw.get(path).bytes())
        for position in (0, len(intact) // 2, len(intact) - 1):
            flip(raw, path, position)
            with pytest.raises(InputError, match=r"movies/versions/v000001/.*found .*sha256.*expected"):
                asyncio.run(reader.load("movies", "v000001", unchanged))
            raw.put(path, intact)
        if name != MANIFEST:  # without it there is no such version
            raw.delete(path)
            with pytest.raises(InputError, match=f"v000001: found files .*expected .*{name}"):
                asyncio.run(reader.load("movies", "v000001", unchanged))
        for other, content in to_files(artifact(domain="music")).items():
            raw.put(f"movies/versions/v000001/{other}", content)
        with pytest.raises(InputError, match="found domain 'music', expected 'movies'"):
            asyncio.run(reader.load("movies", "v000001", unchanged))

    def test_a_readme_is_for_people_and_texts_are_read_without_it(
        self, registry: Registry, raw: LocalStore | S3Store
    ) -> None:
        registry.publish(artifact(5))
        raw.put(f"movies/versions/v000001/{README}", b"# Edited")
        found = asyncio.run(AsyncReader(registry).load("movies", "v000001", unchanged))
        assert to_files(found) == to_files(artifact(5))
        with pytest.raises(InputError, match=r"README.md: found .*sha256"):
            registry.verify("movies", "v000001")

    def test_a_version_that_is_deleted_while_it_is_read_is_gone_and_not_damaged(
        self, registry: Registry, raw: LocalStore | S3Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        registry.publish(artifact())
        objects, deleted = registry.objects, asyncio.Event()
        read, read_folder = objects.acontent, objects.content

        def delete() -> None:
            if not deleted.is_set():
                raw.delete([f"movies/versions/v000001/{name}" for name in FILES])
            deleted.set()

        async def acontent(path: str, limit: int) -> bytes | None:
            if not path.endswith(MANIFEST):
                await deleted.wait()
                return await read(path, limit)
            content = await read(path, limit)
            delete()
            return content

        def content(path: str, limit: int) -> bytes | None:
            found = read_folder(path, limit)
            delete()
            return found

        monkeypatch.setattr(objects, "acontent", acontent)
        monkeypatch.setattr(objects, "content", content)
        with pytest.raises(UnknownPrompt, match="no version 'v000001'"):
            asyncio.run(AsyncReader(registry).load("movies", "v000001", unchanged))
        assert deleted.is_set()

    def test_garbage_collection_keeps_versions_that_an_alias_or_a_rollback_needs(self, registry: Registry) -> None:
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

    def test_a_deletion_that_was_interrupted_is_finished(self, registry: Registry, raw: LocalStore | S3Store) -> None:
        for seed in range(4):
            registry.publish(artifact(seed))
        kept = bytes(raw.get(f"movies/versions/v000001/{CARD}").bytes())
        assert registry.collect_garbage("movies", keep=1) == ("v000001", "v000002")
        raw.put(f"movies/versions/v000001/{CARD}", kept)
        assert registry.collect_garbage("movies", keep=1) == ("v000001",)
        assert not [each for page in raw.list("movies/versions/v000001/") for each in page]

    def test_young_half_written_versions_are_left_to_their_publisher(
        self, registry: Registry, raw: LocalStore | S3Store
    ) -> None:
        registry.publish(artifact(0))
        raw.put(f"movies/versions/v000002/{CARD}", b"on its way")
        assert registry.collect_garbage("movies", keep=1) == ()
        assert bytes(raw.get(f"movies/versions/v000002/{CARD}").bytes()) == b"on its way"
