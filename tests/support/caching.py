"""A prompt cache over a real registry in memory that can be delayed, counted and made to fail."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from lightner.model.prompts import Prompt
from lightner.service.messages import Reason, Refusal
from lightner.service.observers import CacheObserver
from lightner.service.prompt_cache import PromptCache, Resident
from lightner.service.settings import CacheLimits
from lightner.store.artifact import PromptArtifact
from lightner.store.async_reader import AsyncReader
from lightner.store.loading import prompt_for
from lightner.store.registry import Registry, RegistryUnavailable
from tests.support.tiny import tiny_artifact, tiny_backbone

T = TypeVar("T")
BACKBONE = tiny_backbone()
SIZE = prompt_for(tiny_artifact(BACKBONE), BACKBONE).nbytes
HOST_SIZE = sum(tensor.nbytes for tensor in tiny_artifact(BACKBONE).tensors.values())


class Store:
    """The registry; counts calls, delays `load` of the domains in `held`, fails while `down`."""

    def __init__(self, *domains: str) -> None:
        self.registry = Registry.open("memory:///prompts")
        self.reader = AsyncReader(self.registry)
        self.resolved: Counter[tuple[str, str]] = Counter()
        self.fetched: Counter[tuple[str, str]] = Counter()
        self.held: set[str] = set()
        self.hanging = False
        self.release = asyncio.Event()
        self.down = False
        for domain in domains:
            self.publish(domain)

    def publish(self, domain: str, seed: int = 0) -> str:
        return self.registry.publish(tiny_artifact(BACKBONE, domain, seed=seed)).version

    async def resolve(self, domain: str, ref: str) -> str:
        self.resolved[domain, ref] += 1
        if self.hanging:
            await self.release.wait()
        if self.down:
            raise RegistryUnavailable("the store is down")
        return await self.reader.resolve(domain, ref)

    async def load(self, domain: str, version: str, build: Callable[[PromptArtifact], T]) -> T:
        self.fetched[domain, version] += 1
        if domain in self.held:
            await self.release.wait()
        if self.down:
            raise RegistryUnavailable("the store is down")
        return await self.reader.load(domain, version, build)


def build(artifact: PromptArtifact) -> Prompt:
    return prompt_for(artifact, BACKBONE)


def cache(store: Store, observer: CacheObserver | None = None, **limits: object) -> PromptCache[Prompt]:
    return PromptCache(store, build, limits=CacheLimits.model_validate(limits), observer=observer)


async def version(prompts: PromptCache[Prompt], domain: str, ref: str = "live") -> str:
    found = await prompts.get(domain, ref)
    assert isinstance(found, Resident), found
    assert found.domain == domain
    return found.version


async def reason(prompts: PromptCache[Prompt], domain: str, ref: str = "live") -> Reason:
    found = await prompts.get(domain, ref)
    assert isinstance(found, Refusal), found
    assert found.domain == domain
    return found.reason
