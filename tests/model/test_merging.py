"""Nested spans of windows that overlap."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from lightner.model.merging import ScoredSpans, likeliest_nested, merge
from lightner.types import Span, crossing

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
