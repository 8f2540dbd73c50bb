"""What the batcher, the cache and the replica tell whoever counts. Knows neither ray nor how it is counted.

A domain is only told once it is known to be published: what clients make up never becomes a label.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from lightner.service.messages import Family, Reason

R = TypeVar("R")
R_contra = TypeVar("R_contra", contravariant=True)

DEVICE, HOST = "device", "host"
"""The cache's tiers."""


class BatchObserver(Protocol[R_contra]):
    """Of the micro-batcher; called on its event loop."""

    def on_queue(self, rows: int) -> None:
        """So many rows wait now."""

    def on_batch(self, rows: Sequence[R_contra], padding_share: float, seconds: float) -> None:
        """A batch has run; `padding_share` of its places held no word."""


class CacheObserver(Protocol):
    """Of the prompt cache; called on its event loop."""

    def on_lookup(self, *, hit: bool) -> None:
        """A request asked for a prompt that is on the device (`hit`), or that has to be waited for."""

    def on_load(self, source: str, seconds: float) -> None:
        """A prompt came onto the device, from `HOST` memory or from the "store"."""

    def on_failure(self, reason: Reason) -> None:
        """A prompt could not be had; what is remembered of it is not told again."""

    def on_eviction(self, tier: str) -> None:
        """A prompt had to make room."""

    def on_residents(self, tier: str, prompts: int, nbytes: int) -> None:
        """So many prompts of so many bytes are in a tier now."""


class AnswerObserver(Protocol):
    """Of the replica; called on its event loop."""

    def on_answer(self, domain: str | None, reason: Reason | None, texts: int, seconds: float) -> None:
        """Texts of a domain (None: not known to be published) were answered, or refused for a `reason`."""


class Observer(BatchObserver[R_contra], CacheObserver, AnswerObserver, Protocol[R_contra]):
    """All that a replica tells, and what has been made of it."""

    def families(self) -> list[Family]:
        """What has been counted so far."""


class Silent(Generic[R]):
    """An `Observer` that counts nothing."""

    def on_queue(self, rows: int) -> None:
        pass

    def on_batch(self, rows: Sequence[R], padding_share: float, seconds: float) -> None:
        pass

    def on_lookup(self, *, hit: bool) -> None:
        pass

    def on_load(self, source: str, seconds: float) -> None:
        pass

    def on_failure(self, reason: Reason) -> None:
        pass

    def on_eviction(self, tier: str) -> None:
        pass

    def on_residents(self, tier: str, prompts: int, nbytes: int) -> None:
        pass

    def on_answer(self, domain: str | None, reason: Reason | None, texts: int, seconds: float) -> None:
        pass

    def families(self) -> list[Family]:
        return []
