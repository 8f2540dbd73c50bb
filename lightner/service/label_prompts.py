"""Prompts of labels that come with requests: each label set is read once, and kept as long as there is room.

They have separate memory, so that they evict no domain's prompt; the number read at once is bounded, so that a flood
of new label sets does not slow texts of domains. Knows no HTTP and no ray; belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from lightner.labels import content_key
from lightner.service.lru import Key, Tier
from lightner.service.messages import Reason, Refusal
from lightner.service.observers import LABELS, CacheObserver, Silent
from lightner.service.prompt_cache import Sized
from lightner.service.settings import CacheLimits
from lightner.types import InputError, LabelSet

V = TypeVar("V", bound=Sized)
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Reading(Generic[V]):
    """A label set that is being read, and the number of requests that wait for it."""

    task: asyncio.Task[V | Refusal]
    waiting: int = 0


class LabelPrompts(Generic[V]):
    """Prompts by the content of their labels, made by `read` on first use. `limits` may be replaced at any time.

    Concurrent requests share one reading, which ends when the last of them is cancelled.
    """

    def __init__(
        self,
        read: Callable[[LabelSet], Awaitable[V]],
        *,
        limits: CacheLimits,
        observer: CacheObserver | None = None,
    ) -> None:
        self.limits = limits
        self._read = read
        self._observer: CacheObserver = observer or Silent[object]()
        self._held: Tier[V] = Tier(LABELS, self._observer)
        self._readings: dict[Key, _Reading[V]] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of all prompts that are held."""
        return self._held.nbytes

    async def get(self, labels: LabelSet) -> V | Refusal:
        """The prompt of the labels; a refusal if they cannot be read, or if too many others are to be read first."""
        key = (LABELS, content_key(labels))
        held = self._held.get(key)
        self._observer.on_label_lookup(hit=held is not None)
        if held is not None:
            return held
        if key not in self._readings:
            if len(self._readings) >= self.limits.max_label_sets:
                return self._refused(Refusal(Reason.LABELS_OVERLOADED))
            self._readings[key] = _Reading(asyncio.create_task(self._made(key, labels)))
        return await self._outcome(key, self._readings[key])

    async def _outcome(self, key: Key, reading: _Reading[V]) -> V | Refusal:
        reading.waiting += 1
        try:
            # A request that is cancelled must not cancel the reading for the others.
            return await asyncio.shield(reading.task)
        finally:
            reading.waiting -= 1
            if not reading.waiting and not reading.task.done():
                self._over(key, reading.task)
                reading.task.cancel()

    async def _made(self, key: Key, labels: LabelSet) -> V | Refusal:
        began_s = asyncio.get_running_loop().time()
        try:
            value = await self._read(labels)
        except InputError as error:
            return self._refused(Refusal(Reason.UNUSABLE_LABELS, detail=str(error)))
        except Exception:
            _log.exception("labels of a request could not be read")
            return self._refused(Refusal(Reason.FAILED))
        finally:
            self._over(key, asyncio.current_task())
        self._observer.on_load(LABELS, asyncio.get_running_loop().time() - began_s)
        size, room = value.nbytes, self.limits.max_label_bytes
        if not self._held.put(key, value, size, max_bytes=room, pinned=lambda _: False):
            _log.warning("a prompt of %d labels has %d bytes, more than there is room for", len(labels), size)
        return value

    def _over(self, key: Key, task: object) -> None:
        reading = self._readings.get(key)
        if reading is not None and reading.task is task:
            del self._readings[key]

    def _refused(self, refusal: Refusal) -> Refusal:
        self._observer.on_failure(refusal.reason)
        return refusal
