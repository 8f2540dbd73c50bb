"""How many steps of pretraining fit into the minutes that a GPU is lent for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.pretrain_on_gpu import RESERVE_S, Speed, speed_of, steps_for


def test_the_speed_is_that_of_the_last_report(tmp_path: Path) -> None:
    curve = tmp_path / "probe.curve.jsonl"
    lines = [{"step": 25, "sentences_per_s": 100.0}, {"step": 50, "sentences_per_s": 2560.0}]
    curve.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = speed_of(curve, 65.0, batch=256)
    assert (found.step_s, found.begin_s) == (pytest.approx(0.1), pytest.approx(60.0))


@pytest.mark.parametrize(("left_s", "expected"), [(600, 4950), (105, 0), (108, 25), (10, 0)])
def test_as_many_steps_are_made_as_end_in_time(left_s: float, expected: int) -> None:
    speed = Speed(begin_s=60.0, step_s=0.1)
    found = steps_for(left_s, speed)
    assert found == expected
    assert not found or speed.begin_s + RESERVE_S + found * speed.step_s <= left_s
