"""Spans found in windows that overlap -> those of the whole text. Knows spans and scores, no model."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence

from lightner.types import Span, crossing

ScoredSpans = list[tuple[Span, float]]


def merge(ranges: Sequence[tuple[int, int]], found: Sequence[ScoredSpans], *, nested: bool = False) -> ScoredSpans:
    """Spans found in overlapping windows, in the words of the whole text.

    In an overlap each half belongs to the window that has more context there; an entity across its middle belongs to
    both, so that none is lost where windows disagree. Of entities that overlap, the likelier one stays; of `nested`
    ones only where neither lies within the other.
    """
    kept: ScoredSpans = []
    for index, ((start, end), spans) in enumerate(zip(ranges, found, strict=True)):
        low = start if index == 0 else (start + ranges[index - 1][1]) // 2
        high = end if index == len(ranges) - 1 else (ranges[index + 1][0] + end) // 2
        for span, score in spans:
            moved = Span(span.start + start, span.end + start, span.label)
            if moved.start < high and low < moved.end:
                kept.append((moved, score))
    if len(ranges) < 2:
        return kept
    return likeliest_nested(kept) if nested else likeliest(kept)


def likeliest(spans: ScoredSpans) -> ScoredSpans:
    """The spans in order, without those that overlap a likelier one; fast for the tens of thousands of a long text."""
    chosen: ScoredSpans = []
    for span, score in sorted(spans, key=lambda pair: (-pair[1], pair[0])):
        place = bisect_left(chosen, span.start, key=lambda pair: pair[0].start)
        around = chosen[max(0, place - 1) : place + 1]  # chosen spans do not overlap, so only neighbours can
        if all(span.end <= other.start or other.end <= span.start for other, _ in around):
            chosen.insert(place, (span, score))
    return chosen


def likeliest_nested(spans: ScoredSpans) -> ScoredSpans:
    """The spans in order, without those that cross or repeat a likelier one."""
    longest = max((span.end - span.start for span, _ in spans), default=0)
    chosen: ScoredSpans = []
    for span, score in sorted(spans, key=lambda pair: (-pair[1], pair[0])):
        first = bisect_left(chosen, span.start - longest, key=lambda pair: pair[0].start)
        last = bisect_left(chosen, span.end, key=lambda pair: pair[0].start)
        around = [other for other, _ in chosen[first:last]]
        if span not in around and all(crossing((span, other)) is None for other in around):
            insort(chosen, (span, score), key=lambda pair: pair[0].start)
    return sorted(chosen, key=lambda pair: pair[0])
