"""Requests go where their prompt is, as long as that is not far busier."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from serve.messages import HELD_DOMAINS
from serve.routing import SLACK, ranked
from tests.conftest import LocalRay
from tests.serving import DOMAINS as PUBLISHED
from tests.serving import TEXTS, entities_of, prepare
from tests.test_serve_metrics import read_samples
from tests.test_serve_ray import Service


@dataclass(frozen=True)
class Busy:
    """A replica and how many requests it has."""

    replica_id: str
    queue: int
    routing_stats: Mapping[str, Any]


def busy(name: str, queue: int, *domains: str) -> Busy:
    return Busy(name, queue, {HELD_DOMAINS: domains})


def names(groups: list[list[Busy]]) -> list[set[str]]:
    return [{each.replica_id for each in group} for group in groups]


def test_a_replica_with_the_prompt_comes_first_and_any_other_after_it() -> None:
    replicas = [busy("a", 0), busy("b", SLACK, "movies", "recipes")]
    assert names(ranked(replicas, "movies", lambda each: each.queue)) == [{"b"}, {"a", "b"}]


def test_a_far_busier_one_does_not() -> None:
    replicas = [busy("a", 0), busy("b", SLACK + 1, "movies")]
    assert names(ranked(replicas, "movies", lambda each: each.queue)) == [{"a", "b"}]


@pytest.mark.parametrize("domain", ["", "tickets"])
def test_without_a_domain_or_a_holder_two_by_chance(domain: str) -> None:
    replicas = [busy(name, 0, "movies") for name in "abcd"]
    groups = [ranked(replicas, domain, lambda each: each.queue) for _ in range(200)]
    assert {len(group[0]) for group in groups} == {2}
    assert set().union(*(names(group)[0] for group in groups)) == set("abcd")


def test_a_replica_that_has_not_reported_yet_and_none_at_all() -> None:
    assert names(ranked([Busy("a", 0, {})], "movies", lambda each: each.queue)) == [{"a"}]
    assert ranked([], "movies", lambda each: each.queue) == []


@pytest.mark.ray
def test_of_two_replicas_the_one_that_has_the_prompt_is_asked(
    local_ray: LocalRay, tmp_path_factory: pytest.TempPathFactory
) -> None:
    service = Service(local_ray, prepare(tmp_path_factory.mktemp("routed")))
    (application,) = service.config["applications"]
    application["deployments"][0]["num_replicas"] = 2
    asked = 20
    try:
        service.deploy()
        for domain in PUBLISHED:
            assert service.ask(domain, TEXTS[0]).status_code == 200
        time.sleep(5)
        for domain in PUBLISHED:
            expected = entities_of(service.place.offline(domain, TEXTS[0]))
            for _ in range(asked):
                answer = service.http.post(
                    f"/v1/domains/{domain}/entities",
                    json={"texts": [TEXTS[0]]},
                    headers={"serve_multiplexed_model_id": domain},
                )
                assert answer.json()["results"][0]["entities"] == expected
        assert sorted(answers(service).values()) == [1 + asked] * len(PUBLISHED)
    finally:
        service.delete()


def answers(service: Service) -> dict[tuple[str, str], float]:
    """Answered texts by domain and replica, of both replicas."""
    samples = list(read_samples(service.http.get("/metrics").text))
    assert len({each.labels["replica"] for each in samples}) == 2
    return {
        (each.labels["domain"], each.labels["replica"]): each.value
        for each in samples
        if each.name == "lightner_texts_total"
    }
