"""Bytes of prompts, and a simulation of caches and store with many domains on many replicas.

    python -m benchmarks.sizing --out FILE.json

Bytes are those of real prompts and artefacts in the shapes of a backbone, counted, not measured. The simulation draws
requests (a Poisson stream, domains by Zipf's law, replicas at random among those that serve a domain) and keeps a cache
per replica as `lightner/service/prompt_cache.py` does: the least recently used is evicted first, and aliases are
resolved again after their time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch

from benchmarks import report
from lightner.model.prompts import Guidance, Prompt
from lightner.store import artifact
from lightner.store.artifact import PromptArtifact
from lightner.store.card import Card
from lightner.store.loading import artifact_of
from lightner.tuning import rules
from lightner.types import LabelSet, Sentence

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Backbone:
    """The part of a backbone's configuration that a prompt's size depends on."""

    width: int
    encoder_layers: int
    decoder_layers: int
    heads: int


BACKBONES = {
    "embedded": Backbone(384, 6, 2, 12),
    "bart-base": Backbone(768, 6, 6, 12),
    "bart-large": Backbone(1024, 12, 12, 16),
}
CASES = ((100, 1, 1), (100, 10, 10), (1000, 10, 10), (10_000, 100, 100), (10_000, 100, 10), (10_000, 100, 2))
"""Domains, replicas, and the replicas that a domain's requests may go to."""
CACHES_GIB = (1, 4, 16)
FREE = max(rules.PROMPT_LENGTHS)
"""Free attention slots of the longest scanned prompt."""
FEW, MANY = 50, 500
"""Sentences of which a prompt learns fewer and more feed-forward slots."""
LABELS = LabelSet.of([f"label {number}" for number in range(8)])


@dataclass(frozen=True, slots=True)
class Load:
    """The requests to a service, and its number of replicas.

    A domain's requests go to `spread` of the replicas: to all of them if Ray's router chooses, to fewer if domains are
    split over several services.
    """

    domains: int
    replicas: int
    requests_per_s: float
    seconds: float
    cache_bytes: int
    prompt_bytes: int
    spread: int
    alias_ttl_s: float = 5.0
    zipf: float = 1.0
    seed: int = 0


def main(given: Sequence[str] | None = None) -> None:
    """Count, simulate, print and write one JSON file."""
    parser = report.parser(__doc__)
    parser.add_argument("--requests-per-s", type=float, default=20.0, help="of one replica")
    parser.add_argument("--seconds", type=float, default=600.0)
    options = parser.parse_args(given)
    sizes, of_many = (
        {name: prompt_sizes(each, slots=slots_of(sentences)) for name, each in BACKBONES.items()}
        for sentences in (FEW, MANY)
    )
    rows = []
    for domains, replicas, spread in CASES:
        for gib in CACHES_GIB:
            load = Load(
                domains, replicas, options.requests_per_s * replicas, options.seconds, gib * GIB,
                sizes["bart-large"]["device_bytes"], spread,
            )  # fmt: skip
            rows.append({**asdict(load), **simulate(load)})
    found = {"labels": len(LABELS.names), "sizes": sizes, "sizes_of_many_sentences": of_many, "simulation": rows}
    report.print_and_write(found, options.out)


def slots_of(sentences: int) -> int:
    """Feed-forward slots of the longest scanned prompt of so many sentences, by the rules."""
    learned = [Sentence(("word",))] * sentences
    return rules.plan(learned, prompt_length=FREE, learning_rate=rules.LEARNING_RATES[0]).feed_forward_slots


def prompt_sizes(backbone: Backbone, *, slots: int, free: int = FREE) -> dict[str, int]:
    """Bytes of a prompt with one attention slot per label, then `free` ones, and so many feed-forward slots.

    On the device (float32), as an artefact (half precision, with its card), and the number that fits into a GiB.
    """
    guidance = _guidance(backbone, length=free + len(LABELS.names), slots=slots)
    prompt = Prompt(LABELS, guidance, torch.zeros(len(LABELS.names), backbone.width))
    stored = sum(map(len, artifact.to_files(_artifact(guidance, free=free)).values()))
    numbers = sum(tensor.numel() for tensor in guidance.tensors().values())
    return {
        "numbers": numbers,
        "device_bytes": prompt.nbytes,
        "artefact_bytes": stored,
        "prompts_per_gib": GIB // prompt.nbytes,
    }


