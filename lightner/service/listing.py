"""The names of the published domains, asked for once by however many want to know, and known for a while.

A store lists object by object: with a thousand domains that takes seconds, and every web page that opens wants it.
Belongs to one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from lightner.service.single_flight import Shared


class Listing:
    """What `ask`, which blocks, last answered; asked again where that is older than `ttl_s`, or was nothing."""

    def __init__(self, ask: Callable[[], Sequence[str]]) -> None:
        self._ask = ask
        self._names: tuple[str, ...] = ()
        self._until_s = -1.0
        self._asking = Shared[tuple[str, ...]]()

    async def names(self, *, ttl_s: float) -> tuple[str, ...]:
        """The names. Raises what `ask` raises; a failure is not remembered."""
        if asyncio.get_running_loop().time() < self._until_s:
            return self._names
        return await self._asking.join(lambda: self._refresh(ttl_s))

    async def _refresh(self, ttl_s: float) -> tuple[str, ...]:
        began_s = asyncio.get_running_loop().time()
        self._names = tuple(await asyncio.to_thread(self._ask))
        # An empty store is quick to ask, and whoever looks at it waits for the first domain.
        self._until_s = began_s + ttl_s if self._names else -1.0
        return self._names
