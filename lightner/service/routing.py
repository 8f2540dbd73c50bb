"""The request router: prefers a replica that has the domain's prompt, unless it is far busier than the others.

It does for our cache what `@serve.multiplexed` does for its own: replicas report their domains through
`record_routing_stats`, requests carry theirs as the multiplexed model id (docs/decisions/0004-routing-by-domain.md).
Label sets are assigned to replicas by a hash, so that each set is read by one replica, and none has to report it.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from ray.serve.request_router import FIFOMixin, PendingRequest, RequestRouter, RunningReplica

from lightner.labels import content_key
from lightner.service.messages import HELD_DOMAINS
from lightner.types import LabelSet

SLACK = 16
"""How many more requests a replica with the prompt may have than the idlest one; beyond that a load costs less."""
CHOICES = 2
_LABELS = "labels:"
"""How the ids of label sets begin; no domain has such a name."""


class Replica(Protocol):
    """The attributes of a replica that are used here."""

    @property
    def replica_id(self) -> Hashable: ...

    @property
    def routing_stats(self) -> Mapping[str, Any]: ...


R = TypeVar("R", bound=Replica)


class PromptRouter(FIFOMixin, RequestRouter):  # type: ignore[misc]
    """Ray's power of two choices, tried first among the replicas that hold the prompt."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        prompt = pending_request.metadata.multiplexed_model_id if pending_request else ""

        def queued(replica: RunningReplica) -> int:
            return self.replica_queue_len_cache.get(replica.replica_id) or 0

        return ranked(candidate_replicas, prompt, queued)


def label_place(labels: LabelSet | None) -> str:
    """The multiplexed model id of a request that brings these labels."""
    return _LABELS + content_key(labels) if labels else ""


def ranked(replicas: Sequence[R], prompt: str, queued: Callable[[R], int]) -> list[list[R]]:
    """Groups of replicas to try, the best first: in each at most two random ones, of which Ray takes the idler."""
    if not replicas:
        return []
    least = min(map(queued, replicas))
    holders = [each for each in _holders(replicas, prompt) if queued(each) <= least + SLACK]
    groups: list[list[R]] = [_some(holders)] if holders else []
    return [*groups, _some(replicas)]


def _holders(replicas: Sequence[R], prompt: str) -> list[R]:
    if prompt.startswith(_LABELS):
        # Rendezvous hashing: the same replica comes first for as long as it exists.
        return [max(replicas, key=lambda each: hashlib.sha256(f"{prompt} {each.replica_id}".encode()).digest())]
    return [each for each in replicas if prompt and _holds(each, prompt)]


def _holds(replica: Replica, domain: str) -> bool:
    held: Collection[str] = replica.routing_stats.get(HELD_DOMAINS, ())
    return domain in held


def _some(replicas: Sequence[R]) -> list[R]:
    return random.sample(list(replicas), min(CHOICES, len(replicas)))
