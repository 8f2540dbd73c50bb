"""Metrics of the service: their values, at `/metrics` and Ray's Prometheus endpoint, and in the dashboard's queries."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
import ray.serve
from prometheus_client.parser import text_string_to_metric_families

from lightner.jobs.on_ray import local
from lightner.service import metrics
from lightner.service.messages import Ask, Reason
from lightner.service.metrics import ANSWERED, METRICS, OTHER_DOMAINS, UNKNOWN_DOMAIN, MetricsObserver
from lightner.service.observers import Silent
from lightner.service.prometheus import Figures, exposition
from lightner.service.replica import BackboneReplica
from lightner.tagger import Row
from tests.support.deployed import Sample, Service, read_samples, wait_until
from tests.support.paths import CHECKOUT
from tests.support.serving import DOMAINS, TEXTS, connect, prepare

DASHBOARD = CHECKOUT / "cluster" / "monitoring" / "grafana.json"
SERIES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


class Notes(Silent[Row]):
    """Records the replica's events."""

    def __init__(self) -> None:
        self.answers: list[tuple[str | None, Reason | None, int]] = []

    def on_answer(self, domain: str | None, reason: Reason | None, texts: int, seconds: float) -> None:
        assert seconds > 0
        self.answers.append((domain, reason, texts))


def test_only_published_domains_are_reported_by_name(tmp_path: Path) -> None:
    place, notes = prepare(tmp_path), Notes()
    damaged = place.publish("damaged")
    place.corrupt("damaged", damaged)

    async def ask() -> None:
        replica = BackboneReplica(place.settings, lambda: notes)
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
    counts = MetricsObserver(Figures({}))
    assert [counts.label(name) for name in ("a", "b", "c", "a", None)] == ["a", "b", OTHER_DOMAINS, "a", UNKNOWN_DOMAIN]


def told(text: str) -> dict[str, float]:
    """Figures of Prometheus' text as `name{label="value",...}`, as its own parser reads them."""
    return {
        f"{each.name}{{{','.join(f'{label}={value}' for label, value in sorted(each.labels.items()))}}}": each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


def test_the_route_reports_the_requests(tmp_path: Path) -> None:
    async def ask() -> httpx.Response:
        replica = BackboneReplica(prepare(tmp_path).settings, lambda: MetricsObserver(Figures({"replica": "one"})))
        async with connect(replica) as client:
            before = told((await client.get("/metrics")).text)
            assert before["lightner_queue_rows{replica=one}"] == 0
            assert not [name for name in before if "domain=" in name]
            for domain in ("movies", "movies", "made-up"):
                await client.post(f"/v1/domains/{domain}/entities", json={"texts": ["mary", "Ada"]})
            return await client.get("/metrics")

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    found = told(answer.text)
    assert found["lightner_requests_total{domain=movies,outcome=answered,replica=one}"] == 2
    assert found["lightner_requests_total{domain=(unknown),outcome=unknown-prompt,replica=one}"] == 1
    assert found["lightner_texts_total{domain=movies,replica=one}"] == 4
    assert found["lightner_batch_rows_sum{replica=one}"] == 4
    assert found["lightner_prompt_lookups_total{replica=one,result=hit}"] == 1
    assert found["lightner_request_seconds_bucket{le=+Inf,outcome=answered,replica=one}"] == 2
    assert "made-up" not in answer.text


def test_metrics_of_several_replicas_become_one_text() -> None:
    replicas = [MetricsObserver(Figures({"replica": name})) for name in ("one", 'two "\n"')]
    for waiting, counts in enumerate(replicas):
        counts.on_queue(waiting)
        counts.on_batch([], 0.25, 0.125)
    text = exposition(family for counts in replicas for family in counts.families())
    helps = Counter(line.split()[2] for line in text.splitlines() if line.startswith("# HELP"))
    suffixes = {"counter": "_total", "gauge": "", "histogram": ""}
    assert helps == dict.fromkeys((f"{name}{suffixes[metric.kind]}" for name, metric in METRICS.items()), 1)
    found = told(text)
    assert found['lightner_queue_rows{replica=two "\n"}'] - found["lightner_queue_rows{replica=one}"] == 1
    bounds = METRICS["lightner_batch_padding_share"].bounds
    shares = [found[f"lightner_batch_padding_share_bucket{{le={bound},replica=one}}"] for bound in bounds]
    assert shares == [float(bound >= 0.25) for bound in bounds]
    assert exposition([]) == ""


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


def samples_of(service: Service) -> list[Sample]:
    """Samples of Ray's endpoint, without those of our replicas that have stopped."""
    (node,) = ray.nodes()
    text = httpx.get(f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics", timeout=30).text
    replicas = {each["replica_id"] for each in service.application()["deployments"]["Backbone"]["replicas"]}
    found = list(read_samples(text))
    return [
        each for each in found if not each.name.startswith("ray_lightner_") or each.labels.get("replica") in replicas
    ]


@pytest.mark.ray
def test_requests_appear_at_rays_metrics_endpoint(
    local_ray: local.Head, tmp_path_factory: pytest.TempPathFactory
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
        answer = service.http.get("/metrics")
        wait_until(arrived, lambda: sorted({each.name for each in found}))
    finally:
        service.delete()
    for domain in DOMAINS:
        assert total("lightner_requests_total", domain=domain, outcome=ANSWERED) == 1
        assert total("lightner_texts_total", domain=domain) == len(TEXTS)
    assert total("lightner_request_seconds_count", outcome=ANSWERED) == len(DOMAINS)
    assert total("lightner_prompt_loads_total", source="store") == len(DOMAINS)
    assert total("lightner_prompts_resident", tier="device") == len(DOMAINS)
    assert total("lightner_queue_rows") == 0
    assert not [each for each in found if "made-up" in str(each.labels)]
    ours = [each for each in found if each.name.startswith("ray_lightner_")]
    assert {each.labels["application"] for each in ours} == {"lightner"}
    known = {f"ray_{name}{suffix}" for name, metric in METRICS.items() for suffix in SERIES[metric.kind]}
    assert {each.name for each in ours} <= known
    # Ray leaves out metrics without events, adds its own labels, and estimates sums from the buckets' middles.
    counted = [each for each in read_samples(answer.text) if each.value and not each.name.endswith("_sum")]
    assert len(counted) > 50
    for each in counted:
        same = [other for other in ours if other.name == f"ray_{each.name}"]
        those = [other.value for other in same if each.labels.items() <= other.labels.items()]
        assert those == [each.value], each


def test_the_dashboard_is_one_of_grafana() -> None:
    board: dict[str, Any] = json.loads(DASHBOARD.read_text())
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"]) > 10
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]}
    assert len(places) == len(board["panels"])
