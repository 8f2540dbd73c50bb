"""The names of the published domains, cached: concurrent callers share one listing of the store.

The store is asked about each domain, which takes seconds with a thousand of them, and every opened web page needs the
list.
Belongs to one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from lightner.service.single_flight import Shared


class Listing:
    """The last answer of `ask`, a blocking function; asked again once the answer is older than `ttl_s`, or empty."""

    def __init__(self, ask: Callable[[], Sequence[str]]) -> None:
        self._ask = ask
        self._names: tuple[str, ...] = ()
        self._until_s = -1.0
        self._asking = Shared[tuple[str, ...]]()

    async def names(self, *, ttl_s: float) -> tuple[str, ...]:
        """The names. Raises what `ask` raises; failures are not cached."""
        if asyncio.get_running_loop().time() < self._until_s:
            return self._names
        return await self._asking.join(lambda: self._refresh(ttl_s))

    def forget(self) -> None:
        """Ask again at the next call, since a name was added."""
        self._until_s = -1.0

    async def _refresh(self, ttl_s: float) -> tuple[str, ...]:
        began_s = asyncio.get_running_loop().time()
        self._names = tuple(await asyncio.to_thread(self._ask))
        # An empty store is quick to list, and its user is waiting for the first domain to appear.
        self._until_s = began_s + ttl_s if self._names else -1.0
        return self._names
