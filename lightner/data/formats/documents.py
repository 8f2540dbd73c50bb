"""A text with labelled words, as writers of formats take it: from a sentence that was read, or from what a model found.

Knows no format.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lightner.types import Sentence, Span, is_nested
from lightner.words import Word, placed_words, split_words


@dataclass(frozen=True, slots=True)
class Document:
    """A text, its words, their spans with scores where a model found them, and where it is from, for messages.

    `own_text` says that the text is what someone wrote, rather than words joined by spaces. `certainty` is how sure the
    model is of all of it (a probability, the geometric mean over the steps that wrote the answer), `found_by` its name.
    """

    text: str
    words: tuple[Word, ...]
    spans: tuple[tuple[Span, float | None], ...]
    place: str = ""
    own_text: bool = True
    certainty: float | None = None
    found_by: str = ""

    @classmethod
    def of(cls, sentence: Sentence) -> Document:
        """A sentence as it was read: with its text, if it had one."""
        spans = tuple((span, sentence.scores.get(span)) for span in sentence.spans)
        text, words = placed_words(sentence)
        return cls(text, words, spans, sentence.place, own_text=text == sentence.text)

    @property
    def sentence(self) -> Sentence:
        """Its words and spans."""
        words = tuple(word.text for word in self.words)
        return Sentence(words, tuple(span for span, _ in self.spans), self.place)

    @property
    def nested(self) -> bool:
        """Whether two of its spans share a word."""
        return is_nested(span for span, _ in self.spans)

    @property
    def splits_alike(self) -> bool:
        """Whether its words are those that a reader of its text finds."""
        return split_words(self.text) == self.words

    @property
    def marks(self) -> tuple[Labelled, ...]:
        """The spans in characters."""
        return tuple(self._mark(span, score) for span, score in self.spans)

    def _mark(self, span: Span, score: float | None) -> Labelled:
        start, end = self.words[span.start].start, self.words[span.end - 1].end
        return Labelled(start, end, self.text[start:end], span, score)

    def tokens(self) -> tuple[Token, ...]:
        """The words as spaCy has them: each with whether a space follows, and other text between them as tokens."""
        return tuple(self._tokens())

    def _tokens(self) -> Iterator[Token]:
        if self.words and self.words[0].start:
            yield Token(0, self.words[0].start, False, None)
        starts = [*(word.start for word in self.words[1:]), len(self.text)]
        for number, (word, following) in enumerate(zip(self.words, starts, strict=True)):
            space = self.text[word.end : following].startswith(" ")
            yield Token(word.start, word.end, space, number)
            if word.end + space < following:
                yield Token(word.end + space, following, False, None)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A span of a document in characters `[start, end)`, with the text there."""

    start: int
    end: int
    text: str
    span: Span
    score: float | None

    @property
    def label(self) -> str:
        return self.span.label


@dataclass(frozen=True, slots=True)
class Token:
    """Characters `[start, end)`, whether a space follows that is part of no token, and which word they are, if any."""

    start: int
    end: int
    space: bool
    word: int | None
