"""Drawn sentences of spans: gold, and predictions that are right, half right or wrong."""

from __future__ import annotations

from itertools import pairwise
from typing import TypeAlias

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from lightner.types import Span

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
Pairs: TypeAlias = list[tuple[tuple[Span, ...], tuple[Span, ...]]]
"""Gold and predicted spans of each sentence."""
# The last ones are names that seqeval itself would change, or take for an average.
COMMON, GOLD_ONLY, PREDICTED_ONLY = ["PER", "LOC", "date.day", "-PER", "micro avg"], ["GOLD"], ["FOUND"]
_LENGTH = 8


@st.composite
def flat_spans(draw: st.DrawFn, labels: list[str]) -> tuple[Span, ...]:
    """Spans over 8 words that share none, often none at all."""
    cuts = draw(st.lists(st.integers(0, _LENGTH), max_size=6, unique=True).map(sorted))
    return tuple(
        Span(start, end, draw(st.sampled_from(labels))) for start, end in pairwise(cuts) if draw(st.booleans())
    )


both_sides: st.SearchStrategy[Pairs] = st.lists(
    st.tuples(flat_spans(COMMON + GOLD_ONLY), flat_spans(COMMON + PREDICTED_ONLY) | st.none()), max_size=6
).map(
    # Half-right predictions are rare by chance: None means "as in gold".
    lambda pairs: [(gold, gold if predicted is None else predicted) for gold, predicted in pairs]
)
