"""What the service counts, that it reaches Ray's Prometheus endpoint, and that the dashboard asks for nothing else."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import ray.serve

from lightner.tagger import Row, cut
from lightner.words import split_words
from serve import metrics
from serve.messages import Ask, Reason
from serve.metrics import ANSWERED, METRICS, OTHER_DOMAINS, UNKNOWN_DOMAIN, RayMetrics
from serve.observers import Silent
from serve.replica import Backbone
from tests.conftest import LocalRay
from tests.serving import DOMAINS, TEXTS, prepare
from tests.test_serve_ray import Service, wait_until

DASHBOARD = Path(__file__).resolve().parent.parent / "cluster" / "monitoring" / "grafana.json"
SERIES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


class Notes(Silent[Row]):
    """Of what the replica tells."""

    def __init__(self) -> None:
        self.answers: list[tuple[str | None, Reason | None, int]] = []

    def on_answer(self, domain: str | None, reason: Reason | None, texts: int, seconds: float) -> None:
        assert seconds > 0
        self.answers.append((domain, reason, texts))


def test_only_published_domains_are_told_by_name(tmp_path: Path) -> None:
    place, notes = prepare(tmp_path), Notes()
    damaged = place.publish("damaged")
    place.corrupt("damaged", damaged)

    async def ask() -> None:
        replica = Backbone(place.settings, lambda: notes)
        await replica.tag([Ask("movies", TEXTS), Ask("made-up", ("a",)), Ask("damaged", ("a",)), Ask("made-up", ())])

    asyncio.run(ask())
    assert sorted(notes.answers, key=str) == sorted(
        [
            ("movies", None, len(TEXTS)),
            (None, Reason.UNKNOWN_PROMPT, 1),
            ("damaged", Reason.UNUSABLE_PROMPT, 1),
            (None, Reason.UNKNOWN_PROMPT, 0),
        ],
        key=str,
    )


def test_domain_labels_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MAX_DOMAINS", 2)
    counts = RayMetrics()
    assert [counts.label(name) for name in ("a", "b", "c", "a", None)] == ["a", "b", OTHER_DOMAINS, "a", UNKNOWN_DOMAIN]


def test_the_dashboard_asks_for_metrics_that_exist() -> None:
    ours = {f"ray_{name}{suffix}" for name, metric in METRICS.items() for suffix in SERIES[metric.kind]}
    assert asked_for(DASHBOARD.read_text(), "ray_lightner_") - ours == set()
    unseen = {name for name in METRICS if not any(f"ray_{name}" in each for each in asked_for(DASHBOARD.read_text()))}
    assert unseen == set()


def test_the_dashboard_uses_labels_that_the_metrics_have() -> None:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            for name in asked_for(target["expr"], "ray_lightner_"):
                bare = next(each for each in METRICS if name.startswith(f"ray_{each}"))
                known = {*METRICS[bare].labels, "replica", "application", "le"}
                named = re.findall(r"by \(([^)]*)\)|, (\w+)=", target["expr"])
                used = {label for pair in named for part in pair for label in part.split(", ") if label}
                assert used <= known, f"{panel['title']}: {used - known}"


def asked_for(text: str, prefix: str = "ray_") -> set[str]:
    return set(re.findall(rf"\b{prefix}\w+", text))


@dataclass(frozen=True)
class Sample:
    """A line of the Prometheus text format."""

    name: str
    labels: dict[str, str]
    value: float


def read_samples(text: str) -> Iterator[Sample]:
    for line in text.splitlines():
        if match := re.fullmatch(r"(\w+)\{(.*)\} (\S+)( \d+)?", line):
            labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2]))
            yield Sample(match[1], labels, float(match[3]))


def samples_of(service: Service) -> list[Sample]:
    """What Ray's endpoint says, without what it keeps of replicas of ours that are gone."""
    (node,) = ray.nodes()
    text = httpx.get(f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics", timeout=30).text
    replicas = {each["replica_id"] for each in service.application()["deployments"]["Backbone"]["replicas"]}
    found = list(read_samples(text))
    return [
        each for each in found if not each.name.startswith("ray_lightner_") or each.labels.get("replica") in replicas
    ]


@pytest.mark.ray
def test_what_was_asked_is_found_at_rays_metrics_endpoint(
    local_ray: LocalRay, tmp_path_factory: pytest.TempPathFactory
) -> None:
    service = Service(local_ray, prepare(tmp_path_factory.mktemp("counted")))
    found: list[Sample] = []

    def total(name: str, **labels: str) -> float:
        return sum(each.value for each in found if each.name == f"ray_{name}" and labels.items() <= each.labels.items())

    def arrived() -> bool:
        found[:] = samples_of(service)
        rays = asked_for(DASHBOARD.read_text(), "ray_serve_")
        assert rays
        ours = total("lightner_requests_total", domain=UNKNOWN_DOMAIN, outcome="unknown-prompt") == 2
        return ours and rays <= {each.name for each in found}

    try:
        service.deploy()
        for domain in DOMAINS:
            assert service.ask(domain, *TEXTS).status_code == 200
        assert [service.ask(f"made-up-{number}", "a").status_code for number in range(2)] == [404, 404]
        wait_until(arrived, lambda: sorted({each.name for each in found}))
    finally:
        service.delete()
    for domain in DOMAINS:
        assert total("lightner_requests_total", domain=domain, outcome=ANSWERED) == 1
        assert total("lightner_texts_total", domain=domain) == len(TEXTS)
    assert total("lightner_request_seconds_count", outcome=ANSWERED) == len(DOMAINS)
    assert total("lightner_prompt_loads_total", source="store") == len(DOMAINS)
    assert total("lightner_prompts_resident", tier="device") == len(DOMAINS)
    windows = sum(len(cut(split_words(text))) for text in TEXTS)
    assert total("lightner_batch_rows_sum") == len(DOMAINS) * windows
    assert total("lightner_queue_rows") == 0
    assert not [each for each in found if "made-up" in str(each.labels)]
    ours = [each for each in found if each.name.startswith("ray_lightner_")]
    assert {each.labels["application"] for each in ours} == {"lightner"}
    known = {f"ray_{name}{suffix}" for name, metric in METRICS.items() for suffix in SERIES[metric.kind]}
    assert {each.name for each in ours} <= known


def test_the_dashboard_is_one_of_grafana() -> None:
    board: dict[str, Any] = json.loads(DASHBOARD.read_text())
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"]) > 10
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]}
    assert len(places) == len(board["panels"])
