"""The benchmark of growth: what it makes is as large as it says, and its operations work."""

from __future__ import annotations

from pathlib import Path

from benchmarks import growth
from benchmarks.labels import labels_of
from benchmarks.places import name
from lightner.store.registry import Registry
from tests.support.tiny import tiny_artifact, tiny_backbone


def test_sentences_are_as_many_and_as_long_as_asked_for() -> None:
    labels = labels_of(3)
    made = growth.sentences_of(labels, 40, 12)
    assert len({sentence.words for sentence in made}) == 40
    assert {len(sentence.words) for sentence in made} == {12}
    assert {span.label for sentence in made for span in sentence.spans} == {*labels.names}


def test_a_registry_is_filled_and_its_operations_are_timed(tmp_path: Path) -> None:
    base = tiny_backbone()
    row = growth.operations(tiny_artifact(base, name(0)), str(tmp_path), 3)
    assert row.keys() == {"count", "publish", "resolve", "fetch", "rollback", "versions", "domains"}
    registry = Registry.open(str(tmp_path))
    assert len(registry.domains()) == 3
    assert len(registry.versions(name(0))) == 3 + 1 + growth.REPEATS


def test_a_step_is_timed_and_the_rules_say_how_many_there_are() -> None:
    row = growth.step_cost(tiny_backbone(), sentences=10, labels=2, words=10)
    assert (row["steps"], row["batch_size"]) == (120, 4)
    assert row["all_s"] == row["step_s"] * 120 > 0
