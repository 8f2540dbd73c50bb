"""The prompt cache: what is loaded, kept, refused and evicted."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from lightner.artifact import PromptArtifact
from lightner.prompts import Prompt
from lightner.registry import Registry, UnknownPrompt
from lightner.types import InputError
from serve import prompt_cache
from serve.messages import Reason, Refusal
from serve.prompt_cache import PromptCache, Resident
from serve.settings import CacheLimits
from tests.caching import BACKBONE, SIZE, Store, build, cache, reason, version
from tests.tiny import tiny_artifact, tiny_backbone

pytestmark = pytest.mark.anyio


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


async def test_a_request_that_goes_away_stops_no_load() -> None:
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


async def test_an_unknown_domain_is_asked_for_once_in_a_while() -> None:
    store = Store("a")
    prompts = cache(store, refusal_ttl_s=0.1)
    assert [await reason(prompts, "nowhere") for _ in range(5)] == [Reason.UNKNOWN_PROMPT] * 5
    assert store.resolved["nowhere", "live"] == 1
    store.publish("nowhere")
    await asyncio.sleep(0.12)
    assert await version(prompts, "nowhere") == "v000001"


async def test_unknown_aliases_and_versions_are_refused_as_such() -> None:
    prompts = cache(Store("a"))
    assert await reason(prompts, "a", "canary") is Reason.UNKNOWN_PROMPT
    assert await reason(prompts, "a", "v000002") is Reason.UNKNOWN_PROMPT


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


async def test_a_moved_alias_is_noticed_and_the_old_version_answers_until_then() -> None:
    store = Store("a")
    prompts = cache(store, alias_ttl_s=0.5, patience_s=5)
    assert await version(prompts, "a") == "v000001"
    assert store.publish("a", seed=1) == "v000002"
    assert await version(prompts, "a") == "v000001"
    await asyncio.sleep(0.55)
    assert await version(prompts, "a") == "v000002"
    assert store.registry.rollback("a") == "v000001"
    await asyncio.sleep(0.55)
    assert await version(prompts, "a") == "v000001"
    assert store.fetched == {("a", "v000001"): 1, ("a", "v000002"): 1}


async def test_who_asks_for_a_version_before_it_is_published_takes_nothing_from_the_others() -> None:
    store = Store("a")
    prompts = cache(store, alias_ttl_s=0.05, patience_s=5)
    await version(prompts, "a")
    assert await reason(prompts, "a", "v000002") is Reason.UNKNOWN_PROMPT
    store.publish("a", seed=1)
    await asyncio.sleep(0.06)
    assert await version(prompts, "a") == "v000002"


async def test_a_version_that_is_deleted_before_it_is_loaded_leaves_the_old_one_in_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Store("a")
    prompts = cache(store, alias_ttl_s=0.05, patience_s=5)
    await version(prompts, "a")
    store.publish("a", seed=1)

    async def gone(domain: str, ref: str) -> tuple[str, PromptArtifact]:
        raise UnknownPrompt(f"{domain} {ref}")

    monkeypatch.setattr(store, "afetch", gone)
    await asyncio.sleep(0.06)
    assert await version(prompts, "a") == "v000001"


async def test_a_move_while_the_store_is_being_asked_is_seen_at_the_next_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Store("a")
    prompts = cache(store, alias_ttl_s=0.05, patience_s=0.01)
    await version(prompts, "a")
    prompts.limits = CacheLimits(patience_s=5)
    await asyncio.sleep(0.06)
    answered, release = asyncio.Event(), asyncio.Event()

    async def slow(domain: str, ref: str) -> str:
        found = await store.registry.aresolve(domain, ref)
        answered.set()
        await release.wait()
        return found

    with monkeypatch.context() as patched:
        patched.setattr(store, "aresolve", slow)
        early = asyncio.create_task(version(prompts, "a"))
        await answered.wait()
    store.publish("a", seed=1)
    prompts.expire("a", "live")
    assert await version(prompts, "a") == "v000002"
    release.set()
    assert await early == "v000001"
    assert await version(prompts, "a") == "v000002", "kept for as long as an alias is, although it had moved before"


async def test_who_waits_in_vain_for_a_new_version_hides_no_move() -> None:
    store = Store("a")
    prompts = cache(store, alias_ttl_s=0.05)
    await version(prompts, "a")
    store.publish("a", seed=1)
    store.held.add("a")
    await asyncio.sleep(0.06)
    prompts.limits = CacheLimits(alias_ttl_s=60, patience_s=0.05)
    waiting = asyncio.create_task(version(prompts, "a"))
    await asyncio.sleep(0.01)
    prompts.expire("a", "live")
    assert await waiting == "v000001"
    store.release.set()
    prompts.limits = CacheLimits(alias_ttl_s=60, patience_s=5)
    assert await version(prompts, "a") == "v000002"


async def test_the_store_is_asked_for_few_names_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
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
        return await store.registry.aresolve(domain, ref)

    monkeypatch.setattr(store, "aresolve", counted)
    calls = [prompts.get(f"unknown-{number}", "live") for number in range(20)]
    assert all(isinstance(found, Refusal) for found in await asyncio.gather(*calls))
    assert (len(asked), max(asked)) == (20, 3)


async def test_while_a_new_version_loads_slowly_the_old_one_answers() -> None:
    store = Store("a")
    prompts = cache(store, alias_ttl_s=0.05, patience_s=0.01)
    await version(prompts, "a")
    store.publish("a", seed=1)
    store.held = {"a"}
    await asyncio.sleep(0.06)
    assert [await version(prompts, "a") for _ in range(3)] == ["v000001"] * 3
    store.release.set()
    await asyncio.sleep(0.3)
    assert await version(prompts, "a") == "v000002"


async def test_a_new_version_that_is_no_good_leaves_the_old_one_in_service() -> None:
    store = Store("a")
    prompts = cache(store, alias_ttl_s=0.05, patience_s=5)
    await version(prompts, "a")
    store.registry.publish(tiny_artifact(tiny_backbone(seed=1), "a"))
    await asyncio.sleep(0.06)
    assert await version(prompts, "a") == "v000001"
    assert await reason(prompts, "a", "v000002") is Reason.UNUSABLE_PROMPT


async def test_while_the_store_is_down_resident_prompts_answer_and_others_are_refused_for_now() -> None:
    store = Store("a", "b")
    prompts = cache(store, alias_ttl_s=0.05, outage_ttl_s=0.1)
    await version(prompts, "a")
    store.down = True
    await asyncio.sleep(0.06)
    assert [await version(prompts, "a") for _ in range(3)] == ["v000001"] * 3
    assert [await reason(prompts, "b") for _ in range(3)] == [Reason.REGISTRY_UNAVAILABLE] * 3
    assert store.resolved["b", "live"] == 1
    store.down = False
    await asyncio.sleep(0.12)
    assert await version(prompts, "b") == "v000001"


async def test_a_store_that_hangs_delays_a_resident_prompt_once_and_briefly() -> None:
    store = Store("a", "b")
    prompts = cache(store, alias_ttl_s=0.5, patience_s=0.5, load_timeout_s=10)
    await version(prompts, "a")
    await asyncio.sleep(0.55)
    store.hanging = True
    clock = asyncio.get_running_loop().time
    began = clock()
    assert await version(prompts, "a") == "v000001"
    delayed = clock()
    assert 0.4 < delayed - began < 5
    assert await version(prompts, "a") == "v000001"
    assert clock() - delayed < 0.4
    prompts.limits = CacheLimits(load_timeout_s=0.1)
    assert await reason(prompts, "b") is Reason.REGISTRY_UNAVAILABLE
    store.release.set()


async def test_a_domain_that_is_taken_away_is_unknown_after_a_while() -> None:
    store = Store("a")
    prompts = cache(store, alias_ttl_s=0.05, patience_s=5)
    await version(prompts, "a")
    store.registry = Registry.open("memory:///empty")
    await asyncio.sleep(0.06)
    assert await reason(prompts, "a") is Reason.UNKNOWN_PROMPT


@pytest.mark.parametrize(
    ("error", "expected"),
    [(InputError("damaged"), Reason.UNUSABLE_PROMPT), (MemoryError("no room on the device"), Reason.FAILED)],
)
async def test_a_prompt_that_cannot_be_built_is_refused_and_tried_again_later(
    error: Exception, expected: Reason
) -> None:
    failing = True

    def fragile(artifact: PromptArtifact) -> Prompt:
        if failing:
            raise error
        return build(artifact)

    prompts = PromptCache(Store("a"), fragile, limits=CacheLimits(refusal_ttl_s=0.1, outage_ttl_s=0.1))
    assert await reason(prompts, "a") is expected
    failing = False
    assert await reason(prompts, "a") is expected
    await asyncio.sleep(0.12)
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
