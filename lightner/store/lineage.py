"""Which sentences a published prompt learned from, and which it was measured on, as its card records them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import astuple, dataclass, replace

from lightner.store.card import JSON, Card
from lightner.types import Counts, Scores, Sentence

_MOST_SEEN = 50_000  # sentences whose marks a card has room for
_MOST_NAMED = 10_000  # sentences measured on that a card names one by one: more would crowd out the other records
_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Measured:
    """Sentences that a version was measured on without having learned from them, and its scores on each, by type."""

    sentences: tuple[Sentence, ...]
    scores: tuple[Scores, ...]

    @property
    def counts(self) -> tuple[Counts, ...]:
        """Counts of each sentence over all types."""
        return tuple(each.micro for each in self.scores)

    @property
    def f1(self) -> float:
        return sum(self.counts, Counts()).f1

    def restricted(self, labels: Collection[str]) -> Measured:
        """What it would be if there were no other labels."""
        sentences = (
            replace(each, spans=tuple(span for span in each.spans if span.label in labels)) for each in self.sentences
        )
        return Measured(tuple(sentences), tuple(restricted(each, labels) for each in self.scores))

    def chosen(self, kept: Sequence[bool]) -> Measured:
        """The sentences that are marked as kept."""
        pairs = [pair for pair, keep in zip(zip(self.sentences, self.scores, strict=True), kept, strict=True) if keep]
        return Measured(tuple(sentence for sentence, _ in pairs), tuple(scores for _, scores in pairs))


def restricted(scores: Scores, labels: Collection[str]) -> Scores:
    """The scores of some labels."""
    return Scores({name: counts for name, counts in scores.types.items() if name in labels})


def traces(learned: Iterable[Sentence], measured: Measured, source: Card | None = None) -> dict[str, JSON]:
    """What a card records so that a later version can be compared.

    Marks of the sentences learned from, a hash of those measured on, the counts of each type on each (left out where
    there are very many), and a mark of each, labels included (left out where there are many). A prompt that started
    from that of the card `source` has learned what that had; where `source` has no record, neither does the new card.
    """
    inherited = frozenset() if source is None else _learned_marks(source)
    marks = sorted({_mark(sentence) for sentence in learned}.union(inherited or ()))
    found: dict[str, JSON] = {"measured_on_sha256": digest_of(measured.sentences)}
    if len(measured.sentences) <= _MOST_SEEN:
        names = sorted({name for each in measured.scores for name in each.types})
        order = _order(measured)
        rows = (_row(measured.scores[place], names) for place in order)
        found |= {"measured_labels": names, "measured_counts": ";".join(rows)}
        if len(order) <= _MOST_NAMED:
            found["measured_sentences"] = "".join(_labelled_mark(measured.sentences[place]) for place in order)
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


def has_record(card: Card) -> bool:
    """Whether the card says which sentences its prompt has learned from."""
    return _learned_marks(card) is not None


def recogniser(cards: Iterable[Card]) -> Callable[[Sequence[str]], bool]:
    """Says of the words of a sentence whether one of the cards' prompts has learned from it, as far as they record."""
    known = frozenset[str]().union(*(_learned_marks(card) or () for card in cards))
    return lambda words: _mark_of(words) in known


def measured_alike(measured: Measured, card: Card) -> bool:
    """Whether the card's version was measured on the same sentences, labels included."""
    return card.data.get("measured_on_sha256") == digest_of(measured.sentences)


def recorded_scores(card: Card, count: int) -> tuple[Scores, ...] | None:
    """Scores on each of the `count` sentences measured on, in the order of `in_order`; None: no record of them."""
    names, stated = card.data.get("measured_labels"), card.data.get("measured_counts")
    if not isinstance(names, list) or not isinstance(stated, str):
        return None
    try:
        rows = tuple(_scores(row, names) for row in stated.split(";"))
    except (ValueError, IndexError):
        return None
    return rows if len(rows) == count else None


def recorded_on(sentences: Sequence[Sentence], card: Card) -> tuple[Scores | None, ...]:
    """The scores that the card's version had on each sentence when it was measured; None where no record is of it.

    A sentence with other labels is another one.
    """
    stated = card.data.get("measured_sentences")
    marks = _parted(stated) if isinstance(stated, str) else ()
    known = dict(zip(marks, recorded_scores(card, len(marks)) or (), strict=False))
    return tuple(known.get(_labelled_mark(sentence)) for sentence in sentences)


def in_order(measured: Measured) -> tuple[Counts, ...]:
    """Counts over all types in an order that depends on the sentences alone."""
    counts = measured.counts
    return tuple(counts[place] for place in _order(measured))


def digest_of(sentences: Iterable[Sentence]) -> str:
    """The sha256 of words and spans, whatever the order of the sentences: of explicit JSON, since cards keep it."""
    rows = sorted([list(each.words), [[span.start, span.end, span.label] for span in each.spans]] for each in sentences)
    return hashlib.sha256(json.dumps({"version": 1, "sentences": rows}).encode()).hexdigest()


def _order(measured: Measured) -> list[int]:
    counts = measured.counts  # once: with many sentences they take as long as the order itself

    def key(place: int) -> tuple[object, ...]:
        sentence = measured.sentences[place]
        return sentence.words, sentence.spans, astuple(counts[place])

    return sorted(range(len(measured.sentences)), key=key)


def _row(scores: Scores, names: Sequence[str]) -> str:
    """`0:1,2,1|3:0,1,0`: the number of a label, then its true positives, predicted and gold entities."""
    return "|".join(f"{names.index(name)}:{','.join(map(str, astuple(each)))}" for name, each in scores.types.items())


def _scores(row: str, names: Sequence[str]) -> Scores:
    found = {}
    for entry in row.split("|") if row else ():
        number, _, counts = entry.partition(":")
        found[names[int(number)]] = Counts(*map(int, counts.split(",", maxsplit=2)))
    return Scores(found)


def _learned_marks(card: Card) -> frozenset[str] | None:
    """Marks of the sentences that the card's prompt learned from; None where the card has no record."""
    marks = card.data.get("learned_from")
    if not isinstance(marks, str):
        return None
    return frozenset(_parted(marks))


def _parted(marks: str) -> tuple[str, ...]:
    return tuple(marks[start : start + _DIGITS] for start in range(0, len(marks), _DIGITS))


def _labelled_mark(sentence: Sentence) -> str:
    """Of its words and its spans."""
    return digest_of([sentence])[:_DIGITS]


def _mark(sentence: Sentence) -> str:
    """Of its words alone: whoever corrects a label has still learned from the sentence."""
    return _mark_of(sentence.words)


def _mark_of(words: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(words).encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
