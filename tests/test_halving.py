"""The scan's halving: trials are compared when all have come equally far, also where the job was killed between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import few_shot
from lightner import backbone, rules
from lightner.formats import labels_of, read
from lightner.registry import Registry
from lightner.selection import folds_of, trial_plan
from lightner.types import LabelSet
from tests.conftest import LocalRay
from tests.test_jobs import place, start, wait_for, words

__all__ = ["place"]  # a fixture


@pytest.mark.parametrize(
    ("rounds", "trials", "expected"),
    [
        (8, 1, (8,)),
        (8, 2, (4, 8)),
        (8, 3, (2, 4, 8)),
        (8, 4, (2, 4, 8)),
        (8, 16, (2, 4, 8)),
        (1, 4, (1,)),
        (3, 4, (1, 3)),
    ],
)
def test_there_are_as_many_comparisons_as_leave_one_trial(rounds: int, trials: int, expected: tuple[int, ...]) -> None:
    assert rules.milestones(rounds, trials) == expected


@pytest.mark.ray
def test_the_better_half_goes_on_and_a_killed_scan_goes_on_between_comparisons(
    local_ray: LocalRay, place: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    pairs = words(place, "halved", "--lengths", "2", "3", "--rates", "0.01", "0.03", pin="slow.yaml")
    process = start(local_ray, *pairs, log=first)
    wait_for(first, r"scan .* round 9 of 15 ", process)
    process.kill()
    process.wait()
    process = start(local_ray, *pairs, log=second)
    assert process.wait(timeout=400) == 0, second.read_text()
    assert " round 1 of 7 " not in second.read_text(), "it began again instead of going on"

    tuning: Any = Registry.open(str(place / "registry")).fetch("halved")[1].card.tuning
    curves = [row["f1_by_round"] for row in tuning["scan"]]
    assert sorted(map(len, curves)) == [7, 7, 15, 30]
    for last, count in ((7, 2), (15, 1)):
        came = [curve for curve in curves if len(curve) >= last]
        gone = [curve for curve in came if len(curve) > last]
        assert len(gone) == count
        assert min(curve[last - 1] for curve in gone) >= sorted(curve[last - 1] for curve in came)[-count]
    assert [row["f1_by_round"] for row in tuning["scan"]] == in_one_process(place), "the benchmarks' scan is another"
    assert not tuning["scan_cut_short"]
    assert [row["cut_short"] for row in tuning["scan"]] == [False] * 4


def in_one_process(place: Path) -> list[list[float]]:
    """The curves of the same scan as benchmarks/few_shot.py runs it."""
    train, base = read(place / "train.conll"), backbone.load(str(place / "tiny"))
    labels, folds = LabelSet.of(labels_of(train)), folds_of(train, (), seed=0)
    pins = yaml.safe_load((place / "slow.yaml").read_text("utf-8"))
    plans = [
        rules.plan(train, prompt_length=length, learning_rate=rate).with_pins(pins)
        for length in (2, 3)
        for rate in (0.01, 0.03)
    ]
    return few_shot.scan(base, labels, folds, [trial_plan(plan, folds, of=len(train)) for plan in plans])
