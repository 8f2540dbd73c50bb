"""Drawn texts with labelled words, for what formats hold."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

from lightner.data.formats.documents import Document
from lightner.types import Sentence, Span, crossing
from lightner.words import split_words

_CHARACTERS = "aB7é,.'\"-#{[😀東\u0301\u200d\u00a0   "
_LABELS = st.sampled_from(["PER", "LOC", "a-b.c"])


@st.composite
def _spans(draw: st.DrawFn, words: int) -> tuple[Span, ...]:
    cuts = draw(st.lists(st.integers(0, words), unique=True).map(sorted))
    return tuple(Span(start, end, draw(_LABELS)) for start, end in pairwise(cuts) if draw(st.booleans()))


@st.composite
def _nested_spans(draw: st.DrawFn, words: int) -> tuple[Span, ...]:
    spans: list[Span] = []
    for start, end in draw(st.lists(st.tuples(st.integers(0, words - 1), st.integers(1, words)), max_size=5)):
        span = Span(start, max(end, start + 1), draw(_LABELS))
        if span not in spans and crossing((*spans, span)) is None:
            spans.append(span)
    return tuple(sorted(spans))


@st.composite
def text_documents(draw: st.DrawFn, *, more: str = "\n", scored: bool = False, nested: bool = False) -> Document:
    """A text that was split into words, with `more` characters in it; with `scored`, a score for each span; with
    `nested`, spans that may lie within one another."""
    drawn = draw(st.text(_CHARACTERS + more, min_size=1, max_size=20).filter(split_words))
    words = split_words(drawn)
    spans = draw((_nested_spans if nested else _spans)(len(words)))
    scores = [draw(st.floats(0, 1)) if scored else None for _ in spans]
    return Document(drawn, words, tuple(zip(spans, scores, strict=True)))


@st.composite
def word_documents(draw: st.DrawFn, *, nested: bool = False) -> Document:
    """Visible words that someone split, with no text; with `nested`, spans that may lie within one another."""
    letters = _CHARACTERS.replace(" ", "").replace("\u00a0", "")
    words = draw(st.lists(st.text(letters, min_size=1, max_size=4).filter(split_words), min_size=1, max_size=6))
    spans = draw((_nested_spans if nested else _spans)(len(words)))
    return Document.of(Sentence(tuple(words), spans))
