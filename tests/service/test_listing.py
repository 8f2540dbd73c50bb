"""The list of domains: one call for many concurrent callers, renewed after a while, failures not cached."""

from __future__ import annotations

import asyncio
import threading

import pytest

from lightner.service.listing import Listing
from lightner.store.registry import RegistryUnavailable

pytestmark = pytest.mark.anyio


class Store:
    """Lists the given domains, once allowed."""

    def __init__(self) -> None:
        self.names = ["movies"]
        self.questions = 0
        self.down = False
        self.open = threading.Event()
        self.open.set()

    def list(self) -> list[str]:
        self.questions += 1
        self.open.wait(timeout=20)
        if self.down:
            raise RegistryUnavailable("down")
        return list(self.names)


async def test_concurrent_callers_share_one_call() -> None:
    store = Store()
    listing = Listing(store.list)
    store.open.clear()
    asking = [asyncio.create_task(listing.names(ttl_s=60)) for _ in range(20)]
    await asyncio.sleep(0)
    asking[0].cancel()
    store.open.set()
    assert [await each for each in asking[1:]] == [("movies",)] * 19
    assert asking[0].cancelled()
    assert store.questions == 1


async def test_the_answer_is_cached_for_a_while_and_then_renewed() -> None:
    store = Store()
    listing = Listing(store.list)
    assert await listing.names(ttl_s=60) == ("movies",)
    store.names = ["movies", "music"]
    assert await listing.names(ttl_s=60) == ("movies",)
    fresh = Listing(store.list)
    assert await fresh.names(ttl_s=0.0) == ("movies", "music")
    store.names = []
    assert await fresh.names(ttl_s=0.0) == ()


async def test_an_empty_list_is_not_cached() -> None:
    store = Store()
    store.names = []
    listing = Listing(store.list)
    assert await listing.names(ttl_s=60) == ()
    store.names = ["movies"]
    assert await listing.names(ttl_s=60) == ("movies",)


async def test_a_failure_is_reported_and_not_cached() -> None:
    store = Store()
    store.down = True
    listing = Listing(store.list)
    with pytest.raises(RegistryUnavailable):
        await listing.names(ttl_s=60)
    store.down = False
    assert await listing.names(ttl_s=60) == ("movies",)
