"""How cost grows: of tuning with sentences, labels and words, of serving with domains and label sets, of the registry.

    OMP_NUM_THREADS=1 python -m benchmarks.growth --folder FOLDER --out FILE.json [--parts tuning serving registry]

`tuning`: seconds of a step, medians, and by them of all steps that the rules give, with sentences made of the words of
examples/recipes. `serving`: seconds of processor of a text, medians, at a replica that is asked for so many domains, or
label sets, by Zipf's law, of which 100 fit into memory; the numbers take turns. `registry`: seconds of its operations,
medians, with so many versions of a domain and so many domains, in a folder and on a local S3 server; `one listing` is
what `domains` asks of each domain. All versions but those that the operations make are as small as can be. `fits` has
what each cost begins with, what every further piece adds, at what number both are equal, and how far the line is from
what was measured. Parts that FILE has are not measured again.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from benchmarks import report
from benchmarks.labels import label_sets, labels_of
from benchmarks.places import BUCKET, name, object_store, tuned, variant
from benchmarks.serving import CLIENTS, ask_all, by_zipf, publish, requests
from lightner.data.formats import read
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.model.untuned import label_prompt
from lightner.service.replica import BackboneReplica
from lightner.service.settings import Settings
from lightner.store.artifact import CARD, FILES, MANIFEST, PromptArtifact
from lightner.store.loading import prompt_for
from lightner.store.objects import open_objects
from lightner.store.registry import LIVE, Registry
from lightner.tuning import rules
from lightner.tuning.training import Tuning
from lightner.types import LabelSet, Sentence, Span

SENTENCES = (10, 30, 100, 300, 1000, 3000, 10_000)
LABELS = (1, 5, 20, 50, 150)
WORDS = (10, 20, 50, 100, 200)
USUAL = {"sentences": 50, "labels": 5, "words": 20}
COUNTS = (1, 10, 100, 1000, 10_000)
MOST_ON_S3 = 1000
SERVED = (1, 10, 100, 1000, 10_000)
ROOM, REQUESTS, TURNS = 100, 400, 3
PARTS = ("tuning", "serving", "registry")
STEPS, REPEATS = 12, 5
_ANYTHING = re.compile(".*")


def main() -> None:
    """Measure the parts; write after each."""
    parser = report.parser(__doc__, must_write=True)
    parser.add_argument("--folder", type=Path, required=True, help="for the tuned prompt and the registries")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--counts", nargs="+", type=int, default=COUNTS, help="versions and domains of the registry")
    parser.add_argument("--served", nargs="+", type=int, default=SERVED, help="domains and label sets of the replica")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    base = backbone.load()
    parts: dict[str, Callable[[], Iterator[Mapping[str, Any]]]] = {
        "tuning": lambda: tuning(base),
        "serving": lambda: serving(base, tuned(base, options.folder, steps=8), options.folder, options.served),
        "registry": lambda: registries(tuned(base, options.folder, steps=8), options.folder, options.counts),
    }
    asked = {part: partial(_rows, parts[part]) for part in options.parts}
    report.fill(options.out, base, asked, summary=lambda found: {"fits": fits(found)})


def _rows(part: Callable[[], Iterator[Mapping[str, Any]]]) -> list[Mapping[str, Any]]:
    """All rows of a part; each is printed at once, since a part takes long."""
    rows = []
    for row in part():
        print(json.dumps(row), flush=True)
        rows.append(row)
    return rows


def tuning(base: Backbone) -> Iterator[dict[str, Any]]:
    """A row for each size, one of the three changed at a time."""
    for what, sizes in (("sentences", SENTENCES), ("labels", LABELS), ("words", WORDS)):
        for size in sizes:
            yield {"grows": what, **step_cost(base, **{**USUAL, what: size})}


def step_cost(base: Backbone, *, sentences: int, labels: int, words: int) -> dict[str, Any]:
    """Processor time of a step, and of the steps that the rules give so many sentences."""
    names = labels_of(labels)
    made = sentences_of(names, sentences, words)
    plan = rules.plan(made, prompt_length=rules.PROMPT_LENGTHS[0], learning_rate=rules.LEARNING_RATES[0])
    short = plan.with_pins({"steps": STEPS, "rounds": STEPS})
    began, spent = report.now(), []
    for _ in Tuning(base, names, made, (), short).rounds():
        spent.append(report.since(began)[1])
        began = report.now()
    step_s = statistics.median(spent[2:])
    sizes = {"sentences": sentences, "labels": labels, "words": words}
    return {**sizes, "step_s": step_s, "steps": plan.steps, "batch_size": plan.batch_size, "all_s": step_s * plan.steps}


def sentences_of(labels: LabelSet, count: int, words: int) -> list[Sentence]:
    """Sentences of so many words, no two alike, with an entity in every five words."""
    drawn = random.Random(0)
    vocabulary = sorted({word for sentence in read(report.EXAMPLE / "train.conll") for word in sentence.words})
    rows = []
    for number in range(count):
        text = (*drawn.choices(vocabulary, k=words - 1), str(number))
        spans = (Span(start, start + 2, drawn.choice(labels.names)) for start in range(0, words - 4, 5))
        rows.append(Sentence(text, tuple(spans)))
    return rows


def serving(base: Backbone, original: PromptArtifact, folder: Path, counts: Sequence[int]) -> Iterator[dict[str, Any]]:
    """A row for each number of domains, and of label sets."""
    registry = Registry.open(str(folder / "served"))
    publish(original, registry, max(counts))
    sets = label_sets(max(counts))
    room = {
        "max_bytes": ROOM * prompt_for(original, base).nbytes,
        "max_label_bytes": ROOM * label_prompt(base, sets[0]).nbytes,
        "max_label_sets": CLIENTS,
        "alias_ttl_s": 3600,
    }
    asked: dict[str, Sequence[str | LabelSet]] = {"domains": list(map(name, range(max(counts)))), "label sets": sets}
    for what, prompts in asked.items():
        for row in asyncio.run(text_costs(registry.url, room, prompts, counts)):
            yield {"grows": what, **row}


async def text_costs(
    registry: str, room: Mapping[str, Any], prompts: Sequence[str | LabelSet], counts: Sequence[int]
) -> list[dict[str, Any]]:
    """Seconds of processor of a text, of replicas that are asked for so many of the prompts."""
    replicas = {count: BackboneReplica(Settings(registry=registry)) for count in counts}
    for own in replicas.values():
        await own.reconfigure({"prompts": room})
    spent: dict[int, list[float]] = {count: [] for count in counts}
    for turn in range(1 + TURNS):
        for count, own in replicas.items():
            asks = requests(prompts[number] for number in by_zipf(random.Random(turn), count, REQUESTS))
            began = report.now()
            await ask_all(own, asks)
            spent[count].append(report.since(began)[1])
    return [{"count": count, "text_s": statistics.median(each[1:]) / REQUESTS} for count, each in spent.items()]


def fits(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """A line through the costs of each thing that grows."""
    curves: dict[tuple[str, str], dict[float, float]] = {}
    for row in found.get("tuning", ()):
        for cost in ("step_s", "all_s"):
            curves.setdefault((row["grows"], cost), {})[row[row["grows"]]] = row[cost]
    for row in found.get("serving", ()):
        curves.setdefault((row["grows"], "text_s"), {})[row["count"]] = row["text_s"]
    for row in found.get("registry", ()):
        for cost in row.keys() - {"store", "count"}:
            curves.setdefault((f"versions and domains, {row['store']}", cost), {})[row["count"]] = row[cost]
    return [{"grows": what, "cost": cost, **line(curve)} for (what, cost), curve in sorted(curves.items())]


def line(curve: Mapping[float, float]) -> dict[str, float | None]:
    """Least squares of the relative errors of `first + each * size`.

    `bend` is the size at which both are equal, if that is one of those measured or between them.
    """
    sizes, costs = (np.array(list(values)) for values in (curve.keys(), curve.values()))
    if len(curve) < 3:
        return {"first": None, "each": None, "bend": None, "error": None}
    first, each = nnls(np.stack([1 / costs, sizes / costs], axis=1), np.ones(len(costs)))[0]
    error = float(np.max(np.abs((first + each * sizes) / costs - 1)))
    bend = float(first / each) if first < each * max(sizes) else None
    return {"first": float(first), "each": float(each), "bend": bend, "error": error}


def registries(original: PromptArtifact, folder: Path, counts: Sequence[int]) -> Iterator[dict[str, Any]]:
    """A row for each store and number."""
    for count in counts:
        yield {"store": "folder", **operations(original, str(folder / f"registry-{count}"), count)}
    with object_store(folder):
        for count in counts:
            if count <= MOST_ON_S3:
                yield {"store": "s3", **operations(original, f"s3://{BUCKET}/{count}", count)}


def operations(original: PromptArtifact, url: str, count: int) -> dict[str, Any]:
    """Seconds by the clock of each operation on a domain of `count` versions in a registry of as many domains."""
    registry = Registry.open(url)
    filled(registry, original, count)
    domain = name(0)
    made = iter(variant(original, 0, version=number) for number in range(1, 2 + REPEATS))
    ways: dict[str, Callable[[], object]] = {
        "publish": lambda: registry.publish(next(made)),
        "resolve": lambda: registry.resolve(domain),
        "fetch": lambda: registry.fetch(domain, LIVE),
        "rollback": lambda: registry.rollback(domain),
        "versions": lambda: registry.versions(domain),
        "domains": lambda: registry.domains(),
        "one listing": lambda: registry.objects.holds(f"{name(count - 1)}/versions/", _ANYTHING),
    }
    return {"count": count, **{key: round(median_s(way), 5) for key, way in ways.items()}}


def median_s(way: Callable[[], object]) -> float:
    """Seconds by the clock, after a first time."""
    spent = []
    for _ in range(1 + REPEATS):
        began = report.now()
        way()
        spent.append(report.since(began)[0])
    return statistics.median(spent[1:])


def filled(registry: Registry, original: PromptArtifact, count: int) -> None:
    """Give the first domain `count` versions, the last one a whole prompt, and make as many domains of one version."""
    if registry.domains():
        return
    objects = open_objects(registry.url, timeout_s=60)
    small = [f"{name(0)}/versions/v{number:06d}" for number in range(1, count)]
    small += [f"{name(number)}/versions/v000001" for number in range(1, count)]
    objects.together(lambda folder: [objects.create(f"{folder}/{file}", b"{}") for file in written()], small)
    registry.publish(variant(original, 0))


def written() -> Sequence[str]:
    """The files of a version in the order in which they are written."""
    return [CARD, *(file for file in FILES if file not in (CARD, MANIFEST)), MANIFEST]


if __name__ == "__main__":
    main()
