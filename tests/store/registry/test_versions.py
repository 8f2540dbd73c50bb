"""Versions and aliases on any store: what is published is found, counted, rolled back and kept apart."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from obstore.store import LocalStore, S3Store

from lightner.store.artifact import FILES, to_files
from lightner.store.objects import Listed
from lightner.store.registry import Published, Registry, UnknownPrompt
from lightner.types import InputError
from tests.support.registries import artifact, seed_of


def test_a_published_prompt_is_live_and_read_back_bit_by_bit(registry: Registry) -> None:
    original = artifact(7)
    files = to_files(original)
    published = registry.publish(original)
    assert published == Published("movies", "v000001", "live", sum(len(content) for content in files.values()))
    version, back = registry.fetch("movies")
    assert version == "v000001"
    assert to_files(back) == files


def test_the_layout_is_as_documented(registry: Registry, raw: LocalStore | S3Store) -> None:
    registry.publish(artifact())
    found = {each["path"] for page in raw.list() for each in page}
    expected = {f"movies/versions/v000001/{name}" for name in FILES} | {"movies/aliases.json"}
    assert {path for path in found if not path.startswith(".")} == expected


def test_versions_count_and_aliases_follow(registry: Registry) -> None:
    assert [registry.publish(artifact(seed)).version for seed in range(3)] == ["v000001", "v000002", "v000003"]
    assert registry.versions("movies") == ("v000001", "v000002", "v000003")
    assert registry.resolve("movies") == "v000003"
    assert [seed_of(registry.fetch("movies", version)) for version in registry.versions("movies")] == [0, 1, 2]
    assert registry.aliases("movies") == {"live": "v000003"}


def test_publishing_lists_no_versions_up_to_those_that_are_known(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
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
    registry: Registry, raw: LocalStore | S3Store
) -> None:
    files = to_files(artifact(0))
    for version in ("v999999", "v1000000"):
        for name in FILES:
            raw.put(f"movies/versions/{version}/{name}", files[name])
    registry.set_alias("movies", "live", "v999999")
    assert registry.publish(artifact(1)).version == "v1000001"
    assert registry.publish(artifact(2)).version == "v1000002"


def test_another_alias_leaves_live_alone_and_can_be_promoted(registry: Registry) -> None:
    registry.publish(artifact(0))
    canary = registry.publish(artifact(1), alias="canary")
    silent = registry.publish(artifact(2), alias=None)
    assert (canary.alias, silent.alias) == ("canary", None)
    assert registry.aliases("movies") == {"live": "v000001", "canary": "v000002"}
    registry.set_alias("movies", "live", registry.resolve("movies", "canary"))
    assert seed_of(registry.fetch("movies")) == 1


def test_rollback_goes_back_one_by_one_and_forward_again(registry: Registry) -> None:
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


def test_moving_an_alias_to_where_it_is_leaves_its_history(registry: Registry) -> None:
    registry.publish(artifact(0))
    registry.publish(artifact(1))
    registry.set_alias("movies", "live", "v000002")
    assert registry.rollback("movies") == "v000001"


def test_domains_are_apart(registry: Registry) -> None:
    assert registry.domains() == ()
    for domain in ("movies", "movies.v2", "0-food"):
        registry.publish(artifact(domain=domain))
    assert registry.domains() == ("0-food", "movies", "movies.v2")
    assert registry.versions("movies") == ("v000001",)
    assert registry.fetch("movies.v2")[1].card.domain == "movies.v2"


def test_missing_domains_and_versions_are_named(registry: Registry) -> None:
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
def test_names_that_could_leave_the_registry_are_refused(registry: Registry, name: str) -> None:
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


def test_an_alias_may_not_look_like_a_version(registry: Registry) -> None:
    with pytest.raises(InputError, match="alias: found 'v000001'"):
        registry.publish(artifact(), alias="v000001")
    assert registry.domains() == ()


def test_two_publishers_never_lose_one_anothers_version(url: str) -> None:
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
