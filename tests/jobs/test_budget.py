"""The scan's budget on a real Ray: the result so far is published, and marked as cut short."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lightner.jobs.on_ray import local
from lightner.jobs.publish import Standing
from lightner.store.artifact import PromptArtifact
from lightner.store.registry import Registry
from tests.support.jobs import start, words
from tests.support.tiny import tiny_artifact, tiny_backbone


@pytest.mark.ray
def test_a_scan_out_of_time_publishes_the_trial_that_came_furthest(
    local_ray: local.Head, place: Path, tmp_path: Path
) -> None:
    (place / "endless.yaml").write_text("{steps: 60000, rounds: 6000, batch_size: 8, warm_up_steps: 2}")
    log = tmp_path / "log"
    more = ["--budget", "0.01", "--rates", "0.01", "0.03"]
    process = start(local_ray, *words(place, "late", *more, pin="endless.yaml"), log=log)
    assert process.wait(timeout=900) == 0, log.read_text()
    assert re.search(r"^scan .* round 2 of \d+ ", log.read_text(), re.MULTILINE), "not before one is in its third round"
    assert "the budget ran out: 0 of 2 trials finished" in log.read_text()
    assert "(cut short)" in log.read_text()
    assert "published late v000001" in log.read_text()
    told = dict(re.findall(r"^scan .*\] length-2-rate-(\S+) round (\d+) of", log.read_text(), re.MULTILINE))
    tuning: Any = Registry.open(str(place / "registry")).fetch("late")[1].card.tuning
    assert tuning["scan_cut_short"]
    assert all(row["cut_short"] for row in tuning["scan"])
    kept = {str(row["learning_rate"]): str(row["rounds"]) for row in tuning["scan"]}
    assert kept == told, "each round that was told is kept"
    assert tuning["stopped_after_round"] == max(row["rounds"] for row in tuning["scan"]) < 3000


@pytest.mark.parametrize(
    ("told", "budget", "done"),
    [
        ({"scan_cut_short": False}, None, True),
        ({"scan_cut_short": False, "budget_minutes": 2.0}, None, True),
        ({"scan_cut_short": True, "budget_minutes": 2.0}, 2.0, True),
        ({"scan_cut_short": True, "budget_minutes": 2.0}, 1.0, True),
        ({"scan_cut_short": True, "budget_minutes": 2.0}, 3.0, False),
        ({"scan_cut_short": True, "budget_minutes": 2.0}, None, False),
        ({"scan_cut_short": True}, 2.0, False),
    ],
)
def test_a_scan_cut_short_is_not_the_result_of_one_with_more_time(
    told: Mapping[str, bool | float], budget: float | None, done: bool
) -> None:
    made = tiny_artifact(tiny_backbone())
    card = replace(made.card, tuning={"run": "key", **told})
    standing = Standing("v000001", PromptArtifact(card, made.tensors))
    assert standing.came_from("key", budget=budget) is done
    assert not standing.came_from("another", budget=budget)
