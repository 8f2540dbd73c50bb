"""One question for however many ask at once. Knows nothing of what is asked; belongs to one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """Whoever comes while a question is open waits for its answer, or its failure, with the others."""

    def __init__(self) -> None:
        self._asking: asyncio.Task[T] | None = None

    async def join(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The answer to the open question, or to `ask`. Raises what that raises; nothing is remembered."""
        if self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(ask())
            self._asking.add_done_callback(self._over)
        # Who goes away takes nothing from those who wait as well.
        return await asyncio.shield(self._asking)

    def _over(self, asked: asyncio.Task[T]) -> None:
        self._asking = None
        # Where all have gone away there is nobody to tell a failure to.
        if not asked.cancelled():
            asked.exception()
