"""How cost grows: tuning with sentences, labels and the length of texts; the registry with versions and domains.

    OMP_NUM_THREADS=1 python -m benchmarks.growth --folder FOLDER --out FILE.json [--parts tuning registry]

`tuning`: seconds of a step, medians, and by them of all steps that the rules give, with sentences made of the words of
examples/recipes. `registry`: seconds of its operations, medians, with so many versions of a domain and so many domains,
in a folder and on a local S3 server. All versions but those that the operations make are as small as can be.
"""

from __future__ import annotations

import json
import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.labels import labels_of
from benchmarks.places import BUCKET, name, object_store, tuned, variant
from lightner.data.formats import read
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.store.artifact import CARD, FILES, MANIFEST, PromptArtifact
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
STEPS, REPEATS = 12, 5


def main() -> None:
    """Measure the parts; write after each row."""
    parser = report.parser(__doc__, must_write=True)
    parser.add_argument("--folder", type=Path, required=True, help="for the tuned prompt and the registries")
    parser.add_argument("--parts", nargs="+", choices=("tuning", "registry"), default=["tuning", "registry"])
    parser.add_argument("--counts", nargs="+", type=int, default=COUNTS, help="versions and domains of the registry")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    base = backbone.load()
    found: dict[str, Any] = report.circumstances(base)
    parts: dict[str, Callable[[], Iterator[Mapping[str, Any]]]] = {
        "tuning": lambda: tuning(base),
        "registry": lambda: registries(tuned(base, options.folder, steps=8), options.folder, options.counts),
    }
    for part in options.parts:
        found[part] = []
        for row in parts[part]():
            found[part].append(row)
            print(json.dumps(row), flush=True)
            report.write(found, options.out)


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
