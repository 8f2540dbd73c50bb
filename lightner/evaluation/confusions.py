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
    `missed`: a gold entity that overlaps no predicted one. Of nested entities those that are right count as no overlap.
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
        right = set(golden) & set(guessed)
        missing, wrong = ([span for span in side if span not in right] for side in (golden, guessed))
        types = {(span.start, span.end): span.label for span in missing}
        kinds["right"] += len(guessed) - len(wrong)
        for span in wrong:
            wanted = types.get((span.start, span.end))
            if wanted is not None:
                confused[wanted, span.label] += 1
            kinds[_kind(span, wanted, missing)] += 1
        kinds["missed"] += sum(not any(_share_words(span, other) for other in wrong) for span in missing)
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


def _kind(span: Span, wanted: str | None, missing: Sequence[Span]) -> str:
    if wanted is not None:
        return "wrong_type"
    return "wrong_words" if any(_share_words(span, other) for other in missing) else "spurious"


def _share_words(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end
