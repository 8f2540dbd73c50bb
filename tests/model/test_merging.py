"""Spans of windows that overlap: none is lost or doubled at the borders, nested or not."""

from __future__ import annotations

import time
from itertools import combinations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightner.model.merging import ScoredSpans, likeliest, likeliest_nested, merge
from lightner.tagger import WINDOW_OVERLAP
from lightner.types import MOST_WORDS, Span, crossing
from lightner.words import windows

scored = st.lists(
    st.tuples(
        st.builds(
            lambda start, size, label: Span(start, start + size, label),
            st.integers(0, 30), st.integers(1, 9), st.sampled_from("ab"),
        ),
        st.integers(1, 50).map(lambda percent: percent / 100),
    ),
    max_size=25,
)  # fmt: skip


@settings(deadline=None)
@given(spans=scored)
def test_the_likeliest_of_spans_that_cross_stays_as_in_a_comparison_of_all_pairs(spans: ScoredSpans) -> None:
    kept: list[Span] = []
    for span, _ in sorted(spans, key=lambda pair: (-pair[1], pair[0])):
        if all(span != other and crossing((span, other)) is None for other in kept):
            kept.append(span)
    found = [span for span, _ in likeliest_nested(spans)]
    assert found == sorted(kept)
    assert all(crossing(pair) is None for pair in combinations(found, 2))


def test_entities_within_one_another_come_back_whole_from_two_windows() -> None:
    gold = [Span(28, 31, "street"), Span(28, 36, "address"), Span(32, 36, "city"), Span(50, 51, "city")]
    ranges = ((0, 40), (20, 60))
    found = [
        [(Span(span.start - start, span.end - start, span.label), 0.9) for span in gold if start <= span.start < end]
        for start, end in ranges
    ]
    assert [span for span, _ in merge(ranges, found, nested=True)] == gold
    assert [span for span, _ in merge(ranges, found)] == [gold[0], *gold[2:]]


@st.composite
def annotated(draw: st.DrawFn) -> tuple[int, tuple[Span, ...]]:
    """A text's word count and entities of at most half an overlap, some of them at the borders of windows."""
    count = draw(st.integers(1, 400))
    borders = sorted({edge for window in windows(count, MOST_WORDS, WINDOW_OVERLAP) for edge in window})
    near = st.builds(lambda edge, shift: max(0, edge + shift), st.sampled_from(borders), st.integers(-40, 20))
    spans: list[Span] = []
    for start in sorted(draw(st.lists(st.one_of(near, st.integers(0, count - 1)), max_size=40))):
        size = draw(st.integers(1, WINDOW_OVERLAP // 2))
        if start + size <= count and (not spans or spans[-1].end <= start):
            spans.append(Span(start, start + size, draw(st.sampled_from(["a", "b"]))))
    return count, tuple(spans)


@settings(deadline=None, max_examples=300)
@given(annotated())
def test_no_entity_is_lost_or_doubled_at_the_borders_of_windows(text: tuple[int, tuple[Span, ...]]) -> None:
    count, gold = text
    ranges = windows(count, MOST_WORDS, WINDOW_OVERLAP)
    chance = torch.Generator().manual_seed(count)
    found: list[ScoredSpans] = []
    for start, end in ranges:
        seen: ScoredSpans = []
        for span in gold:
            low, high = max(span.start, start), min(span.end, end)
            if low < high:  # a window that sees only a part of an entity reports that part, as a model would
                score = 0.1 + 0.8 * float(torch.rand((), generator=chance))
                seen.append((Span(low - start, high - start, span.label), score))
        found.append(seen)
    assert tuple(span for span, _ in merge(ranges, found)) == gold


def test_where_windows_disagree_across_the_middle_the_likelier_entity_stays() -> None:
    ranges = ((0, 120), (90, 210))
    inside: list[ScoredSpans] = [[(Span(100, 110, "a"), 0.6)], [(Span(106 - 90, 110 - 90, "b"), 0.9)]]
    assert merge(ranges, inside) == [(Span(106, 110, "b"), 0.9)]
    # The first window would leave its find to the second, and the second its own to the first.
    across: list[ScoredSpans] = [[(Span(106, 110, "a"), 0.6)], [(Span(104 - 90, 110 - 90, "a"), 0.5)]]
    assert merge(ranges, across) == [(Span(104, 110, "a"), 0.5)]


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(1, 20), st.integers(1, 9)), max_size=40))
def test_the_likeliest_of_overlapping_entities_stays_as_in_a_comparison_of_all_pairs(
    drawn: list[tuple[int, int, int]],
) -> None:
    spans = [(Span(start, start + length, "a"), tenths / 10) for start, length, tenths in drawn]
    chosen: ScoredSpans = []
    for span, score in sorted(spans, key=lambda pair: (-pair[1], pair[0])):
        if all(span.end <= other.start or other.end <= span.start for other, _ in chosen):
            chosen.append((span, score))
    assert likeliest(spans) == sorted(chosen)


def test_a_book_of_entities_is_merged_in_a_moment() -> None:
    ranges = windows(90_000, 120, 30)
    found: list[ScoredSpans] = [
        [(Span(at, at + 2, "a"), 1 / (1 + at)) for at in range(0, end - begin - 2, 4)] for begin, end in ranges
    ]
    began = time.process_time()
    assert len(merge(ranges, found)) > 20_000
    assert time.process_time() - began < 10  # it was minutes
