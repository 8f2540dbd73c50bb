"""Calibration: probabilities from scores, thresholds, and how far both agree with what is right."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from lightner.evaluation.calibration import (
    Bin,
    Guess,
    best_f1,
    bins,
    calibrate,
    curve,
    expected_error,
    fit,
)
from lightner.types import Calibration, InputError


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def drawn(
    count: int, *, temperature: float = 1.0, offset: float = 0.0, label: str = "dish", seed: int = 0, shift: float = 0.0
) -> list[Guess]:
    """Guesses whose scores are as wrong as these say: `sigmoid(logit / temperature + offset)` is their probability."""
    random_ = random.Random(seed)
    found = []
    for _ in range(count):
        logit = random_.gauss(3.0, 2.5)
        right = random_.random() < sigmoid(logit / temperature + offset + shift)
        found.append(Guess(label, sigmoid(logit), right))
    return found


def right_of(guesses: list[Guess]) -> int:
    return sum(guess.right for guess in guesses)


class TestProbability:
    def test_the_default_changes_no_score_at_all(self) -> None:
        scores = [0.0, 1e-300, 0.1, 1 / 3, 0.5, 0.9999999999, 1.0]
        assert [Calibration().probability(score) for score in scores] == scores

    def test_it_keeps_the_order_and_stays_a_probability(self) -> None:
        by = Calibration(temperature=0.05, offset=-1.0)
        found = [by.probability(score) for score in (0.0, 1e-300, 1e-5, 0.3, 0.5, 0.9, 1 - 1e-12, 1.0)]
        assert found == sorted(found)
        assert all(0 <= each <= 1 for each in found)
        assert by.probability(0.5) == pytest.approx(sigmoid(-1.0))
        assert Calibration(2.0, 0.5).probability(0.9) == pytest.approx(sigmoid(math.log(9) / 2 + 0.5))

    def test_a_label_has_its_own_threshold_or_that_of_all(self) -> None:
        by = Calibration(threshold=0.3, thresholds={"dish": 0.6})
        assert (by.least("dish"), by.least("price")) == (0.6, 0.3)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"temperature": 0.0},
            {"temperature": math.inf},
            {"temperature": math.nan},
            {"offset": math.nan},
            {"threshold": 1.1},
            {"thresholds": {"dish": -0.1}},
            {"thresholds": {"dish": math.nan}},
        ],
    )
    def test_what_cannot_be_one_is_refused(self, wrong: dict[str, float]) -> None:
        with pytest.raises(InputError, match="calibration: found"):
            Calibration(**wrong)  # type: ignore[arg-type]


class TestFit:
    @pytest.mark.parametrize(("temperature", "offset"), [(1.0, 0.0), (3.0, 0.0), (2.0, -1.0)])
    def test_it_finds_what_the_scores_were_drawn_by(self, temperature: float, offset: float) -> None:
        guesses = drawn(20000, temperature=temperature, offset=offset)
        found = fit(guesses, gold=20000)
        assert found.temperature == pytest.approx(temperature, rel=0.1)
        assert found.offset == pytest.approx(offset, abs=0.1)

    def test_the_threshold_is_half_the_best_f1(self) -> None:
        guesses = drawn(4000)
        found = fit(guesses, gold=5000)
        best = best_f1([guess.score for guess in guesses], [guess.right for guess in guesses], gold=5000)
        assert found.threshold == pytest.approx(best / 2, abs=0.01)
        assert found.thresholds == {"dish": pytest.approx(found.threshold, abs=0.02)}

    def test_the_threshold_of_a_label_moves_with_what_it_was_wrong_in(self) -> None:
        """Where guesses of a label are worse than their scores say, more is asked of them; of few, hardly more."""
        for count, least, most in ((2000, 0.2, 0.6), (5, 0.0, 0.1)):
            guesses = [*drawn(2000, label="dish"), *drawn(count, label="price", shift=-1.5, seed=1)]
            found = fit(guesses, gold=len(guesses))
            assert least < found.least("price") - found.least("dish") < most, count

    def test_few_guesses_stay_close_to_the_untuned_prompts_of_the_backbone_and_many_do_not(self) -> None:
        untuned = Calibration(temperature=2.5, offset=-0.5)
        few, many = (fit(drawn(count), gold=count, untuned=untuned) for count in (10, 20000))
        assert few.temperature == pytest.approx(2.5, rel=0.25)
        assert few.offset == pytest.approx(-0.5, abs=0.15)
        assert many.temperature == pytest.approx(1.0, rel=0.1)
        assert many.offset == pytest.approx(0.0, abs=0.1)

    @pytest.mark.parametrize("right", [True, False])
    def test_few_guesses_that_are_all_alike_leave_finite_values(self, right: bool) -> None:
        found = fit([Guess("dish", 1.0, right)] * 3, gold=3)
        assert 0.1 < found.temperature < 10
        assert abs(found.offset) < 5
        if not right:
            assert found.threshold == 0.0

    def test_the_order_of_guesses_changes_nothing(self) -> None:
        guesses = [*drawn(80, label="dish"), *drawn(40, label="price", temperature=4.0)]
        shuffled = random.Random(3).sample(guesses, len(guesses))
        one, other = fit(guesses, gold=100), fit(shuffled, gold=100)
        assert one.temperature == pytest.approx(other.temperature, abs=2e-4)
        assert one.thresholds == pytest.approx(other.thresholds, abs=2e-4)


class TestCalibrate:
    def test_errors_are_smaller_after_it_on_guesses_that_it_has_not_seen(self) -> None:
        found = calibrate(drawn(3000, temperature=4.0, offset=-0.5), gold=3000)
        assert found is not None
        assert found.error_before > 0.1
        assert found.error_after < 0.04
        assert sum(each.count for each in found.bins_after) == found.guesses == 3000
        assert found.f1_tuned >= found.f1

    def test_thresholds_that_would_lower_f1_are_not_kept(self) -> None:
        # Of its doubtful guesses the first fifth is right, all others are wrong: by these it would be left out.
        unlike = [Guess("dish", 0.3, True)] * 20
        others = [*[Guess("dish", 0.9, True)] * 10, *[Guess("dish", 0.3, False)] * 10] * 4
        found = calibrate([*unlike, *others], gold=100)
        assert found is not None
        assert fit([*unlike, *others], gold=100).threshold > 0
        assert (found.calibration.threshold, dict(found.calibration.thresholds)) == (0.0, {})
        assert found.f1_tuned == found.f1 == pytest.approx(0.6)

    def test_it_is_measured_by_fits_that_start_from_the_untuned_prompts_as_well(self) -> None:
        guesses, untuned = drawn(20, temperature=2.5, offset=-0.5), Calibration(temperature=2.5, offset=-0.5)
        alone, found = calibrate(guesses, gold=20), calibrate(guesses, gold=20, untuned=untuned)
        assert alone is not None
        assert found is not None
        assert found.calibration.temperature == pytest.approx(2.5, rel=0.2)
        assert found.bins_after != alone.bins_after

    def test_without_guesses_there_is_none(self) -> None:
        assert calibrate([], gold=5) is None

    def test_one_guess_is_enough_to_end(self) -> None:
        found = calibrate([Guess("dish", 0.8, True)], gold=1)
        assert found is not None
        assert found.guesses == 1


def test_the_best_f1_is_that_of_the_best_threshold() -> None:
    scores, right = [0.9, 0.8, 0.7, 0.6], [True, False, True, False]
    by_hand = [2 * true / (kept + 3) for kept, true in ((1, 1), (2, 1), (3, 2), (4, 2))]
    assert best_f1(scores, right, gold=3) == pytest.approx(max(by_hand))
    assert best_f1([], [], gold=3) == 0.0


def test_bins_and_their_error_are_as_counted_by_hand() -> None:
    guesses = [Guess("a", 0.95, True), Guess("a", 1.0, False), Guess("a", 0.1, False), Guess("b", 0.2, True)]
    found = bins(guesses)
    assert found == (Bin(0.1, 0.1, 0.0, 1), Bin(0.2, 0.2, 1.0, 1), Bin(0.9, pytest.approx(0.975), 0.5, 2))
    assert expected_error(found) == pytest.approx((0.1 + 0.8 + 2 * 0.475) / 4)
    assert expected_error(()) == 0.0


def test_the_curve_has_precision_and_recall_as_far_as_a_guess_reaches() -> None:
    guesses = [Guess("a", 0.5, True), Guess("a", 0.2, False)]
    points = curve(guesses, gold=4)
    assert [point.threshold for point in points] == pytest.approx([step / 20 for step in range(11)])
    assert {(point.precision, point.recall) for point in points} == {(0.5, 0.25), (1.0, 0.25)}
    assert curve([replace(guesses[0], score=0.0)], gold=4)[-1].threshold == 0.0
