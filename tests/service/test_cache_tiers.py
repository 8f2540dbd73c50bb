"""The prompt cache's tiers, its pins, and its reports to an observer."""

from __future__ import annotations

import asyncio

import pytest

from lightner.service.messages import Reason
from lightner.service.observers import Silent
from lightner.service.prompt_cache import Resident
from lightner.service.settings import CacheLimits
from tests.support.caching import HOST_SIZE, SIZE, Store, cache, reason, version

pytestmark = pytest.mark.anyio


class TestHostTier:
    async def test_an_evicted_prompt_comes_back_without_the_store(self) -> None:
        store = Store("a", "b")
        prompts = cache(store, max_bytes=SIZE, max_host_bytes=2 * HOST_SIZE)
        first = await prompts.get("a", "live")
        await version(prompts, "b")
        assert prompts.resident == (("b", "v000001"),)
        again = await prompts.get("a", "live")
        assert isinstance(first, Resident)
        assert isinstance(again, Resident)
        assert again.value.label_vectors.equal(first.value.label_vectors)
        assert store.fetched == {("a", "v000001"): 1, ("b", "v000001"): 1}

    async def test_a_known_alias_is_not_resolved_again_before_its_time(self) -> None:
        store = Store("a", "b")
        prompts = cache(store, max_bytes=SIZE, max_host_bytes=2 * HOST_SIZE, alias_ttl_s=60)
        for domain in "aba":
            await version(prompts, domain)
        assert store.resolved["a", "live"] == 1

    async def test_it_answers_while_the_store_is_down(self) -> None:
        store = Store("a", "b", "c")
        prompts = cache(store, max_bytes=SIZE, max_host_bytes=2 * HOST_SIZE, alias_ttl_s=0.05)
        for domain in "ab":
            await version(prompts, domain)
        store.down = True
        await asyncio.sleep(0.06)
        assert await version(prompts, "a") == "v000001"
        assert await reason(prompts, "c") is Reason.REGISTRY_UNAVAILABLE

    async def test_it_is_bounded_too(self) -> None:
        store = Store("a", "b", "c")
        prompts = cache(store, max_bytes=SIZE, max_host_bytes=2 * HOST_SIZE)
        for domain in ("a", "b", "c", "b", "a"):
            await version(prompts, domain)
        assert store.fetched == {("a", "v000001"): 2, ("b", "v000001"): 1, ("c", "v000001"): 1}

    async def test_a_new_version_is_not_hidden_by_an_old_one(self) -> None:
        store = Store("a")
        prompts = cache(store, max_host_bytes=10 * HOST_SIZE, alias_ttl_s=0.05, patience_s=5)
        await version(prompts, "a")
        store.publish("a", seed=1)
        await asyncio.sleep(0.06)
        assert await version(prompts, "a") == "v000002"


class TestPins:
    async def test_a_pinned_domain_is_never_evicted(self) -> None:
        store = Store("a", "b", "c", "d")
        prompts = cache(store, max_bytes=2 * SIZE, pinned=["a"])
        for domain in "abcd":
            await version(prompts, domain)
        assert set(prompts.resident) == {("a", "v000001"), ("d", "v000001")}
        assert store.fetched["a", "v000001"] == 1

    async def test_the_live_version_is_pinned(self) -> None:
        store = Store("a", "b", "c")
        prompts = cache(store, max_bytes=2 * SIZE, pinned=["a"], alias_ttl_s=0.05, patience_s=5)
        await version(prompts, "a")
        store.publish("a", seed=1)
        await asyncio.sleep(0.06)
        assert await version(prompts, "a") == "v000002"
        await version(prompts, "b")
        await version(prompts, "c")
        assert set(prompts.resident) == {("a", "v000002"), ("c", "v000001")}

    async def test_a_cache_full_of_pinned_prompts_answers_others_and_stays_bounded(self) -> None:
        store = Store("a", "b", "c")
        prompts = cache(store, max_bytes=2 * SIZE, pinned=["a", "b"])
        for domain in ("a", "b", "c", "c"):
            await version(prompts, domain)
        assert prompts.resident == (("a", "v000001"), ("b", "v000001"))
        prompts.limits = CacheLimits(max_bytes=2 * SIZE)
        await version(prompts, "c")
        assert prompts.resident == (("b", "v000001"), ("c", "v000001"))

    async def test_pinned_and_listed_domains_are_preloaded_and_a_missing_one_hinders_none(self) -> None:
        store = Store("a", "b", "c")
        prompts = cache(store, pinned=["a"], preload=["nowhere", "b", "a"])
        await prompts.preload()
        assert set(prompts.resident) == {("a", "v000001"), ("b", "v000001")}
        assert store.resolved == {("a", "live"): 1, ("nowhere", "live"): 1, ("b", "live"): 1}


class Notes(Silent[object]):
    """Records the cache's events."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def on_lookup(self, *, hit: bool) -> None:
        self.told.append(("hit" if hit else "miss",))

    def on_load(self, source: str, seconds: float) -> None:
        assert seconds > 0
        self.told.append(("load", source))

    def on_failure(self, reason: Reason) -> None:
        self.told.append(("failure", reason))

    def on_eviction(self, tier: str) -> None:
        self.told.append(("eviction", tier))

    def on_residents(self, tier: str, prompts: int, nbytes: int) -> None:
        self.told.append((tier, prompts, nbytes))


async def test_every_event_of_the_cache_is_reported_once() -> None:
    notes = Notes()
    prompts = cache(Store("a", "b"), notes, max_bytes=SIZE, max_host_bytes=HOST_SIZE)
    await version(prompts, "a")
    await version(prompts, "a")
    assert notes.told == [("miss",), ("load", "store"), ("host", 1, HOST_SIZE), ("device", 1, SIZE), ("hit",)]
    notes.told.clear()
    await version(prompts, "b")
    assert notes.told == [
        ("miss",),
        ("load", "store"),
        ("eviction", "host"),
        ("host", 1, HOST_SIZE),
        ("eviction", "device"),
        ("device", 1, SIZE),
    ]
    notes.told.clear()
    for _ in range(3):
        await reason(prompts, "nowhere")
    assert notes.told == [("miss",), ("failure", Reason.UNKNOWN_PROMPT)]
