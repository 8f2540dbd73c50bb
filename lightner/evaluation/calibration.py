"""Scores to probabilities: fitted on predictions that are known to be right or wrong, and how well they then agree.

docs/rules.md has the rule. Knows guesses only, no model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from lightner.types import Calibration, Counts

BINS = 10
NO_CHANGE = Calibration()
PARTS = 5
"""Parts of the guesses, each measured by what the others give."""
# Standard deviations of the priors: how far few guesses may move log temperature and offset from those of untuned
# prompts, or, of a backbone that does not know these, from no change; and a label from the rest.
_PRIOR, _WIDE_PRIOR, _LABEL_PRIOR = 0.25, 1.0, 0.25
_SURE = 1 - 1e-6  # a score of 1 is a rounded one: its logit would be infinite
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Guess:
    """A predicted entity: its label, its score, and whether it is right."""

    label: str
    score: float
    right: bool


@dataclass(frozen=True, slots=True)
class Bin:
    """Guesses whose scores are in `[start, start + 1 / BINS)`: their mean score, the share that is right, how many."""

    start: float
    score: float
    right: float
    count: int


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Precision and recall of the entities that reach a threshold."""

    threshold: float
    precision: float
    recall: float


@dataclass(frozen=True)
class Calibrated:
    """A fitted calibration, and how good it is: on guesses each of which the fit that measures it has not seen.

    Expected calibration errors and bins are those of raw scores (`before`) and of calibrated ones (`after`); F1 is that
    of all guesses, and of those that reach their label's threshold (`f1_tuned`).
    """

    calibration: Calibration
    guesses: int
    error_before: float
    error_after: float
    bins_before: tuple[Bin, ...]
    bins_after: tuple[Bin, ...]
    curve: tuple[CurvePoint, ...]
    f1: float
    f1_tuned: float


def calibrate(guesses: Sequence[Guess], *, gold: int, untuned: Calibration = NO_CHANGE) -> Calibrated | None:
    """The calibration of a prompt by guesses on sentences with `gold` entities, from which it has not learned.

    `untuned` is that of its backbone's untuned prompts. Thresholds are 0 where others would lower F1. None where there
    is no guess.
    """
    if not guesses:
        return None
    found, each = fit(guesses, gold=gold, untuned=untuned), _each_by_others(guesses, gold=gold, untuned=untuned)
    after = [replace(guess, score=by.probability(guess.score)) for guess, by in zip(guesses, each, strict=True)]
    kept = [guess for guess, by in zip(after, each, strict=True) if guess.score >= by.least(guess.label)]
    f1, f1_tuned = _counts(guesses, gold).f1, _counts(kept, gold).f1
    if f1_tuned < f1:
        found, f1_tuned = replace(found, threshold=0.0, thresholds={}), f1
    before_bins, after_bins = bins(guesses), bins(after)
    return Calibrated(
        found,
        len(guesses),
        expected_error(before_bins),
        expected_error(after_bins),
        before_bins,
        after_bins,
        curve(after, gold=gold),
        f1,
        f1_tuned,
    )


def fit(guesses: Sequence[Guess], *, gold: int, untuned: Calibration = NO_CHANGE) -> Calibration:
    """The likeliest temperature and offset, and thresholds of the labels, by the rule in docs/rules.md."""
    logits, right = _logits(guesses), torch.tensor([float(guess.right) for guess in guesses], dtype=torch.float64)
    deviation = _WIDE_PRIOR if untuned == NO_CHANGE else _PRIOR
    start = torch.tensor([math.log(untuned.temperature), untuned.offset], dtype=torch.float64)

    def unlikely(moved: Tensor) -> Tensor:
        log_temperature, offset = start + moved
        return _loss(logits * torch.exp(-log_temperature) + offset, right) + _prior(moved, deviation)

    log_temperature, offset = (start + torch.tensor(_minimum(2, unlikely), dtype=torch.float64)).tolist()
    calibration = Calibration(round(math.exp(log_temperature), _DIGITS), round(offset, _DIGITS))
    even = logits / calibration.temperature + calibration.offset
    names = sorted({guess.label for guess in guesses})
    of = torch.tensor([names.index(guess.label) for guess in guesses])
    shifts = _minimum(len(names), lambda values: _loss(even + values[of], right) + _prior(values, _LABEL_PRIOR))
    shifted = torch.sigmoid(even + torch.tensor(shifts, dtype=torch.float64)[of])
    threshold = best_f1(shifted.tolist(), [guess.right for guess in guesses], gold=gold) / 2
    own = {name: _shifted(threshold, -shift) for name, shift in zip(names, shifts, strict=True)}
    return replace(calibration, threshold=round(threshold, _DIGITS), thresholds=own)


