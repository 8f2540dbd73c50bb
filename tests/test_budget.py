"""The scan's budget on a real Ray: what was found in that time is published, and said to be cut short."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lightner.registry import Registry
from tests.conftest import LocalRay
from tests.test_jobs import place, start, words

__all__ = ["place"]  # a fixture


@pytest.mark.ray
def test_a_scan_out_of_time_publishes_the_trial_that_came_furthest(
    local_ray: LocalRay, place: Path, tmp_path: Path
) -> None:
    (place / "endless.yaml").write_text("{steps: 60000, rounds: 6000, batch_size: 8, warm_up_steps: 2}")
    log = tmp_path / "log"
    process = start(local_ray, *words(place, "late", "--budget", "0.01", pin="endless.yaml"), log=log)
    assert process.wait(timeout=400) == 0, log.read_text()
    assert "the budget ran out: 0 of 1 trials finished" in log.read_text()
    assert "(cut short)" in log.read_text()
    assert "published late v000001" in log.read_text()
    tuning: Any = Registry.open(str(place / "registry")).fetch("late")[1].card.tuning
    [row] = tuning["scan"]
    assert tuning["scan_cut_short"]
    assert row["cut_short"]
    assert tuning["stopped_after_round"] == row["rounds"] < 6000
