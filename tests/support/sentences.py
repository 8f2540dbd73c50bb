"""Small labelled sentences that several tests learn from."""

from __future__ import annotations

from lightner.types import Sentence, Span


def sentence(number: int, *, label: str = "PER") -> Sentence:
    return Sentence(("Ana", "met", f"Bob{number}", "in", "Oslo", "."), (Span(0, 1, label), Span(4, 5, "LOC")))
