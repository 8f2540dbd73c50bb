"""Interfaces through which batcher, cache and replica report events to metrics. Know neither ray nor any metric.

A domain is reported once it is known to be published, so that names that clients make up never become labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from lightner.service.messages import Family, Reason

R = TypeVar("R")
R_contra = TypeVar("R_contra", contravariant=True)

DEVICE, HOST, LABELS = "device", "host", "labels"
"""The cache's tiers: prompts of domains on the device and in host memory, and prompts of labels in requests."""
REQUEST_LABELS = "(labels)"
"""The domain of texts that are read by labels of their request, whatever these are."""


class BatchObserver(Protocol[R_contra]):
    """Events of the micro-batcher; called on its event loop."""

    def on_queue(self, rows: int) -> None:
        """`rows` rows are waiting now."""

    def on_batch(self, rows: Sequence[R_contra], padding_share: float, seconds: float) -> None:
        """A batch has run; `padding_share` of it was padding."""


class CacheObserver(Protocol):
    """Events of the prompt cache; called on its event loop."""

    def on_lookup(self, *, hit: bool) -> None:
        """A request needed a prompt; `hit`: it is on the device, otherwise the request has to wait."""

    def on_label_lookup(self, *, hit: bool) -> None:
        """A request brought labels; `hit`: their prompt is on the device, otherwise the request has to wait."""

    def on_load(self, source: str, seconds: float) -> None:
        """A prompt came onto the device, from `HOST` memory, from the "store", or made from `LABELS`."""

    def on_failure(self, reason: Reason) -> None:
        """A prompt could not be loaded; a remembered failure is not reported again."""

    def on_eviction(self, tier: str) -> None:
        """A prompt was evicted to make room."""

    def on_residents(self, tier: str, prompts: int, nbytes: int) -> None:
        """A tier holds `prompts` prompts of `nbytes` bytes now."""


class AnswerObserver(Protocol):
    """Events of the replica; called on its event loop."""

    def on_answer(self, domain: str | None, reason: Reason | None, texts: int, seconds: float) -> None:
        """Texts of a domain, or of `REQUEST_LABELS`, were answered, or refused for a `reason`.

        A domain of None is not known to be published.
        """


class Observer(BatchObserver[R_contra], CacheObserver, AnswerObserver, Protocol[R_contra]):
    """All events of a replica, and the metrics that they add up to."""

    def families(self) -> list[Family]:
        """The metrics so far."""


class Silent(Generic[R]):
    """An `Observer` that ignores all events."""

    def on_queue(self, rows: int) -> None:
        pass

    def on_batch(self, rows: Sequence[R], padding_share: float, seconds: float) -> None:
        pass

    def on_lookup(self, *, hit: bool) -> None:
        pass

    def on_label_lookup(self, *, hit: bool) -> None:
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