def simulate(load: Load) -> dict[str, float]:
    """Shares and rates in the second half of the time, when caches are warm.

    `hit_share`: requests that found their prompt on the device. `loads_per_s`: prompts fetched from the store, by all
    replicas; `alias_checks_per_s`: small requests to the store. `resident_max`: the maximum of prompts on a replica.
    """
    caches = [Cache(load.cache_bytes // load.prompt_bytes, load.alias_ttl_s) for _ in range(load.replicas)]
    count = int(load.requests_per_s * load.seconds)
    half = count // 2
    before = {"hits": 0, "loads": 0, "alias_checks": 0}
    for number, (now_s, domain, replica) in enumerate(_requests(load, count)):
        if number == half:
            before = _totals(caches)
        caches[replica].ask(domain, now_s)
    after = _totals(caches)
    warm = {name: after[name] - before[name] for name in after}
    seconds = load.seconds / 2
    return {
        "hit_share": round(warm["hits"] / (count - half), 4),
        "loads_per_s": round(warm["loads"] / seconds, 2),
        "alias_checks_per_s": round(warm["alias_checks"] / seconds, 1),
        "store_mib_per_s": round(warm["loads"] * load.prompt_bytes / 2 / seconds / 2**20, 1),
        "resident_max": max(len(each.resident) for each in caches),
    }


class Cache:
    """One replica's prompts, by domain; `room` of them fit. A lifetime."""

    def __init__(self, room: int, alias_ttl_s: float) -> None:
        self.resident: OrderedDict[int, float] = OrderedDict()
        """Domain -> when its alias has to be asked for again, the least recently used first."""
        self.hits = self.loads = self.alias_checks = 0
        self._room, self._ttl_s = room, alias_ttl_s

    def ask(self, domain: int, now_s: float) -> None:
        """Handle a request for a domain."""
        until_s = self.resident.get(domain)
        if until_s is None:
            self.loads += 1
            self.alias_checks += 1
            self.resident[domain] = now_s + self._ttl_s
        else:
            self.hits += 1
            if now_s >= until_s:
                self.alias_checks += 1
                self.resident[domain] = now_s + self._ttl_s
            self.resident.move_to_end(domain)
        while len(self.resident) > self._room:
            self.resident.popitem(last=False)


def _requests(load: Load, count: int) -> Iterable[tuple[float, int, int]]:
    rng = np.random.default_rng(load.seed)
    weights = 1 / np.arange(1, load.domains + 1) ** load.zipf
    times = np.cumsum(rng.exponential(1 / load.requests_per_s, count))
    domains = rng.choice(load.domains, size=count, p=weights / weights.sum())
    replicas = (domains % load.replicas + rng.integers(load.spread, size=count)) % load.replicas
    return zip(times.tolist(), domains.tolist(), replicas.tolist(), strict=True)


def _totals(caches: Iterable[Cache]) -> dict[str, int]:
    caches = list(caches)
    return {name: sum(getattr(each, name) for each in caches) for name in ("hits", "loads", "alias_checks")}


def _guidance(backbone: Backbone, *, length: int, slots: int) -> Guidance:
    head = backbone.width // backbone.heads
    below, above = backbone.encoder_layers, backbone.decoder_layers
    sites = {"encoder": below, "decoder": above, "cross": above}
    stacks = {"encoder": below, "decoder": above}
    tensors = {}
    for kind in ("key", "value"):
        for site, layers in sites.items():
            tensors[f"{kind}.{site}"] = torch.zeros(layers, 1, backbone.heads, length, head)
        for stack, layers in stacks.items():
            tensors[f"slot_{kind}.{stack}"] = torch.zeros(layers, 1, slots, backbone.width)
    return Guidance.from_tensors(tensors)


def _artifact(guidance: Guidance, *, free: int) -> PromptArtifact:
    card = Card(
        domain="sizing",
        labels=LABELS.names,
        label_words=LABELS.words,
        backbone_name="counted",
        backbone_fingerprint="0" * 64,
        length=guidance.length,
        slots=guidance.slots,
        tuning={"free_slots": free},
        created="2026-01-02T03:04:05+00:00",
    )
    names, width = len(LABELS.names), guidance.slot_key["encoder"].shape[-1]
    shapes = {"weights": (names, 2), "residual": (names, width), "vectors": (names, width)}
    answer_space = {f"verbalizer.{name}": torch.zeros(shape) for name, shape in shapes.items()}
    return artifact_of(card, {**guidance.tensors(), **answer_space})


if __name__ == "__main__":
    main()
