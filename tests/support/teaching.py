"""The desk at which domains are taught, for tests of the service."""

from __future__ import annotations

from lightner.service.messages import Reader
from lightner.service.teaching.desk import Desk


def desk_of(registry: str, reader: Reader) -> Desk:
    """A desk over a registry; `memory:///` has nothing in it."""
    return Desk.at(registry, reader, timeout_s=5)
