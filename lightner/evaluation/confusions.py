"""Sorts prediction errors: wrong type, wrong boundaries, spurious, missed.

Each gold and each predicted entity is counted once; spans only, as in `metrics`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lightner.types import Span

_MOST_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Errors:
    """Counts of predicted entities (`right`, `wrong_type`, `wrong_words`, `spurious`) and of `missed` gold entities.

    `wrong_type`: has the words of a gold entity of another type; `confused` counts (gold type, predicted type).
    `wrong_words`: overlaps a gold entity without having exactly its words. `spurious`: overlaps no gold entity.
    `missed`: a gold entity that overlaps no predicted one.
    """

    right: int
    wrong_type: int
    wrong_words: int
    spurious: int
    missed: int
    confused: Mapping[tuple[str, str], int]


def errors(gold: Iterable[Sequence[Span]], predicted: Iterable[Sequence[Span]]) -> Errors:
    """Count the kinds of errors; both sides have the same sentences in the same order."""
    kinds: Counter[str] = Counter()
    confused: Counter[tuple[str, str]] = Counter()
    for golden, guessed in zip(gold, predicted, strict=True):
        types = {(span.start, span.end): span.label for span in golden}
        for span in guessed:
            wanted = types.get((span.start, span.end))
            kinds[_kind(span, wanted, golden)] += 1
            if wanted not in (None, span.label):
                confused[wanted, span.label] += 1
        kinds["missed"] += sum(not any(_share_words(span, other) for other in guessed) for span in golden)
    return Errors(
        kinds["right"], kinds["wrong_type"], kinds["wrong_words"], kinds["spurious"], kinds["missed"], confused
    )


def describe(found: Errors) -> str:
    """The counts in one line, then the pairs of types that were confused most often, one a line."""
    ranked = sorted(found.confused.items(), key=lambda item: (-item[1], item[0]))
    lines = [
        f"errors: {found.wrong_type} of the wrong type, {found.wrong_words} with wrong boundaries,"
        f" {found.spurious} spurious, {found.missed} missed"
    ]
    return "\n".join(
        [*lines, *(f"  {times:4d} x {gold} taken for {guess}" for (gold, guess), times in ranked[:_MOST_SHOWN])]
    )


def _kind(span: Span, wanted: str | None, golden: Sequence[Span]) -> str:
    if wanted is not None:
        return "right" if wanted == span.label else "wrong_type"
    return "wrong_words" if any(_share_words(span, other) for other in golden) else "spurious"


def _share_words(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end
