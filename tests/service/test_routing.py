"""Requests go to a replica that has their prompt, unless it is far busier."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from lightner.jobs.on_ray import local
from lightner.labels import label_set
from lightner.service.messages import HELD_DOMAINS
from lightner.service.routing import SLACK, label_place, ranked
from tests.support.deployed import Service, read_samples
from tests.support.serving import TEXTS, entities_of, prepare

DOMAINS, ASKED = 3, 20


@dataclass(frozen=True)
class Busy:
    """A replica and the number of its requests."""

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


def test_a_label_set_has_one_place_as_long_as_that_is_there_and_not_far_busier() -> None:
    replicas = [busy(name, 0) for name in "abcd"]
    first: dict[str, str] = {}
    for number in range(100):
        place = label_place(label_set([f"label {number}"]))
        groups = names(ranked(replicas, place, lambda each: each.queue))
        assert len(groups[1]) == 2
        [first[place]] = groups[0]
    assert set(first.values()) == set("abcd")
    for place, own in first.items():
        assert names(ranked(replicas[::-1], place, lambda each: each.queue))[0] == {own}
        others = [each for each in replicas if each.replica_id != own]
        assert names(ranked(others, place, lambda each: each.queue))[0] != {own}
        crowded = [*others, busy(own, SLACK + 1)]
        assert len(ranked(crowded, place, lambda each: each.queue)) == 1


def test_without_labels_there_is_no_place() -> None:
    assert label_place(None) == ""


def test_a_replica_that_has_not_reported_yet_and_none_at_all() -> None:
    assert names(ranked([Busy("a", 0, {})], "movies", lambda each: each.queue)) == [{"a"}]
    assert ranked([], "movies", lambda each: each.queue) == []


@pytest.mark.ray
def test_requests_go_to_the_one_of_two_replicas_that_has_the_prompt(
    local_ray: local.Head, tmp_path_factory: pytest.TempPathFactory
) -> None:
    service = Service(local_ray, prepare(tmp_path_factory.mktemp("routed")))
    (application,) = service.config["applications"]
    application["deployments"][0]["num_replicas"] = 2
    try:
        service.deploy()
        # On a busy machine the router may learn late which replica has which prompt.
        tries = (answers_after(service, pause_s) for pause_s in (5, 10, 20, 40))
        assert any(found == [1 + ASKED] * DOMAINS for found in tries)
    finally:
        service.delete()


def answers_after(service: Service, pause_s: float) -> list[float]:
    """Answers by domain and replica, with one request for each new domain, and many after a pause."""
    seeds = {f"asked-after-{pause_s}-{seed}": seed for seed in range(1, 1 + DOMAINS)}
    for domain, seed in seeds.items():
        service.place.publish(domain, seed)
        assert service.ask(domain, TEXTS[0]).status_code == 200
    time.sleep(pause_s)
    for domain, seed in seeds.items():
        expected = entities_of(service.place.offline(domain, TEXTS[0], seed))
        for _ in range(ASKED):
            assert service.ask(domain, TEXTS[0]).json()["results"][0]["entities"] == expected
    return [count for (domain, _), count in answers(service).items() if domain in seeds]


def answers(service: Service) -> dict[tuple[str, str], float]:
    """Answered texts by domain and replica, of both replicas."""
    samples = list(read_samples(service.http.get("/metrics").text))
    assert len({each.labels["replica"] for each in samples}) == 2
    return {
        (each.labels["domain"], each.labels["replica"]): each.value
        for each in samples
        if each.name == "lightner_texts_total"
    }
