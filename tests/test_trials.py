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
        (replace(RUN, gpu=True), {"CPU": 1, "GPU": 1}),
        (replace(RUN, gpu=True, per_gpu=4), {"CPU": 1, "GPU": 0.25}),
        (replace(RUN, gpu=True, per_gpu=4, workers=2), {"CPU": 0.01}),
    ],
)
def test_runs_of_one_worker_share_a_gpu(run: Run, expected: dict[str, float]) -> None:
    asked = _trainable("scan", {"one": run})._resources
    assert isinstance(asked, PlacementGroupFactory)
    assert asked.required_resources == expected
