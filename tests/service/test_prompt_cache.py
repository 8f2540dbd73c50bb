"""The prompt cache: loading, keeping, refusing and evicting prompts."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import Callable

import pytest

from lightner.model.prompts import Prompt
from lightner.service import prompt_cache
from lightner.service.messages import Reason, Refusal
from lightner.service.prompt_cache import PromptCache, Resident
from lightner.service.settings import CacheLimits
from lightner.store.artifact import PromptArtifact
from lightner.store.async_reader import AsyncReader
from lightner.store.registry import Registry, UnknownPrompt
from lightner.types import InputError
from tests.support.caching import BACKBONE, SIZE, Store, build, cache, reason, version
from tests.support.tiny import tiny_artifact, tiny_backbone

pytestmark = pytest.mark.anyio
PATIENCE_S = 60.0


class Clock:
    """The cache's clock, which only the test moves, however busy the machine is."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(prompt_cache, "_now", clock)
    return clock


async def test_a_prompt_is_loaded_once_and_then_answers_without_the_store() -> None:
    store = Store("a")
    prompts = cache(store)
    first = await prompts.get("a", "live")
    assert isinstance(first, Resident)
    assert (first.version, first.value.labels.names) == ("v000001", ("LOC", "PER"))
    second = await prompts.get("a", "live")
    assert isinstance(second, Resident)
    assert second.value is first.value
    assert store.fetched == {("a", "v000001"): 1}
    assert store.resolved == {("a", "live"): 1}
    assert (prompts.resident, prompts.nbytes) == ((("a", "v000001"),), SIZE)


async def test_many_requests_for_one_cold_prompt_load_it_once() -> None:
    store = Store("a")
    store.held = {"a"}
    prompts = cache(store)
    calls = [asyncio.create_task(version(prompts, "a", ref)) for ref in ["live"] * 20 + ["v000001"] * 20]
    await asyncio.sleep(0.05)
    store.release.set()
    assert set(await asyncio.gather(*calls)) == {"v000001"}
    assert store.fetched == {("a", "v000001"): 1}


async def test_a_slow_load_blocks_no_other_prompt_warm_or_cold() -> None:
    store = Store("slow", "warm", "cold")
    prompts = cache(store)
    await version(prompts, "warm")
    store.held = {"slow"}
    slow = asyncio.create_task(version(prompts, "slow"))
    async with asyncio.timeout(5):
        assert await version(prompts, "warm") == "v000001"
        assert await version(prompts, "cold") == "v000001"
    assert not slow.done()
    store.release.set()
    assert await slow == "v000001"


async def test_a_cancelled_request_does_not_stop_a_load() -> None:
    store = Store("a")
    store.held = {"a"}
    prompts = cache(store)
    gone, kept = (asyncio.create_task(version(prompts, "a")) for _ in range(2))
    await asyncio.sleep(0.02)
    gone.cancel()
    await asyncio.sleep(0.02)
    store.release.set()
    assert await kept == "v000001"
    assert gone.cancelled()
    assert store.fetched["a", "v000001"] == 1


async def test_the_least_recently_used_prompt_is_evicted_first() -> None:
    store = Store("a", "b", "c")
    prompts = cache(store, max_bytes=2 * SIZE)
    for domain in ("a", "b", "a", "c"):
        await version(prompts, domain)
    assert prompts.resident == (("a", "v000001"), ("c", "v000001"))
    assert prompts.nbytes == 2 * SIZE
    await version(prompts, "b")
    assert prompts.resident == (("c", "v000001"), ("b", "v000001"))
    assert store.fetched["b", "v000001"] == 2


async def test_an_evicted_prompt_lives_as_long_as_a_request_holds_it() -> None:
    store = Store("a", "b")
    prompts = cache(store, max_bytes=SIZE)
    found = await prompts.get("a", "live")
    assert isinstance(found, Resident)
    held = found.value
    gone = weakref.ref(held)
    del found
    await version(prompts, "b")
    assert prompts.resident == (("b", "v000001"),)
    assert held.label_vectors.isfinite().all()
    del held
    gc.collect()
    assert gone() is None


async def test_a_prompt_larger_than_the_cache_answers_and_evicts_nothing() -> None:
    store = Store("a")
    store.registry.publish(tiny_artifact(BACKBONE, "large", length=30))
    prompts = cache(store, max_bytes=SIZE)
    await version(prompts, "a")
    assert await version(prompts, "large") == "v000001"
    assert prompts.resident == (("a", "v000001"),)


async def test_an_unknown_domain_is_looked_up_only_once_in_a_while(clock: Clock) -> None:
    store = Store("a")
    prompts = cache(store, refusal_ttl_s=10)
    assert [await reason(prompts, "nowhere") for _ in range(5)] == [Reason.UNKNOWN_PROMPT] * 5
    store.publish("nowhere")
    clock.now_s += 9
    assert await reason(prompts, "nowhere") is Reason.UNKNOWN_PROMPT
    assert store.resolved["nowhere", "live"] == 1
    clock.now_s += 2
    assert await version(prompts, "nowhere") == "v000001"


