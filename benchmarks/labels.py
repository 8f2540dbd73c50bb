"""Cost of labels without a labelled sentence, and of a flood of new label sets for the tuned domains next to it.

    OMP_NUM_THREADS=1 python -m benchmarks.labels --folder FOLDER --out FILE.json

`cost`: seconds to read 1 to 150 labels, and for a text alone and a batch of 32 with their prompt.

`load`: texts of tuned domains arrive at random at a replica: by themselves (`alone`), with as many texts of other
domains (`domains`), and with as many that bring one of 1,000 label sets by Zipf's law (`labels`), some of which fit
into memory. Latencies are those of the tuned domains only. The ways take turns, with the same times of arrival.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.places import name, texts, tuned, variant
from benchmarks.serving import ZIPF, by_zipf
from lightner.labels import label_set
from lightner.model import backbone
from lightner.model.backbone import Backbone
from lightner.model.untuned import label_prompt
from lightner.service.messages import Answer, Ask, Reason, Refusal
from lightner.service.observers import LABELS, Silent
from lightner.service.replica import BackboneReplica
from lightner.service.settings import Settings
from lightner.store.artifact import PromptArtifact
from lightner.store.loading import prompt_for
from lightner.store.registry import Registry
from lightner.tagger import BATCH_SIZE, Row, finish, infer, prepare
from lightner.types import LabelSet
from lightner.words import split_words

COUNTS = (1, 5, 20, 50, 150)
FEWEST, MOST = 3, 8
"""Labels of a set in the load test."""
_KINDS = (
    "local", "foreign", "daily", "yearly", "first", "second", "public", "private", "large", "small", "early", "late",
    "main", "former", "official",
)  # fmt: skip
_THINGS = (
    "person", "city", "company", "dish", "ingredient", "price", "time", "place", "product", "illness", "medicine",
    "animal", "plant", "vehicle", "tool", "book", "song", "film", "event", "award", "law", "language", "school", "team",
    "sport", "river", "mountain", "device", "software", "material",
)  # fmt: skip


def main() -> None:
    """Measure both parts, unless the file has them."""
    parser = report.parser(__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="for the tuned prompt and the registry")
    parser.add_argument("--rounds", type=int, default=9, help="of the cost")
    parser.add_argument("--steps", type=int, default=80, help="for which the domains' prompt is tuned")
    parser.add_argument("--domains", type=int, default=10, help="tuned domains, and as many others")
    parser.add_argument("--sets", type=int, default=1000, help="label sets")
    parser.add_argument("--cached", type=int, default=100, help="label sets that memory has room for")
    parser.add_argument("--rate", type=float, default=5.0, help="texts a second for tuned domains; as many others")
    parser.add_argument("--seconds", type=float, default=60.0, help="of a turn")
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    base = backbone.load()
    parts: dict[str, Callable[[], Any]] = {
        "cost": lambda: [cost(base, count, rounds=options.rounds) for count in COUNTS],
        "load": lambda: asyncio.run(load(tuned(base, options.folder, steps=options.steps), base, options)),
    }
    report.fill(options.out, base, parts, given={"options": vars(options)})


def labels_of(count: int) -> LabelSet:
    """`count` label names of two words each."""
    return label_set([f"{kind} {thing}" for kind, thing in product(_KINDS, _THINGS)][:count])


def cost(base: Backbone, count: int, *, rounds: int) -> dict[str, Any]:
    """Seconds, wall and CPU time: the medians of some rounds after a first one."""
    labels = labels_of(count)
    prompt = label_prompt(base, labels)
    rows = [Row(prompt, tuple(word.text for word in split_words(text))) for text in texts()[:BATCH_SIZE]]

    def tag(those: Sequence[Row]) -> None:
        work = prepare(base, those)
        finish(work, infer(base, work))

    ways: dict[str, Callable[[], object]] = {
        "labels_read": lambda: label_prompt(base, labels),
        "one_text": lambda: tag(rows[:1]),
        f"batch_of_{BATCH_SIZE}": lambda: tag(rows),
    }
    spent: dict[str, list[report.Cost]] = {key: [] for key in ways}
    for turn in range(rounds + 1):
        for key, way in ways.items():
            began = report.now()
            way()
            if turn:
                spent[key].append(report.since(began))
    medians = {
        key: dict(zip(("clock_s", "processor_s"), map(statistics.median, zip(*costs, strict=True)), strict=True))
        for key, costs in spent.items()
    }
    return {"labels": count, "prompt_bytes": prompt.nbytes, **medians}


@dataclass(frozen=True, slots=True)
class Arrival:
    """The time at which a text arrives, and whether it is for a tuned domain."""

    at_s: float
    tuned: bool


class Counted(Silent[Row]):
    """An observer that counts the label sets that were read."""

    def __init__(self) -> None:
        self.read = 0

    def on_load(self, source: str, seconds: float) -> None:
        self.read += source == LABELS


async def load(original: PromptArtifact, base: Backbone, options: argparse.Namespace) -> dict[str, Any]:
    """Latency of the tuned domains in each way, and ratios between the ways turn by turn."""
    registry = Registry.open(str(options.folder / "beside"))
    domains = [name(number) for number in range(2 * options.domains)]
    for number in range(len(registry.domains()), len(domains)):
        registry.publish(variant(original, number))
    sets = label_sets(options.sets)
    room = options.cached * label_prompt(base, sets[0]).nbytes
    asks = {
        "alone": None,
        "domains": lambda chance, text: Ask(chance.choice(domains[options.domains :]), (text,)),
        "labels": lambda chance, text: Ask(None, (text,), labels=sets[by_zipf(chance, len(sets), 1)[0]]),
    }
    counted = {way: Counted() for way in asks}
    replicas = {way: BackboneReplica(Settings(registry=registry.url), lambda way=way: counted[way]) for way in asks}
    for own in replicas.values():
        prompts = {"alias_ttl_s": 3600, "max_label_bytes": room, "preload": domains, "preload_wait_s": 600}
        await own.reconfigure({"prompts": prompts})
    turns = []
    for turn in range(options.turns + 1):
        plan = arrivals(random.Random(turn), rate=options.rate, seconds=options.seconds)
        row = {}
        for way, other in asks.items():
            row[way] = await attend(replicas[way], plan, domains[: options.domains], other, seed=turn)
        turns.append(row)
    read = {way: each.read for way, each in counted.items()}
    return {"prompt_bytes": prompt_for(original, base).nbytes, **summary(turns[1:], read)}


async def attend(
    own: BackboneReplica, plan: Sequence[Arrival], domains: Sequence[str], other: Any, *, seed: int
) -> dict[str, Any]:
    """One turn: seconds that each text of the tuned domains took, and the outcomes of the others."""
    chance, began_s = random.Random(seed), asyncio.get_running_loop().time()
    taken: dict[bool, list[float]] = {True: [], False: []}
    refused = 0

    async def one(arrival: Arrival, ask: Ask) -> None:
        nonlocal refused
        await asyncio.sleep(began_s + arrival.at_s - asyncio.get_running_loop().time())
        asked_s = asyncio.get_running_loop().time()
        [answer] = await own.tag([ask])
        if isinstance(answer, Refusal) and answer.reason is Reason.LABELS_OVERLOADED:
            refused += 1
            return
        assert isinstance(answer, Answer), answer
        taken[arrival.tuned].append(asyncio.get_running_loop().time() - asked_s)

    sentences = texts()
    calls = []
    for number, arrival in enumerate(plan):
        text = sentences[number % len(sentences)]
        if arrival.tuned or other is not None:
            ask = Ask(chance.choice(domains), (text,)) if arrival.tuned else other(chance, text)
            calls.append(one(arrival, ask))
    await asyncio.gather(*calls)
    return {"tuned": taken[True], "others": taken[False], "refused": refused}


def arrivals(chance: random.Random, *, rate: float, seconds: float) -> list[Arrival]:
    """Texts that arrive at random, `rate` per second for tuned domains and as many others."""
    plan = []
    for is_tuned in (True, False):
        at_s = chance.expovariate(rate)
        while at_s < seconds:
            plan.append(Arrival(at_s, is_tuned))
            at_s += chance.expovariate(rate)
    return sorted(plan, key=lambda arrival: arrival.at_s)


def label_sets(count: int) -> list[LabelSet]:
    """Different label sets of `FEWEST` to `MOST` labels."""
    chance, names = random.Random(0), labels_of(len(_KINDS) * len(_THINGS)).names
    found: dict[LabelSet, None] = {}
    while len(found) < count:
        found[label_set(chance.sample(names, chance.randint(FEWEST, MOST)))] = None
    return list(found)


def summary(turns: Sequence[Mapping[str, Mapping[str, Any]]], read: Mapping[str, int]) -> dict[str, Any]:
    """Latencies in milliseconds, and medians of the ratios of the turns' means; `read` label sets in total."""
    found: dict[str, Any] = {"exponent": ZIPF}
    for way in turns[0]:
        taken = sorted(1000 * each for turn in turns for each in turn[way]["tuned"])
        others = [1000 * each for turn in turns for each in turn[way]["others"]]
        found[way] = {
            "texts": len(taken),
            "mean_ms": statistics.mean(taken),
            **{f"p{part}_ms": taken[int(part / 100 * (len(taken) - 1))] for part in (50, 95)},
            "others_mean_ms": statistics.mean(others) if others else None,
            "label_sets_read": read[way],
            "refused": sum(turn[way]["refused"] for turn in turns),
        }
    for against in ("alone", "domains"):
        ratios = [statistics.mean(turn["labels"]["tuned"]) / statistics.mean(turn[against]["tuned"]) for turn in turns]
        found[f"labels against {against}"] = statistics.median(ratios)
    return found


if __name__ == "__main__":
    main()
