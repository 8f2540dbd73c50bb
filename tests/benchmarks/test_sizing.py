"""The sizing page's figures: bytes are those of real prompts, the simulated cache behaves like the service's."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import pytest

from benchmarks import sizing
from benchmarks.sizing import Load
from lightner.model import backbone
from lightner.service.prompt_cache import PromptCache
from lightner.service.settings import CacheLimits
from lightner.store.artifact import PromptArtifact, to_files
from lightner.store.loading import prompt_for
from tests.support.tiny import WIDTH, tiny_artifact, tiny_backbone

T = TypeVar("T")
LOAD = Load(domains=50, replicas=4, requests_per_s=40.0, seconds=60.0, cache_bytes=1000, prompt_bytes=100, spread=4)


def test_bytes_are_those_of_a_real_prompt() -> None:
    base = tiny_backbone()
    shape = sizing.Backbone(WIDTH, encoder_layers=2, decoder_layers=2, heads=2)
    length = 4 + len(sizing.LABELS.names)
    real = tiny_artifact(base, labels=sizing.LABELS, length=length, slots=16)
    counted = sizing.prompt_sizes(shape, slots=16, free=4)
    assert counted["device_bytes"] == prompt_for(real, base).nbytes
    stored = sum(map(len, to_files(real).values()))
    assert counted["artefact_bytes"] == pytest.approx(stored, rel=0.1)
    assert counted["prompts_per_gib"] == 2**30 // counted["device_bytes"]


def test_the_embedded_backbone_has_the_shapes_that_are_counted() -> None:
    shape, counted = backbone.load().shape, sizing.BACKBONES["embedded"]
    assert (shape.width, shape.heads["cross"]) == (counted.width, counted.heads)
    assert shape.stack_layers == {"encoder": counted.encoder_layers, "decoder": counted.decoder_layers}


def test_the_simulated_cache_hits_where_the_services_does() -> None:
    rng = random.Random(0)
    asked = [min(int(rng.expovariate(0.2)), 30) for _ in range(600)]
    simulated = sizing.Cache(room=8, alias_ttl_s=1e9)
    for domain in asked:
        simulated.ask(domain, 0.0)
    assert simulated.loads == asyncio.run(_loads(asked, room=8))
    assert simulated.hits == len(asked) - simulated.loads


def test_more_room_more_hits_and_every_domain_fits_at_last() -> None:
    rows = [sizing.simulate(replace(LOAD, cache_bytes=size)) for size in (500, 1000, 2000, 5000)]
    shares = [row["hit_share"] for row in rows]
    assert shares == sorted(shares)
    assert shares[0] < 0.9 < shares[-1]
    assert [row["resident_max"] for row in rows[:3]] == [5, 10, 20]


def test_domains_that_are_split_over_services_need_less_room() -> None:
    everywhere, split = sizing.simulate(LOAD), sizing.simulate(replace(LOAD, spread=1))
    assert split["hit_share"] > everywhere["hit_share"] + 0.1


def test_the_same_seed_gives_the_same_figures() -> None:
    assert sizing.simulate(LOAD) == sizing.simulate(LOAD)
    assert sizing.simulate(LOAD) != sizing.simulate(replace(LOAD, seed=1))


@dataclass(frozen=True)
class _Value:
    nbytes: int = 100


class _Store:
    """Counts fetched prompts; every domain has one version."""

    def __init__(self) -> None:
        self.fetched = 0
        base = tiny_backbone()
        self._artifact = tiny_artifact(base)

    async def resolve(self, domain: str, ref: str) -> str:
        return "v000001"

    async def load(self, domain: str, version: str, build: Callable[[PromptArtifact], T]) -> T:
        self.fetched += 1
        return build(self._artifact)


async def _loads(asked: list[int], *, room: int) -> int:
    store = _Store()
    limits = CacheLimits(max_bytes=room * _Value().nbytes, alias_ttl_s=3600)
    cache: PromptCache[_Value] = PromptCache(store, lambda _: _Value(), limits=limits)
    for domain in asked:
        await cache.get(f"domain{domain}", "live")
    return store.fetched