async def test_unknown_aliases_and_versions_are_refused_as_such() -> None:
    prompts = cache(Store("a"))
    for ref in ("canary", "v000002"):
        assert await reason(prompts, "a", ref) is Reason.UNKNOWN_PROMPT


async def test_a_flood_of_unknown_ids_evicts_no_good_prompt_and_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_cache, "MAX_REMEMBERED", 50)
    store = Store("a")
    prompts = cache(store, max_bytes=SIZE)
    await version(prompts, "a")
    for number in range(200):
        assert await reason(prompts, f"unknown-{number}") is Reason.UNKNOWN_PROMPT
    assert prompts.resident == (("a", "v000001"),)
    assert len(prompts._refusals) == 50
    assert not prompts._refreshing
    assert await version(prompts, "a") == "v000001"
    assert store.fetched == {("a", "v000001"): 1}


async def test_a_prompt_of_another_backbone_is_refused_once_with_its_version() -> None:
    store = Store("a")
    store.registry.publish(tiny_artifact(tiny_backbone(seed=1), "other"))
    prompts = cache(store)
    refused = Refusal(Reason.UNUSABLE_PROMPT, "other", "v000001")
    assert [await prompts.get("other", "live") for _ in range(3)] == [refused] * 3
    assert store.fetched["other", "v000001"] == 1
    assert await version(prompts, "a") == "v000001"


async def test_a_moved_alias_is_noticed_and_the_old_version_answers_until_then(clock: Clock) -> None:
    store = Store("a")
    prompts = cache(store, alias_ttl_s=10, patience_s=10)
    assert await version(prompts, "a") == "v000001"
    assert store.publish("a", seed=1) == "v000002"
    clock.now_s += 9
    assert await version(prompts, "a") == "v000001"
    clock.now_s += 2
    assert await version(prompts, "a") == "v000002"
    assert store.registry.rollback("a") == "v000001"
    clock.now_s += 11
    assert await version(prompts, "a") == "v000001"
    assert store.fetched == {("a", "v000001"): 1, ("a", "v000002"): 1}


async def test_a_request_for_a_version_before_its_publication_does_not_harm_later_ones(clock: Clock) -> None:
    store = Store("a")
    prompts = cache(store, alias_ttl_s=10, refusal_ttl_s=100, patience_s=10)
    await version(prompts, "a")
    assert await reason(prompts, "a", "v000002") is Reason.UNKNOWN_PROMPT
    store.publish("a", seed=1)
    clock.now_s += 11
    assert await version(prompts, "a") == "v000002"


