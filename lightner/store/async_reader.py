"""Prompts of a registry for an event loop, which waits for the store and computes nothing.

Files of a version are read at once from a store, one after another from a local folder. Checking and building takes
processor time beside the model, so only few threads do it at a time. Knows no model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Semaphore
from typing import TypeVar

from lightner.store.artifact import MANIFEST, NEEDED, PromptArtifact
from lightner.store.objects import AT_ONCE
from lightner.store.registry import LIVE, Registry

BUILT_AT_ONCE = 2
T = TypeVar("T")


class AsyncReader:
    """Reads a registry; errors are those of `Registry`. Its threads are its own: a store that hangs holds up no other
    work, and end with the process."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="registry")
        self._building = Semaphore(BUILT_AT_ONCE)

    async def resolve(self, domain: str, ref: str = LIVE) -> str:
        """`Registry.resolve`."""
        if self._registry.objects.is_folder:
            return await self._in_thread(lambda: self._registry.resolve(domain, ref))
        content = await self._registry.objects.acontent(*self._registry.naming(domain, ref))
        return self._registry.named_in(content, domain, ref)

    async def load(self, domain: str, version: str, build: Callable[[PromptArtifact], T]) -> T:
        """What `build` makes of the verified prompt of a version; it is called in a thread."""
        if self._registry.objects.is_folder:
            return await self._in_thread(lambda: self._built(self._read(domain, version), domain, version, build))
        found = await self._aread(domain, version)
        return await self._in_thread(lambda: self._built(found, domain, version, build))

    def _read(self, domain: str, version: str) -> dict[str, bytes | None]:
        # The manifest is deleted first, and read last: where it is found, all others were there.
        places = self._registry.places(domain, version)
        return {name: self._registry.objects.content(*places[name]) for name in NEEDED}

    async def _aread(self, domain: str, version: str) -> dict[str, bytes | None]:
        places, objects = self._registry.places(domain, version), self._registry.objects
        contents = await asyncio.gather(*(objects.acontent(*places[name]) for name in NEEDED))
        found = dict(zip(NEEDED, contents, strict=True))
        # It may have been deleted in the middle of this, the manifest first, and then is not damaged but gone.
        if found[MANIFEST] is not None and None in found.values():
            found[MANIFEST] = await objects.acontent(*places[MANIFEST])
        return found

    def _built(
        self, found: Mapping[str, bytes | None], domain: str, version: str, build: Callable[[PromptArtifact], T]
    ) -> T:
        with self._building:
            return build(self._registry.verified(found, domain, version))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
