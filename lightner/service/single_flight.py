"""One call for all concurrent callers. Knows nothing about the call; belongs to one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """Callers that come while a call is running wait for its result, or its failure, with the others."""

    def __init__(self) -> None:
        self._asking: asyncio.Task[T] | None = None

    async def join(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of the running call, or else of `ask`. Raises what the call raises; nothing is cached."""
        if self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(ask())
            self._asking.add_done_callback(self._over)
        # A caller that is cancelled must not cancel the call for the others.
        return await asyncio.shield(self._asking)

    def _over(self, asked: asyncio.Task[T]) -> None:
        self._asking = None
        # Marks the exception as seen: if all callers were cancelled, asyncio would warn about it.
        if not asked.cancelled():
            asked.exception()
