"""Nine sentences of who lives where, which any way of tuning can learn."""

from __future__ import annotations

from lightner.types import LabelSet, Sentence, Span

LABELS = LabelSet.of(["PER", "LOC"])
TRAIN = tuple(
    Sentence((who, "lives", "in", where), (Span(0, 1, "PER"), Span(3, 4, "LOC")))
    for who in ("ada", "emil", "mary")
    for where in ("paris", "rome", "oslo")
)
