"""The benchmark of a step's cost, on small shapes: it measures what it states."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import step_cost
from lightner.model import batching
from tests.support.paths import CHECKOUT


@pytest.fixture(autouse=True)
def from_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))


def test_every_variant_is_timed_and_its_memory_measured_apart(tmp_path: Path) -> None:
    step_cost.main(["--width=16", "--layers=1", "--steps=2", "--warm-up=1", f"--out={tmp_path / 'cost.json'}"])
    found = json.loads((tmp_path / "cost.json").read_text())
    rows = found["rows"]
    assert set(rows) == set(step_cost.VARIANTS)
    for row in rows.values():
        assert len(row["steps_cpu_s"]) == 2
        assert row["step_s"] > 0
        assert row["extra_peak_mib"] > 0
    assert found["prompt_against"]["full"]["step_s"] == pytest.approx(
        rows["prompt"]["step_s"] / rows["full"]["step_s"], abs=1e-3
    )


def test_variants_learn_what_they_say_in_sentences_of_32_sub_words() -> None:
    base = step_cost.random_backbone(width=16, layers=1, seed=0)
    vocabulary = 50265 * 16
    learned = {
        name: next(step_cost.steps_of(name, step_cost._copy(base), steps=1, seed=0)) for name in step_cost.VARIANTS
    }
    assert learned["full"] == sum(p.numel() for p in base.model.parameters())
    assert learned["full_but_embedding"] == learned["full"] - vocabulary
    assert 0 < learned["prompt"] < learned["full_but_embedding"]
    words = [sentence.words for sentence in step_cost.sentences(0)]
    assert {len(example.pieces) for example in batching.encode(base.tokenizer, words)} == {32}


def test_steps_change_only_what_learns() -> None:
    base = step_cost.random_backbone(width=16, layers=1, seed=0)
    for name in step_cost.VARIANTS:
        own = step_cost._copy(base)
        assert len(list(step_cost.steps_of(name, own, steps=2, seed=0))) == 3
        changed = {
            key for key, tensor in own.model.state_dict().items() if not tensor.equal(base.model.state_dict()[key])
        }
        assert bool(changed) == (name != "prompt")
        assert ("shared.weight" in changed) == (name == "full")
