"""The choice of a scan: the best of the trials with the most rounds, at its best round."""

from __future__ import annotations

from lightner.jobs import scan
from lightner.types import Counts, Scores
from tests.support.scans import trial


def test_the_best_trial_has_finished_and_ties_go_to_the_shorter_then_the_slower() -> None:
    early = trial(9, finished=False)
    assert scan.best([trial(5), early, trial(7)]) == trial(7)
    assert scan.best([trial(7, length=16), trial(7), trial(7, rate=1e-2)]) == trial(7)
    shown = scan.table([trial(7), early], trial(7)).splitlines()
    assert shown[1].endswith("(stopped early)")
    assert shown[2].startswith("*")


def test_a_trial_without_a_source_wins_ties_even_if_longer_and_faster() -> None:
    sourced, bare = trial(7, source="a@v000001"), trial(7, length=16, rate=1e-2)
    assert scan.best([sourced, bare]) == scan.best([bare, sourced]) == bare
    assert scan.best([trial(6, length=16), sourced]) == sourced, "a better one is none of them"
    assert scan.table([sourced, bare], bare).splitlines()[2].endswith("  from a@v000001")


def test_without_a_finished_trial_the_best_of_those_that_came_furthest_is_used() -> None:
    short, low, high = (trial(*hits, finished=False) for hits in ((9,), (1, 3), (1, 4)))
    assert scan.best([short, low, high]) == high
    assert high.rounds == 2


def test_a_trial_is_judged_at_its_best_round_and_not_at_its_last() -> None:
    overfitted = trial(1, 4, 8, 9, 8, 4)
    assert (overfitted.rounds, overfitted.f1) == (4, 0.9)
    assert overfitted.chosen.scores == Scores({"x": Counts(9, 10, 10)})
    assert scan.best([trial(1, 2, 3, 4, 5, 5), overfitted]) == overfitted
    assert trial(1, 9, 8, finished=False).rounds == 3
