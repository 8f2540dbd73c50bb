"""What a trial asks Ray for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ray.tune.execution.placement_groups import PlacementGroupFactory

from jobs.trials import _trainable
from jobs.worker import Run
from lightner import rules
from lightner.types import LabelSet, Sentence, Span

SENTENCES = (Sentence(("ada", "lives", "here"), (Span(0, 1, "person"),)),) * 2
PLAN = rules.plan(SENTENCES, prompt_length=2, learning_rate=0.01)
RUN = Run("one", "/nowhere", None, LabelSet.of(["person"]), (), PLAN, 1)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (RUN, {"CPU": 1}),
        (replace(RUN, cpus=2), {"CPU": 2}),
        (replace(RUN, cpus=64), {"CPU": 4}),
        (replace(RUN, cpus=64, gpu=True), {"CPU": 1, "GPU": 1}),
        (replace(RUN, gpu=True), {"CPU": 1, "GPU": 1}),
        (replace(RUN, gpu=True, per_gpu=4), {"CPU": 1, "GPU": 0.25}),
        (replace(RUN, gpu=True, per_gpu=4, workers=2), {"CPU": 0.01}),
    ],
)
def test_a_run_asks_for_its_share_of_what_there_is(run: Run, expected: dict[str, float]) -> None:
    asked = _trainable("scan", {"one": run})._resources
    assert isinstance(asked, PlacementGroupFactory)
    assert asked.required_resources == expected


@pytest.mark.parametrize(("runs", "expected"), [(4, 1), (3, 1), (2, 2), (1, 4)])
def test_runs_side_by_side_share_the_cpus_of_a_ray_of_their_own(runs: int, expected: int) -> None:
    names = [f"run-{number}" for number in range(runs)]
    asked = _trainable("scan", {name: replace(RUN, name=name, cpus=4) for name in names})._resources
    assert asked.required_resources == {"CPU": expected}
