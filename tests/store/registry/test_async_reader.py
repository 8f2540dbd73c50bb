"""Reads for an event loop, on any store: the same prompts, and none that is damaged or deleted."""

from __future__ import annotations

import asyncio

import pytest
from obstore.store import LocalStore, S3Store

from lightner.store.artifact import CARD, FILES, MANIFEST, README, TENSORS, PromptArtifact, to_files
from lightner.store.async_reader import AsyncReader
from lightner.store.registry import Registry, UnknownPrompt
from lightner.types import InputError
from tests.support.registries import artifact, flip


def unchanged(found: PromptArtifact) -> PromptArtifact:
    return found


def test_reads_for_an_event_loop_give_the_same(registry: Registry, raw: LocalStore | S3Store) -> None:
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
    registry: Registry, raw: LocalStore | S3Store, name: str
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


def test_a_readme_is_for_people_and_texts_are_read_without_it(registry: Registry, raw: LocalStore | S3Store) -> None:
    registry.publish(artifact(5))
    raw.put(f"movies/versions/v000001/{README}", b"# Edited")
    found = asyncio.run(AsyncReader(registry).load("movies", "v000001", unchanged))
    assert to_files(found) == to_files(artifact(5))
    with pytest.raises(InputError, match=r"README.md: found .*sha256"):
        registry.verify("movies", "v000001")


def test_a_version_that_is_deleted_while_it_is_read_is_gone_and_not_damaged(
    registry: Registry, raw: LocalStore | S3Store, monkeypatch: pytest.MonkeyPatch
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
