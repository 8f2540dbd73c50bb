"""`--from auto`: the published prompts that are tried; on a real Ray the one that helps is found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lightner.data.formats import read
from lightner.jobs import publish, sources
from lightner.jobs.on_ray import local
from lightner.model import backbone
from lightner.store.artifact import PromptArtifact
from lightner.store.card import JSON
from lightner.store.lineage import Measured, traces
from lightner.store.registry import Registry
from lightner.store.untuned import untuned_artifact
from lightner.tuning import rules
from lightner.tuning.training import fit, folded_tensors
from lightner.types import InputError, LabelSet, Sentence, Span
from tests.support.jobs import start, words
from tests.support.tiny import tiny_artifact, tiny_backbone

BASE = tiny_backbone()
LABELS = LabelSet.of(["person", "building", "tool"])
MINE = (Sentence(("ada", "lives", "in", "rome"), (Span(0, 1, "person"),)),)
THEIRS = (Sentence(("emil", "likes", "soup"), (Span(0, 1, "person"),)),)


def published(
    registry: Registry,
    domain: str,
    *labels: str,
    learned: Sequence[Sentence] = THEIRS,
    count: int = 10,
    length: int = 5,
    seed: int = 0,
) -> None:
    made = tiny_artifact(tiny_backbone(seed), domain, labels=LabelSet.of(labels), length=length)
    data: Mapping[str, JSON] = {"sentences": count, **traces(learned, Measured((), ()))}
    registry.publish(PromptArtifact(replace(made.card, data=data), made.tensors))


def likely(registry: Registry) -> list[str]:
    found = sources.likely(registry, BASE, domain="mine", labels=LABELS, sentences=MINE)
    return [source.reference for source in found]


def test_sources_with_most_labels_in_common_are_tried_then_those_that_learned_from_most(tmp_path: Path) -> None:
    registry = Registry.open(str(tmp_path))
    assert likely(registry) == []
    published(registry, "none-shared", "harbour", count=1000)
    published(registry, "one-small", "person", count=10)
    assert likely(registry) == ["one-small@v000001", "none-shared@v000001"]
    published(registry, "one-large", "tool", "harbour", count=20)
    published(registry, "two", "person", "tool")
    assert likely(registry) == ["two@v000001", "one-large@v000001"]
    published(registry, "two", "person", "tool")
    assert likely(registry) == ["two@v000002", "one-large@v000001"]


def test_a_prompt_that_has_learned_nothing_is_not_a_source(tmp_path: Path) -> None:
    registry = Registry.open(str(tmp_path))
    registry.create(untuned_artifact("begun", LABELS, BASE))
    published(registry, "tuned", "harbour")
    assert likely(registry) == ["tuned@v000001"]
    with pytest.raises(InputError, match="--from begun: found a prompt made from label names alone, expected one that"):
        sources.find(registry, "begun", BASE, sentences=MINE)


def test_prompts_that_would_leak_or_do_not_fit_are_not_sources(tmp_path: Path) -> None:
    registry = Registry.open(str(tmp_path))
    published(registry, "mine", "person")
    published(registry, "same-sentences", "person", learned=[*THEIRS, Sentence(MINE[0].words, ())])
    published(registry, "other-backbone", "person", seed=1)
    published(registry, "too-short", "person", "tool", length=1)
    untold = tiny_artifact(BASE, "untold")
    registry.publish(untold)
    published(registry, "damaged", "person")
    tmp_path.joinpath("damaged/versions/v000001/prompt.safetensors").write_bytes(b"")
    assert likely(registry) == []


def test_a_named_source_that_learned_from_measured_sentences_is_warned_of(tmp_path: Path) -> None:
    registry = Registry.open(str(tmp_path))
    published(registry, "new", "person")
    published(registry, "half", "person", learned=MINE)
    found = [None, *(sources.find(registry, name, BASE, sentences=(*MINE, *THEIRS)) for name in ("new", "half"))]
    new, half = sources.warnings(found, measured=2)
    assert new.startswith("new@v000001 has learned, or may have, from 1 of the 2 sentences")
    assert half.startswith("half@v000001 has learned, or may have, from 1 of the 2 sentences")
    assert sources.warnings([sources.find(registry, "new", BASE, sentences=MINE)], measured=1) == ()


@pytest.mark.ray
def test_a_source_that_knows_the_task_wins_the_scan(local_ray: local.Head, place: Path, tmp_path: Path) -> None:
    base = backbone.load(str(place / "tiny"))
    registry = Registry.open(str(tmp_path / "registry"))
    published(registry, "random", "person", "building", count=99)
    labels = LabelSet.of(["building", "person"])
    barns = [replace(each, words=(*each.words[:3], "blue", each.words[4])) for each in read(place / "train.conll")]
    plan = rules.plan(barns, prompt_length=4, learning_rate=3e-2)
    tensors = folded_tensors(fit(base, labels, barns, (), replace(plan, steps=200, dropout=0.0)))
    data: Mapping[str, JSON] = {"sentences": 20, **traces(barns, Measured((), ()))}
    registry.publish(publish.bare("barns", base, labels, tensors, sentences=barns, data=data))

    log = tmp_path / "log"
    arguments = words(place, "picked", "--from", "auto", "--registry", str(tmp_path / "registry"))
    assert start(local_ray, *arguments, log=log).wait(timeout=500) == 0, log.read_text()
    assert "starting from label words alone or random@v000001 or barns@v000001" in log.read_text()
    card = registry.fetch("picked")[1].card
    tuning: Any = card.tuning
    tried = {row.get("started_from"): row["f1"] for row in tuning["scan"]}
    assert set(tried) == {None, "random@v000001", "barns@v000001"}
    assert tried["barns@v000001"] > max(tried[None], tried["random@v000001"]), json.dumps(tuning["scan"])
    assert tuning["started_from"] == "barns@v000001"
    assert (tuning["prompt_length"], card.length) == (4, 6)
