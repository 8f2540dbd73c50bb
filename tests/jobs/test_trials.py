"""The resources of a trial, and its errors."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray import cloudpickle
from ray.exceptions import RayTaskError
from ray.tune.execution.placement_groups import PlacementGroupFactory

from lightner.jobs import learn, trials
from lightner.jobs.on_ray import local, session
from lightner.jobs.options import TuneOptions
from lightner.jobs.progress import Watch
from lightner.jobs.trials import _Budget, _digest, _Mistakes, _trainable, run_trials
from lightner.jobs.worker import Run
from lightner.tuning.cross_validation import Fold
from lightner.types import InputError
from tests.support.jobs import PLAN, RUN, SENTENCES
from tests.support.tiny import save, tiny_backbone


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
def test_concurrent_runs_share_the_cpus_of_the_jobs_own_ray(runs: int, expected: int) -> None:
    names = [f"run-{number}" for number in range(runs)]
    asked = _trainable("scan", {name: replace(RUN, name=name, cpus=4) for name in names})._resources
    assert asked.required_resources == {"CPU": expected}


def test_a_mistake_is_read_from_its_source_and_not_from_an_unfinished_copy(tmp_path: Path) -> None:
    class Failed:
        """A trial whose error is being copied to the storage."""

        pickled_error_file = str(tmp_path / "error.pkl")

        def get_pickled_error(self) -> Exception:
            raise EOFError("Ran out of input")

    for cause in (ValueError("a crash"), InputError("sentence 3: found nothing")):
        error = RayTaskError("drive", "Traceback ...", cause)
        (tmp_path / "error.pkl").write_bytes(cloudpickle.dumps(error))
        with pytest.raises(InputError, match="sentence 3") if isinstance(cause, InputError) else nullcontext():
            _Mistakes().on_trial_recover(1, [], Failed())
    Failed.pickled_error_file = None  # type: ignore[assignment] # of a worker that was killed there is none
    _Mistakes().on_trial_recover(1, [], Failed())


def test_a_budget_waits_for_the_state_of_a_round_that_was_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(trials, "time", SimpleNamespace(monotonic=lambda: now))
    spent = _Budget(5.0)
    for budget in (spent, cloudpickle.loads(cloudpickle.dumps(spent))):  # a resumed scan has the latter
        assert not budget.stop_all()
        now += 100.0
        assert not budget("a", {"epoch": 1})
        now += 100.0
        assert not budget.stop_all(), "nothing to choose from yet"
        assert budget("a", {"epoch": 2})
        assert budget("b", {"epoch": 1}), "who reports now is stopped with its state"
        now += 1.0
        assert not budget.stop_all(), "it may be on its way"
        now += 10.0
        assert budget.stop_all()


def test_other_runs_under_one_name_are_kept_apart() -> None:
    two = [replace(RUN, name="a"), replace(RUN, name="b")]
    others = [
        two[:1],
        [replace(RUN, name="a", last=2), two[1]],
        [replace(RUN, name="a", plan=replace(PLAN, learning_rate=0.02)), two[1]],
        [replace(RUN, name="a", started_from="x@v000001"), two[1]],
        [replace(run, workers=2) for run in two],
    ]
    digests = {_digest(runs) for runs in [two, two[::-1], [replace(run, shard=True, cpus=2) for run in two], *others]}
    assert len(digests) == 1 + len(others)


@pytest.mark.ray
def test_a_run_that_fails_again_and_again_is_named_and_the_others_end(local_ray: local.Head, tmp_path: Path) -> None:
    tiny = tiny_backbone()
    save(tiny, tmp_path / "tiny")
    plan = replace(PLAN, steps=2, rounds=2, warm_up_steps=0)
    fold = Fold(SENTENCES, SENTENCES)
    there = {"storage": str(tmp_path / "runs"), "backbone": str(tmp_path / "tiny"), "fingerprint": tiny.fingerprint}
    sound = replace(RUN, **there, folds=(fold,), plan=plan, last=2)
    broken: Any = replace(sound, name="broken", labels=None)
    found = run_trials("both", [sound, broken], title="scan", watch=Watch("x"), at_once=2)
    assert {name: len(end.history) for name, end in found.trials.items()} == {"one": 2}
    [(name, error)] = found.errors.items()
    assert name == "broken"
    assert "TypeError" in error or "AttributeError" in error


@pytest.mark.parametrize(("workers", "gpu", "slots"), [(3, False, 2), (1, True, 0)])
def test_a_run_that_never_will_fit_into_a_ray_of_the_jobs_own_is_refused_and_elsewhere_waited_for(
    workers: int, gpu: bool, slots: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = TuneOptions(train="-", domain="x", registry="-", storage="-", gpu=gpu)
    run = replace(RUN, workers=workers, gpu=gpu)
    monkeypatch.setattr(session, "training_slots", lambda *, gpu: slots)
    with pytest.raises(InputError, match=f"found {slots} .PUs, expected {workers}"):
        learn._at_once(options, replace(run, cpus=2))
    assert learn._at_once(options, run) == 1
    assert "waiting for more to join" in capsys.readouterr().out
