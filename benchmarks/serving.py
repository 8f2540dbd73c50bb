"""Many domains against one, inside one process: batches, a cache that holds some of them, loads and a cold domain.

    OMP_NUM_THREADS=1 python -m benchmarks.serving --folder FOLDER --out FILE.json

Also rows of several lengths in one batch or apart, and latency at half of the capacity. Both sides of each ratio take
turns in one process; ratios are of medians, in wall time and in CPU time, which other work disturbs less.
Parts that the file has already are not measured again. `serving_http` does the same over HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import torch

from benchmarks import report
from benchmarks.places import BUCKET, name, object_store, texts, tuned, variant
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.model.prompts import Prompt
from lightner.service import replica
from lightner.service.messages import Answer, Ask
from lightner.service.settings import Settings
from lightner.store.artifact import PromptArtifact
from lightner.store.loading import prompt_for
from lightner.store.registry import Registry
from lightner.tagger import BATCH_SIZE, Row, finish, infer, prepare
from lightner.types import LabelSet
from lightner.words import split_words

CLIENTS = 64
ZIPF = 1.0
ROWS = (4, 8, 16, 32)
SHORT = 16
LOADED = 50


def main() -> None:
    """Measure all; print and write each part as soon as it is known."""
    parser = report.parser(__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="for the tuned prompt and the registries")
    parser.add_argument("--domains", type=int, default=1000)
    parser.add_argument("--cached", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=1000, help="of a turn of the Zipf measurement")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--cold", type=int, default=30, help="cold domains to ask for")
    parser.add_argument("--steps", type=int, default=80)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    base = backbone.load()
    original = tuned(base, options.folder, steps=options.steps)
    given = {
        "threads": torch.get_num_threads(),
        "options": vars(options),
        "prompt_bytes": prompt_for(original, base).nbytes,
    }
    publish(original, Registry.open(str(options.folder / "many")), options.domains)
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "batches": lambda: mixed_batches(base, original, rounds=options.rounds),
        "lengths": lambda: {str(rows): lengths(base, original, rows=rows, rounds=options.rounds) for rows in ROWS},
        "loads": lambda: asyncio.run(loads(base, original, options)),
        "half_load": lambda: asyncio.run(half_load(options)),
        "cold": lambda: asyncio.run(cold(original, options)),
        "zipf": lambda: asyncio.run(zipf(base, original, options)),
    }
    report.fill(options.out, base, parts, given=given)


def mixed_batches(base: Backbone, original: PromptArtifact, *, rounds: int) -> dict[str, Any]:
    """Rows per second of full batches of one domain, and of as many domains as rows."""
    sentences = [tuple(word.text for word in split_words(text)) for text in texts()[:BATCH_SIZE]]
    prompts = [prompt_for(variant(original, number), base) for number in range(BATCH_SIZE)]
    batches: dict[str, list[Prompt]] = {"one": prompts[:1] * BATCH_SIZE, "mixed": prompts}
    spent: dict[str, list[report.Cost]] = {key: [] for key in batches}
    for turn in range(rounds + 1):
        for key, those in batches.items():
            rows = [Row(prompt, words) for prompt, words in zip(those, sentences, strict=True)]
            began = report.now()
            tag(base, rows)
            if turn:
                spent[key].append(report.since(began))
    return compared(spent, BATCH_SIZE)


def tag(base: Backbone, rows: Sequence[Row]) -> None:
    """Read rows in one batch, as the service does."""
    work = prepare(base, rows)
    finish(work, infer(base, work))


def publish(original: PromptArtifact, registry: Registry, count: int) -> None:
    """Publish variants until the registry has `count` domains."""
    for number in range(len(registry.domains()), count):
        registry.publish(variant(original, number))


def lengths(base: Backbone, original: PromptArtifact, *, rows: int, rounds: int) -> dict[str, Any]:
    """Rows per second of few rows of one domain in one batch, and with short and long ones in batches of their own."""
    prompt, chance = prompt_for(original, base), random.Random(0)
    sentences = [tuple(word.text for word in split_words(text)) for text in texts()]
    spent: dict[str, list[report.Cost]] = {"one": [], "apart": []}
    for turn in range(rounds + 1):
        own = [Row(prompt, words) for words in chance.sample(sentences, rows)]
        short, long = [r for r in own if len(r.words) <= SHORT], [r for r in own if len(r.words) > SHORT]
        for key, batches in {"one": [own], "apart": [batch for batch in (short, long) if batch]}.items():
            began = report.now()
            for batch in batches:
                tag(base, batch)
            if turn:
                spent[key].append(report.since(began))
    return compared(spent, rows)


async def loads(base: Backbone, original: PromptArtifact, options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds of this process to load a prompt: from a folder, from S3, from host memory; one after another."""
    size, many = prompt_for(original, base).nbytes, str(options.folder / "many")
    none = {"max_bytes": 2 * size, "alias_ttl_s": 3600}
    with object_store(options.folder):
        s3 = Registry.open(f"s3://{BUCKET}/prompts")
        publish(original, s3, LOADED)
        ways = {"folder": (many, none), "s3": (s3.url, none), "host": (many, {**none, "max_host_bytes": 2**30})}
        found: dict[str, Any] = {}
        for key, (url, limits) in ways.items():
            own = replica.BackboneReplica(Settings(registry=url))
            await own.reconfigure({"prompts": limits})
            spent = [await _loaded(own) for _ in range(options.turns + 1)][1:]
            clock, processor = (1000 * statistics.median(each) / LOADED for each in zip(*spent, strict=True))
            found[key] = {"clock_ms": clock, "processor_ms": processor}
        return found