async def test_a_version_that_is_deleted_before_it_is_loaded_leaves_the_old_one_in_service(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store("a")
    prompts = cache(store, alias_ttl_s=10, patience_s=10)
    await version(prompts, "a")
    store.publish("a", seed=1)

    asked = asyncio.Event()

    async def gone(domain: str, version: str, build: object) -> None:
        asked.set()
        raise UnknownPrompt(f"{domain} {version}")

    monkeypatch.setattr(store, "load", gone)
    clock.now_s += 11
    assert await version(prompts, "a") == "v000001"
    assert asked.is_set()


async def test_a_move_while_the_store_is_being_asked_is_seen_at_the_next_request(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store("a")
    prompts = cache(store, alias_ttl_s=10, patience_s=10)
    await version(prompts, "a")
    clock.now_s += 11
    answered, release = asyncio.Event(), asyncio.Event()

    async def slow(domain: str, ref: str) -> str:
        found = await store.reader.resolve(domain, ref)
        answered.set()
        await release.wait()
        return found

    with monkeypatch.context() as patched:
        patched.setattr(store, "resolve", slow)
        early = asyncio.create_task(version(prompts, "a"))
        await until(answered.is_set)
    store.publish("a", seed=1)
    prompts.expire("a", "live")
    assert await version(prompts, "a") == "v000002"
    release.set()
    assert await early == "v000001"
    assert await version(prompts, "a") == "v000002", "kept for as long as an alias is, although it had moved before"


async def test_a_request_that_waits_in_vain_for_a_new_version_hides_no_move(clock: Clock) -> None:
    store = Store("a")
    prompts = cache(store, alias_ttl_s=10, patience_s=0.3)
    await version(prompts, "a")
    store.publish("a", seed=1)
    store.held.add("a")
    clock.now_s += 11
    waiting = asyncio.create_task(version(prompts, "a"))
    await until(lambda: store.fetched["a", "v000002"] == 1)
    prompts.expire("a", "live")
    assert await waiting == "v000001"
    store.release.set()
    prompts.limits = CacheLimits(patience_s=10)
    assert await version(prompts, "a") == "v000002"


async def test_few_names_are_looked_up_in_the_store_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_cache, "PARALLEL_LOOKUPS", 3)
    store = Store("a")
    prompts = cache(store)
    asked: list[int] = []
    now = 0

    async def counted(domain: str, ref: str) -> str:
        nonlocal now
        now += 1
        asked.append(now)
        await asyncio.sleep(0.001)
        now -= 1
        return await store.reader.resolve(domain, ref)

    monkeypatch.setattr(store, "resolve", counted)
    calls = [prompts.get(f"unknown-{number}", "live") for number in range(20)]
    assert all(isinstance(found, Refusal) for found in await asyncio.gather(*calls))
    assert (len(asked), max(asked)) == (20, 3)


async def test_while_a_new_version_loads_slowly_the_old_one_answers(clock: Clock) -> None:
    store = Store("a")
    prompts = cache(store, alias_ttl_s=10, patience_s=0.01)
    await version(prompts, "a")
    store.publish("a", seed=1)
    store.held = {"a"}
    clock.now_s += 11
    assert [await version(prompts, "a") for _ in range(3)] == ["v000001"] * 3
    await until(lambda: store.fetched["a", "v000002"] == 1)
    store.release.set()
    await until(lambda: not prompts._refreshing)
    assert await version(prompts, "a") == "v000002"


async def test_an_unusable_new_version_leaves_the_old_one_in_service(clock: Clock) -> None:
    store = Store("a")
    prompts = cache(store, alias_ttl_s=10, patience_s=10)
    await version(prompts, "a")
    store.registry.publish(tiny_artifact(tiny_backbone(seed=1), "a"))
    clock.now_s += 11
    assert await version(prompts, "a") == "v000001"
    assert await reason(prompts, "a", "v000002") is Reason.UNUSABLE_PROMPT


async def test_while_the_store_is_down_resident_prompts_answer_and_others_are_refused_for_now(clock: Clock) -> None:
    store = Store("a", "b")
    prompts = cache(store, alias_ttl_s=10, outage_ttl_s=1)
    await version(prompts, "a")
    store.down = True
    clock.now_s += 11
    assert [await version(prompts, "a") for _ in range(3)] == ["v000001"] * 3
    assert [await reason(prompts, "b") for _ in range(3)] == [Reason.REGISTRY_UNAVAILABLE] * 3
    store.down = False
    clock.now_s += 0.9
    assert await reason(prompts, "b") is Reason.REGISTRY_UNAVAILABLE
    assert store.resolved["b", "live"] == 1
    clock.now_s += 0.2
    assert await version(prompts, "b") == "v000001"


async def test_a_store_that_hangs_delays_a_resident_prompt_once_and_briefly(clock: Clock) -> None:
    store = Store("a", "b")
    prompts = cache(store, alias_ttl_s=10, patience_s=0.3, load_timeout_s=600)
    await version(prompts, "a")
    clock.now_s += 11
    store.hanging = True
    began_s = time.monotonic()
    assert await asyncio.wait_for(version(prompts, "a"), PATIENCE_S) == "v000001"
    assert time.monotonic() - began_s > 0.29
    prompts.limits = CacheLimits(patience_s=10)
    assert await asyncio.wait_for(version(prompts, "a"), 5) == "v000001"
    prompts.limits = CacheLimits(load_timeout_s=0.1)
    assert await reason(prompts, "b") is Reason.REGISTRY_UNAVAILABLE
    store.release.set()


async def test_a_domain_that_is_taken_away_is_unknown_after_a_while(clock: Clock) -> None:
    store = Store("a")
    prompts = cache(store, alias_ttl_s=10, patience_s=10)
    await version(prompts, "a")
    store.reader = AsyncReader(Registry.open("memory:///empty"))
    assert await version(prompts, "a") == "v000001"
    clock.now_s += 11
    assert await reason(prompts, "a") is Reason.UNKNOWN_PROMPT


@pytest.mark.parametrize(
    ("error", "expected"),
    [(InputError("damaged"), Reason.UNUSABLE_PROMPT), (MemoryError("no room on the device"), Reason.FAILED)],
)
async def test_a_prompt_that_cannot_be_built_is_refused_and_tried_again_later(
    clock: Clock, error: Exception, expected: Reason
) -> None:
    failing = True

    def fragile(artifact: PromptArtifact) -> Prompt:
        if failing:
            raise error
        return build(artifact)

    prompts = PromptCache(Store("a"), fragile, limits=CacheLimits(refusal_ttl_s=10, outage_ttl_s=10))
    assert await reason(prompts, "a") is expected
    failing = False
    clock.now_s += 9
    assert await reason(prompts, "a") is expected
    clock.now_s += 2
    assert await version(prompts, "a") == "v000001"


async def test_concurrent_use_beyond_the_capacity_gives_everyone_their_own_prompt() -> None:
    domains = [f"d{number}" for number in range(8)]
    store = Store(*domains)
    prompts = cache(store, max_bytes=3 * SIZE)

    async def user(offset: int) -> list[str]:
        found = []
        for step in range(20):
            resident = await prompts.get(domains[(offset + step * 3) % 8], "live")
            assert isinstance(resident, Resident)
            found.append(resident.domain)
            await asyncio.sleep(0)
        return found

    answers = await asyncio.gather(*(user(offset) for offset in range(8)))
    for offset, found in enumerate(answers):
        assert found == [domains[(offset + step * 3) % 8] for step in range(20)]
    assert len(prompts.resident) == 3
    assert prompts.nbytes == 3 * SIZE


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.001)
