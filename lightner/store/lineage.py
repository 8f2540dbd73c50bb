"""Which sentences a published prompt learned from, and which it was measured on, as its card records them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields

from lightner.store.card import JSON, Card
from lightner.types import Counts, Sentence

_MOST_SEEN = 50_000  # sentences whose marks a card has room for
_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Measured:
    """Sentences that a new version was measured on without having learned from them, and its counts on each."""

    sentences: tuple[Sentence, ...]
    counts: tuple[Counts, ...]

    @property
    def f1(self) -> float:
        return sum(self.counts, Counts()).f1


def traces(learned: Iterable[Sentence], measured: Measured, source: Card | None = None) -> dict[str, JSON]:
    """What a card records so that a later version can be compared.

    Marks of the sentences learned from, a hash of those measured on, and the counts on each (left out where there are
    very many). A prompt that started from that of the card `source` has learned what that had; where `source` has no
    record, neither does the new card.
    """
    inherited = frozenset() if source is None else _learned_marks(source)
    marks = sorted({_mark(sentence) for sentence in learned}.union(inherited or ()))
    found: dict[str, JSON] = {"measured_on_sha256": _digest(measured.sentences)}
    if len(measured.sentences) <= _MOST_SEEN:
        found["measured_counts"] = ";".join(",".join(map(str, astuple(counts))) for counts in in_order(measured))
    recorded = inherited is not None and len(marks) <= _MOST_SEEN
    return {**found, "learned_from": "".join(marks)} if recorded else found


def unseen(sentences: Sequence[Sentence], card: Card) -> tuple[bool, ...]:
    """Whether the card's prompt has surely not learned from each sentence; all False where the card has no record."""
    seen = _learned_marks(card)
    return tuple(seen is not None and _mark(sentence) not in seen for sentence in sentences)


def learned_from(sentences: Sequence[Sentence], card: Card) -> int:
    """How many of the sentences the card's prompt has learned from; 0 where the card has no record."""
    seen = _learned_marks(card) or frozenset()
    return sum(_mark(sentence) in seen for sentence in sentences)


def measured_alike(measured: Measured, card: Card) -> bool:
    """Whether the card's version was measured on the same sentences, labels included."""
    return card.data.get("measured_on_sha256") == _digest(measured.sentences)


def recorded_counts(card: Card, count: int) -> tuple[Counts, ...] | None:
    """Counts on each of the `count` sentences measured on, in the order of `in_order`; None: no record."""
    stated = card.data.get("measured_counts")
    rows = stated.split(";") if isinstance(stated, str) else []
    numbers = [tuple(int(number) for number in row.split(",") if number.isdecimal()) for row in rows]
    if len(numbers) != count or any(len(row) != len(fields(Counts)) for row in numbers):
        return None
    return tuple(Counts(*row) for row in numbers)


def in_order(measured: Measured) -> tuple[Counts, ...]:
    """Counts in an order that depends on the sentences alone."""
    pairs = zip(measured.sentences, measured.counts, strict=True)
    ordered = sorted(pairs, key=lambda pair: (pair[0].words, pair[0].spans, astuple(pair[1])))
    return tuple(counts for _, counts in ordered)


def _learned_marks(card: Card) -> frozenset[str] | None:
    """Marks of the sentences that the card's prompt learned from; None where the card has no record."""
    marks = card.data.get("learned_from")
    if not isinstance(marks, str):
        return None
    return frozenset(marks[start : start + _DIGITS] for start in range(0, len(marks), _DIGITS))


def _mark(sentence: Sentence) -> str:
    """Of its words alone: whoever corrects a label has still learned from the sentence."""
    return hashlib.sha256("\n".join(sentence.words).encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]


def _digest(sentences: Iterable[Sentence]) -> str:
    """Of words and spans, whatever the order of the sentences: a hash of explicit JSON, since cards keep it."""
    rows = sorted([list(each.words), [[span.start, span.end, span.label] for span in each.spans]] for each in sentences)
    return hashlib.sha256(json.dumps({"version": 1, "sentences": rows}).encode()).hexdigest()