def best_f1(scores: Sequence[float], right: Sequence[bool], *, gold: int) -> float:
    """The highest F1 of the guesses that reach a threshold, whichever."""
    best, true_positives = 0.0, 0
    for kept, (_, is_right) in enumerate(sorted(zip(scores, right, strict=True), reverse=True), 1):
        true_positives += is_right
        best = max(best, Counts(true_positives, kept, gold).f1)
    return best


def bins(guesses: Sequence[Guess]) -> tuple[Bin, ...]:
    """The reliability diagram: bins of equal width, without those that are empty."""
    groups: dict[int, list[Guess]] = {}
    for guess in guesses:
        groups.setdefault(min(BINS - 1, int(guess.score * BINS)), []).append(guess)
    return tuple(
        Bin(
            number / BINS,
            sum(guess.score for guess in group) / len(group),
            sum(guess.right for guess in group) / len(group),
            len(group),
        )
        for number, group in sorted(groups.items())
    )


def expected_error(diagram: Sequence[Bin]) -> float:
    """Expected calibration error: the mean distance of score and share that is right, each bin by its guesses."""
    total = sum(each.count for each in diagram)
    return sum(each.count * abs(each.score - each.right) for each in diagram) / max(1, total)


def curve(guesses: Sequence[Guess], *, gold: int) -> tuple[CurvePoint, ...]:
    """Precision and recall at thresholds from 0 on in steps of a twentieth, as far as a guess reaches them."""
    points = []
    for step in range(20):
        counts = _counts([guess for guess in guesses if guess.score >= step / 20], gold)
        if counts.predicted:
            points.append(CurvePoint(step / 20, counts.precision, counts.recall))
    return tuple(points)


def _each_by_others(guesses: Sequence[Guess], *, gold: int, untuned: Calibration) -> list[Calibration]:
    """For each guess a calibration that has not seen it: neighbours, of one sentence or fold, are left out together."""
    parts = min(PARTS, len(guesses))
    ends = [len(guesses) * part // parts for part in range(parts + 1)]
    found: list[Calibration] = []
    for start, end in pairwise(ends):
        others = [*guesses[:start], *guesses[end:]]
        share = len(others) / len(guesses)
        by = fit(others, gold=round(gold * share), untuned=untuned) if others else untuned
        found += [by] * (end - start)
    return found


def _counts(kept: Sequence[Guess], gold: int) -> Counts:
    return Counts(sum(guess.right for guess in kept), len(kept), gold)


def _logits(guesses: Sequence[Guess]) -> Tensor:
    scores = torch.tensor([guess.score for guess in guesses], dtype=torch.float64)
    return torch.logit(scores.clamp(1 - _SURE, _SURE))


def _loss(logits: Tensor, right: Tensor) -> Tensor:
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, right, reduction="sum")


def _prior(values: Tensor, deviation: float) -> Tensor:
    return (values / deviation).square().sum() / 2


def _minimum(count: int, loss: Callable[[Tensor], Tensor]) -> list[float]:
    """So many values that make a loss smallest, from zeros on."""
    values = torch.zeros(count, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([values], max_iter=200, line_search_fn="strong_wolfe")

    def step() -> Tensor:
        optimizer.zero_grad()
        found = loss(values)
        torch.autograd.backward(found)
        return found

    optimizer.step(step)  # type: ignore[no-untyped-call]
    return [float(value) for value in values.detach()]


def _shifted(probability: float, by: float) -> float:
    """A probability, its logit moved."""
    if not 0 < probability < 1:
        return probability
    return round(1 / (1 + math.exp(-(math.log(probability / (1 - probability)) + by))), _DIGITS)
