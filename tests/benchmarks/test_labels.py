"""The load test with label sets: arrivals, and the summary of latencies."""

from __future__ import annotations

import random
from typing import Any

import pytest

from benchmarks import labels


def test_label_sets_and_their_labels_are_all_different() -> None:
    sets = labels.label_sets(1000)
    assert len(set(sets)) == 1000
    assert {len(each) for each in sets} == set(range(labels.FEWEST, labels.MOST + 1))
    assert len(labels.labels_of(150)) == 150
    assert sets == labels.label_sets(1000)


def test_texts_of_tuned_domains_and_others_arrive_as_often() -> None:
    plan = labels.arrivals(random.Random(1), rate=50, seconds=10)
    assert [each.at_s for each in plan] == sorted(each.at_s for each in plan)
    assert sum(each.tuned for each in plan) == pytest.approx(500, rel=0.2)
    assert sum(not each.tuned for each in plan) == pytest.approx(500, rel=0.2)


def test_ways_are_compared_turn_by_turn() -> None:
    def turn(alone: float, domains: float, by_labels: float) -> dict[str, Any]:
        ways = {"alone": alone, "domains": domains, "labels": by_labels}
        return {way: {"tuned": [taken] * 3, "others": [0.5], "refused": 1} for way, taken in ways.items()}

    found = labels.summary([turn(1, 2, 3), turn(2, 2, 5), turn(4, 4, 4)], {"alone": 0, "domains": 0, "labels": 7})
    assert (found["labels against alone"], found["labels against domains"]) == (2.5, 1.5)
    assert found["labels"]["mean_ms"] == pytest.approx(4000)
    assert (found["labels"]["label_sets_read"], found["labels"]["refused"], found["labels"]["texts"]) == (7, 3, 9)
