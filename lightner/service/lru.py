"""A tier of the prompt cache: values by domain and version, bounded by bytes; the least recently used are evicted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from lightner.service.observers import CacheObserver

Key = tuple[str, str]
V = TypeVar("V")


class Tier(Generic[V]):
    """Immutable values with their sizes. Requests that hold an evicted value keep it alive."""

    def __init__(self, name: str, observer: CacheObserver) -> None:
        self.nbytes = 0
        self._name = name
        self._observer = observer
        self._held: OrderedDict[Key, tuple[V, int]] = OrderedDict()

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys of all values, the least recently used first."""
        return tuple(self._held)

    def __contains__(self, key: object) -> bool:
        return key in self._held

    def get(self, key: Key) -> V | None:
        """The value, if it is held; it becomes the most recently used."""
        if key not in self._held:
            return None
        self._held.move_to_end(key)
        return self._held[key][0]

    def put(self, key: Key, value: V, size: int, *, max_bytes: int, pinned: Callable[[Key], bool]) -> bool:
        """Hold a value of `size` bytes. Returns False, and evicts nothing, if pinned values leave too little room."""
        self._drop(key)
        if self.nbytes + size > max_bytes:
            loose = [each for each in self._held if not pinned(each)]
            if self.nbytes - sum(self._held[each][1] for each in loose) + size > max_bytes:
                return False
            for each in loose:
                if self.nbytes + size <= max_bytes:
                    break
                self._drop(each)
                self._observer.on_eviction(self._name)
        self._held[key] = (value, size)
        self.nbytes += size
        self._observer.on_residents(self._name, len(self._held), self.nbytes)
        return True

    def _drop(self, key: Key) -> None:
        if key in self._held:
            self.nbytes -= self._held.pop(key)[1]
