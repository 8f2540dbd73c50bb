"""The benchmark of growth: what it makes is as large as it says, and its operations work."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from benchmarks import growth
from benchmarks.labels import labels_of
from benchmarks.places import name
from lightner.model import backbone
from lightner.store.registry import Registry
from tests.support.tiny import tiny_artifact, tiny_backbone


def test_sentences_are_as_many_and_as_long_as_asked_for() -> None:
    labels = labels_of(3)
    made = growth.sentences_of(labels, 40, 12)
    assert len({sentence.words for sentence in made}) == 40
    assert {len(sentence.words) for sentence in made} == {12}
    assert {span.label for sentence in made for span in sentence.spans} == {*labels.names}


def test_a_line_says_where_what_is_added_is_as_much_as_what_it_began_with() -> None:
    found = growth.line({size: 2 + 0.5 * size for size in (1, 10, 100)})
    assert found == pytest.approx({"first": 2, "each": 0.5, "bend": 4, "error": 0}, abs=1e-6)
    assert growth.line({1: 3.0, 10: 3.0, 100: 3.0})["bend"] is None
    assert growth.line({1: 3.0, 10: 4.0})["first"] is None


def test_every_cost_of_every_part_has_a_line() -> None:
    tuning = [{"grows": "words", "words": size, "step_s": size, "all_s": 9 * size} for size in (1, 2, 4)]
    served = [{"grows": "domains", "count": size, "text_s": 1.0} for size in (1, 2, 4)]
    kept = [{"store": "s3", "count": size, "fetch": 1.0 + size} for size in (1, 2, 4)]
    found = growth.fits({"tuning": tuning, "serving": served, "registry": kept})
    assert [(row["grows"], row["cost"]) for row in found] == [
        ("domains", "text_s"), ("versions and domains, s3", "fetch"), ("words", "all_s"), ("words", "step_s"),
    ]  # fmt: skip


def test_replicas_are_asked_for_more_domains_and_label_sets_than_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tiny_backbone()
    monkeypatch.setattr(growth, "ROOM", 2)
    monkeypatch.setattr(growth, "REQUESTS", 12)
    monkeypatch.setattr(growth, "TURNS", 1)
    monkeypatch.setattr(backbone, "load", lambda *_, **__: base)
    rows = list(growth.serving(base, tiny_artifact(base, name(0)), tmp_path, [1, 4]))
    assert [(row["grows"], row["count"]) for row in rows] == list(product(("domains", "label sets"), (1, 4)))
    assert all(row["text_s"] > 0 for row in rows)


def test_a_registry_is_filled_and_its_operations_are_timed(tmp_path: Path) -> None:
    base = tiny_backbone()
    row = growth.operations(tiny_artifact(base, name(0)), str(tmp_path), 3)
    assert row.keys() == {"count", "publish", "resolve", "fetch", "rollback", "versions", "domains", "one listing"}
    registry = Registry.open(str(tmp_path))
    assert len(registry.domains()) == 3
    assert len(registry.versions(name(0))) == 3 + 1 + growth.REPEATS


def test_a_step_is_timed_and_the_rules_say_how_many_there_are() -> None:
    row = growth.step_cost(tiny_backbone(), sentences=10, labels=2, words=10)
    assert (row["steps"], row["batch_size"]) == (120, 4)
    assert row["all_s"] == row["step_s"] * 120 > 0