async def _loaded(own: replica.BackboneReplica) -> report.Cost:
    began = report.now()
    for number in range(LOADED):
        await own.describe(name(number), None)
    return report.since(began)


async def half_load(options: argparse.Namespace) -> dict[str, Any]:
    """Latency of requests of one text that arrive by chance, at half of the rate that clients without pause reach."""
    own = replica.BackboneReplica(Settings(registry=str(options.folder / "many")))
    alone = [await _timed(own, 0, text) for text in (*texts()[:1], *texts())][1:]
    began = time.perf_counter()
    await ask_all(own, requests([name(0)] * options.requests))
    rate = options.requests / (time.perf_counter() - began) / 2
    chance, found, sentences = random.Random(1), list[float](), texts()

    async def one(number: int) -> None:
        found.append(await _timed(own, 0, sentences[number % len(sentences)]))

    async with asyncio.TaskGroup() as group:
        for number in range(options.requests):
            group.create_task(one(number))
            await asyncio.sleep(chance.expovariate(rate))
    found.sort()
    percentiles = {f"p{share}_ms": found[len(found) * share // 100] for share in (50, 95, 99)}
    one_ms = statistics.median(alone)
    return {
        "alone_ms": one_ms,
        "offered_per_second": rate,
        **percentiles,
        "p99 against alone": percentiles["p99_ms"] / one_ms,
    }


async def zipf(base: Backbone, original: PromptArtifact, options: argparse.Namespace) -> dict[str, Any]:
    """Texts per second of a replica: for one domain, and for Zipf-distributed domains of which some fit on the device,
    without and with a host tier that holds all, and has read all of them before."""
    registry = Registry.open(str(options.folder / "many"))
    size = prompt_for(original, base).nbytes
    room = {"max_bytes": size * options.cached, "alias_ttl_s": 3600}
    ways = {"one": room, "zipf": room, "zipf_host": {**room, "max_host_bytes": size * options.domains}}
    replicas = {key: replica.BackboneReplica(Settings(registry=registry.url)) for key in ways}
    for key, prompts in ways.items():
        await replicas[key].reconfigure({"prompts": prompts})
    for number in range(options.domains):
        await replicas["zipf_host"].describe(name(number), None)
    chance = random.Random(0)
    spent: dict[str, list[report.Cost]] = {key: [] for key in ways}
    for turn in range(options.turns + 1):
        picked = by_zipf(chance, options.domains, options.requests)
        for key, own in replicas.items():
            domains = [name(0) if key == "one" else name(number) for number in picked]
            began = report.now()
            await ask_all(own, requests(domains))
            if turn:
                spent[key].append(report.since(began))
    return {"exponent": ZIPF, **compared(spent, options.requests)}


async def cold(original: PromptArtifact, options: argparse.Namespace) -> dict[str, Any]:
    """Extra milliseconds of a domain's first request over later ones; prompts are on S3."""
    with object_store(options.folder):
        registry = Registry.open(f"s3://{BUCKET}/prompts")
        publish(original, registry, options.cold + 1)
        own = replica.BackboneReplica(Settings(registry=registry.url))
        text = texts()[0]
        await _timed(own, 0, text)
        first, later = [], []
        for number in range(1, options.cold + 1):
            first.append(await _timed(own, number, text))
            later.append(await _timed(own, number, text))
    extra = sorted(a - b for a, b in zip(first, later, strict=True))
    return {
        "first_ms": statistics.median(first),
        "later_ms": statistics.median(later),
        "extra_ms": statistics.median(extra),
        "extra_p90_ms": extra[int(0.9 * len(extra))],
    }


def compared(spent: Mapping[str, Sequence[report.Cost]], size: int) -> dict[str, Any]:
    """Rates per second of work of `size` pieces, in wall and CPU time, and each against that of "one"."""
    found: dict[str, Any] = {}
    for place, kind in enumerate(("clock", "processor")):
        rates = {key: size / statistics.median(cost[place] for cost in costs) for key, costs in spent.items()}
        against = {f"{key} against one": rate / rates["one"] for key, rate in rates.items() if key != "one"}
        found[kind] = {"per_second": rates, **against}
    return found


def by_zipf(chance: random.Random, count: int, draws: int) -> list[int]:
    """So many draws from 0 to `count` - 1, each more seldom than the one before."""
    return chance.choices(range(count), [(1 + rank) ** -ZIPF for rank in range(count)], k=draws)


def requests(prompts: Iterable[str | LabelSet]) -> list[Ask]:
    """A text for each domain, or label set, in its turn."""
    return [
        Ask(None, (text,), labels=prompt) if isinstance(prompt, LabelSet) else Ask(prompt, (text,))
        for prompt, text in zip(prompts, cycle(texts()), strict=False)
    ]


async def ask_all(own: replica.BackboneReplica, asks: Iterable[Ask]) -> None:
    """Ask by many clients at once, each of which waits for its answer before it asks again."""
    left = iter(asks)

    async def client() -> None:
        for ask in left:
            (answer,) = await own.tag([ask])
            assert isinstance(answer, Answer), answer

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


async def _timed(own: replica.BackboneReplica, number: int, text: str) -> float:
    began = time.perf_counter()
    (answer,) = await own.tag([Ask(name(number), (text,))])
    assert isinstance(answer, Answer), answer
    return 1000 * (time.perf_counter() - began)


if __name__ == "__main__":
    main()
