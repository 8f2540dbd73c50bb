"""A domain made from its labels is tuned like any other: its untuned prompt is what the gate compares with."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lightner.cli import main
from lightner.jobs.on_ray import local
from lightner.model import backbone
from lightner.store.artifact import PromptArtifact
from lightner.store.loading import prompt_for
from lightner.store.registry import Registry
from lightner.tagger import tag_texts
from tests.support.jobs import words
from tests.support.paths import CHECKOUT
from tests.support.serving import SCORE_TOLERANCE

TEXT = "Ana saw the red house"


@pytest.mark.ray
def test_tuning_makes_the_second_version_through_the_gate(head: local.Head, place: Path) -> None:
    where = ["--registry", str(place / "registry"), "--backbone", str(place / "tiny")]
    assert main(["create", "begun", "--labels", "person, building", *where]) == 0
    registry = Registry.open(str(place / "registry"))
    command = [sys.executable, *words(place, "begun")]
    environment = {**local.environment(), "RAY_ADDRESS": head.address}
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    compared = r"^gate: f1 [\d.]+ against [\d.]+ of the live version on 20 sentences from which neither learned"
    assert re.search(compared, done.stdout, re.MULTILINE), done.stdout
    assert registry.versions("begun") == ("v000001", "v000002")
    aliases = registry.aliases("begun")
    assert "v000002" in aliases.values()
    _, tuned = registry.fetch("begun", "v000002")
    assert not tuned.card.untuned
    if aliases["live"] == "v000002":
        assert registry.rollback("begun") == "v000001"
    _, untuned = registry.fetch("begun")
    assert untuned.card.untuned
    base = backbone.load(str(place / "tiny"))
    pairs = [(prompt_for(each, base), TEXT) for each in (untuned, tuned)]
    alone = [tag_texts(base, [pair])[0].entities for pair in pairs]
    mixed = [tagged.entities for tagged in tag_texts(base, pairs)]
    assert [[e.text for e in each] for each in mixed] == [[e.text for e in each] for each in alone]
    scores = [each.score for entities in alone for each in entities]
    assert [each.score for entities in mixed for each in entities] == pytest.approx(scores, abs=SCORE_TOLERANCE)
    assert_calibrated(place, tuned)


def assert_calibrated(place: Path, tuned: PromptArtifact) -> None:
    """Its card has what was fitted on what its folds found."""
    metrics: Any = tuned.card.metrics
    found = metrics["calibration"]
    assert tuned.card.calibration.temperature == found["temperature"] != 1.0
    assert set(found["thresholds"]) <= {"building", "person"}
    assert sum(row["count"] for row in found["reliability"]["before"]) == found["entities"] > 0
    beside = place / "registry" / "begun" / "versions" / "v000002"
    assert (beside / "calibration.png").read_bytes().startswith(b"\x89PNG")
    assert "## Calibration" in (beside / "README.md").read_text(encoding="utf-8")
