"""The service end to end: lists of texts over HTTP against the offline tagger, and latencies at part of the capacity.

    OMP_NUM_THREADS=1 python -m benchmarks.serving_http --folder FOLDER --out FILE.json

Server, clients and offline tagger share one machine; offline and HTTP take turns, ratios are of medians. Latencies are
of requests that arrive at random (Poisson), independent of earlier answers. The registry is a folder.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
from pathlib import Path
from typing import Any

import httpx
import torch

from benchmarks import report
from benchmarks.places import Service, name, service, texts, tuned, variant
from lightner.model import backbone
from lightner.store.loading import prompt_for
from lightner.store.registry import Registry
from lightner.tagger import tag_texts

LIST = 16
LISTS_AT_ONCE = 8
LOADS = (0.25, 0.5, 0.8)


def main() -> None:
    """Deploy, measure, print one JSON object."""
    parser = report.parser(__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="for the tuned prompt and the registry")
    parser.add_argument("--domains", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--gpu", action="store_true", help="backbone of the service and of the offline tagger on a GPU")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    base = backbone.load(device=torch.device("cuda" if options.gpu else "cpu"))
    original = tuned(base, options.folder, steps=options.steps)
    registry = Registry.open(str((options.folder / "many").resolve()))
    for number in range(len(registry.domains()), max(options.domains)):
        registry.publish(variant(original, number))
    prompt = prompt_for(variant(original, 0), base)

    def offline() -> float:
        own = [(prompt, text) for text in texts()[:LIST]] * 4
        began, done = time.perf_counter(), 0
        while time.perf_counter() - began < options.seconds:
            tag_texts(base, own)
            done += len(own)
        return done / (time.perf_counter() - began)

    with service(registry.url, gpus=int(options.gpu)) as running:
        found: dict[str, Any] = {
            **report.circumstances(base),
            "threads": torch.get_num_threads(),
            "options": vars(options),
            "lists": lists(running, offline, options),
            "latency": asyncio.run(latencies(running, options)),
        }
    report.print_and_write(found, options.out)


def lists(running: Service, offline: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Texts per second over HTTP in lists of `LIST`, one domain, against the offline tagger in this process."""
    rates: dict[str, list[float]] = {"offline": [], "http": []}
    for turn in range(options.turns + 1):
        pair = {"offline": offline(), "http": LIST * asyncio.run(_closed(running, 1, LIST, options.seconds))}
        if turn:
            for key, rate in pair.items():
                rates[key].append(rate)
    medians = {key: statistics.median(those) for key, those in rates.items()}
    return {"texts_per_second": medians, "http against offline": medians["http"] / medians["offline"]}


async def latencies(running: Service, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Percentiles in milliseconds of requests of one text, for every number of domains and load."""
    rows = []
    for domains in options.domains:
        async with httpx.AsyncClient(base_url=running.url, timeout=60) as http:
            turns = asyncio.Semaphore(LISTS_AT_ONCE)

            async def warm(number: int, http: httpx.AsyncClient = http, turns: asyncio.Semaphore = turns) -> None:
                async with turns:
                    await _ask(http, number, 1)

            await asyncio.gather(*(warm(number) for number in range(domains)))
        capacity = await _closed(running, domains, 1, options.seconds)
        for load in LOADS:
            rows.append({"domains": domains, "load": load, **await _open(running, domains, load * capacity, options)})
    return rows


async def _closed(running: Service, domains: int, size: int, seconds: float) -> float:
    """Requests per second of clients that send the next request as soon as they have an answer."""
    done, over_s = 0, time.perf_counter() + seconds
    chance = random.Random(0)
    async with httpx.AsyncClient(base_url=running.url, timeout=60) as http:

        async def client() -> None:
            nonlocal done
            while time.perf_counter() < over_s:
                await _ask(http, chance.randrange(domains), size)
                done += 1

        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(LISTS_AT_ONCE if size > 1 else 4 * LISTS_AT_ONCE)))
        return done / (time.perf_counter() - began)


async def _open(running: Service, domains: int, rate: float, options: argparse.Namespace) -> dict[str, float]:
    chance = random.Random(1)
    found: list[float] = []
    async with httpx.AsyncClient(base_url=running.url, timeout=60, limits=httpx.Limits(max_connections=None)) as http:

        async def one() -> None:
            began = time.perf_counter()
            await _ask(http, chance.randrange(domains), 1)
            found.append(1000 * (time.perf_counter() - began))

        async with asyncio.TaskGroup() as group:
            over_s = time.perf_counter() + options.seconds
            while time.perf_counter() < over_s:
                group.create_task(one())
                await asyncio.sleep(chance.expovariate(rate))
    found.sort()
    percentiles = {f"p{share}_ms": found[min(len(found) - 1, len(found) * share // 100)] for share in (50, 95, 99)}
    return {"offered_per_second": rate, "requests": len(found), **percentiles}


async def _ask(http: httpx.AsyncClient, number: int, size: int) -> None:
    answer = await http.post(f"/v1/domains/{name(number)}/entities", json={"texts": texts()[:size]})
    answer.raise_for_status()


if __name__ == "__main__":
    main()
