"""The scan's halving: trials are compared when all have had equally many rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import pytest
import yaml
from ray import tune

from benchmarks import few_shot
from lightner.data.formats import labels_of, read
from lightner.jobs import halving
from lightner.jobs.on_ray import local
from lightner.jobs.progress import Watch
from lightner.jobs.trials import Ended, Ends
from lightner.jobs.worker import Cost, Run
from lightner.model import backbone
from lightner.store.registry import Registry
from lightner.tuning import rules
from lightner.tuning.cross_validation import folds_of, trial_plan
from lightner.tuning.training import Round
from lightner.types import Counts, InputError, LabelSet, Scores
from tests.support.jobs import RUN, start, words


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


Curves: TypeAlias = "Mapping[str, tuple[int, ...]]"
CURVES = {"a": (4, 4, 7, 7), "b": (5, 5, 7, 7), "c": (1, 1, 1, 1), "d": (2, 2, 2, 2)}
"""Of ten entities how many a trial finds after each round."""


def halved(
    monkeypatch: pytest.MonkeyPatch,
    fails: Mapping[str, int],
    curves: Curves = CURVES,
    *,
    budget_s: float | None = None,
    part_s: float = 0.0,
    stopped: Mapping[str, int] | None = None,
) -> halving.Halved:
    """Run four trials of four rounds; those in `fails` fail in the part that ends with that round.

    Each part takes `part_s`; the budget stops those in `stopped` after the given rounds.
    """
    spent_s = 0.0

    def run_trials(name: str, runs: Sequence[Run], **options: Any) -> Ends:
        nonlocal spent_s
        assert options["budget_s"] == (None if budget_s is None else budget_s - spent_s)
        spent_s += part_s
        failed = {run.name: "OutOfMemoryError" for run in runs if fails.get(run.name) == run.last}
        came = {run.name: min(run.last, (stopped or {}).get(run.name, run.last)) for run in runs}
        return Ends({name: end(name, last) for name, last in came.items() if last and name not in failed}, failed)

    def end(name: str, last: int) -> Ended:
        scores = (Scores({"x": Counts(hit, 10, 10)}) for hit in curves[name][:last])
        history = tuple(Round(number, number, 1.0, each) for number, each in enumerate(scores, 1))
        return Ended(history, 1.0, Cost(1.0, 1.0), tune.Checkpoint("/nowhere"))

    monkeypatch.setattr(halving, "run_trials", run_trials)
    monkeypatch.setattr(halving, "time", SimpleNamespace(monotonic=lambda: spent_s))
    runs = [replace(RUN, name=name, last=4) for name in curves]
    return halving.run_halving("scan", runs, milestones=(1, 2, 4), watch=Watch("x"), at_once=4, budget_s=budget_s)


def rounds(found: halving.Halved) -> dict[str, int]:
    return {name: len(end.history) for name, end in found.ended.items()}


def test_the_earlier_of_equal_trials_continues_whatever_came_before(monkeypatch: pytest.MonkeyPatch) -> None:
    found = halved(monkeypatch, {}, {**CURVES, "a": (4, 7, 7, 7), "b": (5, 7, 7, 7)})
    assert rounds(found) == {"a": 4, "b": 2, "c": 1, "d": 1}


def test_a_failed_trial_is_dropped_and_named_and_the_others_continue(monkeypatch: pytest.MonkeyPatch) -> None:
    found = halved(monkeypatch, {"b": 1})
    assert rounds(found) == {"a": 4, "c": 1, "d": 2}
    assert found.errors == {"b": "OutOfMemoryError"}
    assert not found.cut_short
    assert rounds(halved(monkeypatch, {"b": 2})) == {"a": 4, "b": 1, "c": 1, "d": 1}


@pytest.mark.parametrize(
    ("stopped", "came", "cut_short"),
    [
        ({"c": 0}, {"a": 1, "b": 1, "d": 1}, {"a", "b", "d"}),  # before the first comparison
        ({"b": 1}, {"a": 2, "b": 1, "c": 1, "d": 1}, {"a", "b"}),  # before the second
        ({"b": 3}, {"a": 2, "b": 3, "c": 1, "d": 1}, {"b"}),  # after the last
        ({}, {"a": 2, "b": 4, "c": 1, "d": 1}, set()),
    ],
)
def test_trials_are_cut_short_by_the_budget_but_not_by_a_comparison(
    monkeypatch: pytest.MonkeyPatch, stopped: Mapping[str, int], came: Mapping[str, int], cut_short: set[str]
) -> None:
    found = halved(monkeypatch, {}, budget_s=60, stopped=stopped)
    assert rounds(found) == came
    assert found.cut_short == cut_short


def test_a_budget_is_of_all_parts_together_and_begins_none_when_it_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    found = halved(monkeypatch, {}, budget_s=60, part_s=30)
    assert rounds(found) == {"a": 2, "b": 2, "c": 1, "d": 1}
    assert found.cut_short == {"b"}
    assert rounds(halved(monkeypatch, {}, budget_s=61, part_s=30))["b"] == 4


@pytest.mark.parametrize("fails", [{"b": 4}, dict.fromkeys("abcd", 1)])
def test_without_remaining_trials_there_is_no_winner(monkeypatch: pytest.MonkeyPatch, fails: Mapping[str, int]) -> None:
    with pytest.raises(InputError, match=rf"scan: found {len(fails)} failed trials of 4, none left.*OutOfMemoryError"):
        halved(monkeypatch, fails)


@pytest.mark.ray
def test_the_better_half_continues_as_in_one_process(local_ray: local.Head, place: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    pairs = words(place, "halved", "--rates", "0.01", "0.03", pin="slow.yaml")
    assert start(local_ray, *pairs, log=log).wait(timeout=900) == 0, log.read_text()
    tuning: Any = Registry.open(str(place / "registry")).fetch("halved")[1].card.tuning
    curves = [row["f1_by_round"] for row in tuning["scan"]]
    worse, better = sorted(curves, key=len)
    assert (len(worse), len(better)) == (8, 16)
    assert better[7] >= worse[7]
    assert curves == in_one_process(place), "the benchmarks' scan is another"
    assert not tuning["scan_cut_short"]
    assert [row["cut_short"] for row in tuning["scan"]] == [False] * 2


def in_one_process(place: Path) -> list[list[float]]:
    """The curves of the same scan, run by benchmarks/few_shot.py."""
    train, base = read(place / "train.conll"), backbone.load(str(place / "tiny"))
    labels, folds = LabelSet.of(labels_of(train)), folds_of(train, (), seed=0)
    pins = yaml.safe_load((place / "slow.yaml").read_text("utf-8"))
    plans = [rules.plan(train, prompt_length=2, learning_rate=rate).with_pins(pins) for rate in (0.01, 0.03)]
    return few_shot.scan(base, labels, folds, [trial_plan(plan, folds, of=len(train)) for plan in plans])
