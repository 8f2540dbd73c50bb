"""The values that travel between layers: pure, frozen, and free of torch, files and text encodings.

A span is in words, end exclusive, everywhere except at the edges; characters exist only in `words` and in
`Entity`; tags (BIO) only in `formats`; integer ids only in `pointers` and below.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

DISTRIBUTION = "lightner-ray"
"""The package's name for pip."""
EMBEDDED = "embedded"
"""The name of the backbone that comes with the package."""
MOST_WORDS = 120
"""Words that are read at once, at most."""


class InputError(ValueError):
    """The caller's mistake. The message names the file, line or field, what was found and what was expected."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A labelled stretch of words, `start` inclusive, `end` exclusive, ordered by position."""

    start: int
    end: int
    label: str

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise InputError(f"span: found words [{self.start}, {self.end}), expected 0 <= start < end")


def outermost_first(spans: Iterable[Span]) -> list[Span]:
    """Spans in order of position, each before those that lie within it; of equal words by label."""
    return sorted(spans, key=lambda span: (span.start, -span.end, span.label))


def is_nested(spans: Iterable[Span]) -> bool:
    """Whether two of the spans share a word."""
    return any(other.start < one.end for one, other in pairwise(outermost_first(spans)))


def crossing(spans: Iterable[Span]) -> tuple[Span, Span] | None:
    """Two spans that share a word although neither lies within the other; None if there are none."""
    around: list[Span] = []
    for span in outermost_first(spans):
        while around and around[-1].end <= span.start:
            around.pop()
        if around and around[-1].end < span.end:
            return around[-1], span
        around.append(span)
    return None


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words and their gold spans; spans are sorted and lie inside the sentence, and may lie within one another.

    The other fields say where the value is from and are no part of it: sentences that differ in them alone are equal.
    `place` is where the sentence was read (`train.conll:12`, `all.json: record 3`), for messages. `text` is the raw
    text of its words, empty where only words were given: there alone it is known that `4.2.1` ends no sentence.
    `scores` has those of spans that a model found.
    """

    words: tuple[str, ...]
    spans: tuple[Span, ...] = ()
    place: str = field(default="", compare=False, repr=False)
    text: str = field(default="", compare=False, repr=False)
    scores: Mapping[Span, float] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "spans", tuple(sorted(self.spans)))
        for span in self.spans:
            if span.end > len(self.words):
                raise InputError(
                    f"span: found end {span.end}, expected at most the {len(self.words)} words of the sentence"
                )

    @property
    def where(self) -> str:
        """How a message names the sentence: its place, else its first words."""
        return self.place or f"sentence {' '.join(self.words[:8])!r}..."


@dataclass(frozen=True, slots=True)
class Entity:
    """A recognised entity in a text: characters `[start, end)`, the text there, its label and probability.

    Where the text was given as words also its words `[start_word, end_word)`.
    """

    start: int
    end: int
    text: str
    label: str
    score: float
    start_word: int | None = None
    end_word: int | None = None


@dataclass(frozen=True, slots=True)
class TaggedText:
    """A text's entities in order of position, and in how many windows it was read (1 for all but long texts).

    `mean_log_p` is how sure the model is of all of it: the mean log-probability of the steps that wrote the answer.
    """

    entities: tuple[Entity, ...]
    windows: int
    mean_log_p: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Labels in a fixed order, each with the label words that the answer space averages (paper, section 3.2)."""

    names: tuple[str, ...]
    words: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise InputError(f"labels: found a name twice in {list(self.names)}, expected distinct names")
        if len(self.words) != len(self.names):
            raise InputError(
                f"labels: found {len(self.words)} word lists, expected one for each of {len(self.names)} labels"
            )
        for name, words in zip(self.names, self.words, strict=True):
            if not words or any(not word.strip() for word in words):
                raise InputError(f"label {name!r}: found label words {list(words)}, expected at least one, none empty")

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def of(cls, names: Iterable[str], words: Mapping[str, Iterable[str]] | None = None) -> LabelSet:
        """Sorted, distinct `names`; label words are the user's in `words`, else read off the name itself."""
        ordered = tuple(sorted(set(names)))
        given = {name: tuple(those) for name, those in (words or {}).items()}
        unknown = sorted(set(given) - set(ordered))
        if unknown:
            raise InputError(f"label words: found labels {unknown}, expected only {list(ordered)}")
        return cls(ordered, tuple(given.get(name) or label_words(name) for name in ordered))


@dataclass(frozen=True, slots=True)
class Reach:
    """How much text a prompt reads at once: as much as it learned from, so that it is not asked for more.

    At most `words` words, and at most `sentences` sentences (0: however many there are). A sentence of more words is
    read in windows of `usual` words (0: of `words`).
    """

    words: int = MOST_WORDS
    sentences: int = 0
    usual: int = 0


@dataclass(frozen=True)
class Calibration:
    """What makes probabilities of a prompt's raw scores, and below which an entity is better left out.

    `sigmoid(logit(score) / temperature + offset)`; the default changes no score. `threshold` is that of labels that
    `thresholds` does not name. Raises InputError for values that cannot be these.
    """

    temperature: float = 1.0
    offset: float = 0.0
    threshold: float = 0.0
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (0 < self.temperature < math.inf and math.isfinite(self.offset)):
            found = f"temperature {self.temperature} and offset {self.offset}"
            raise InputError(f"calibration: found {found}, expected a number above 0 and a finite one")
        for value in (self.threshold, *self.thresholds.values()):
            if not 0 <= value <= 1:
                raise InputError(f"calibration: found threshold {value}, expected a number from 0 to 1")

    def probability(self, score: float) -> float:
        """The probability that an entity of this raw score is right."""
        if (self.temperature, self.offset) == (1.0, 0.0) or not 0 < score < 1:
            return score
        logit = math.log(score) - math.log1p(-score)
        return 1 / (1 + math.exp(-max(-_MOST_LOGIT, logit / self.temperature + self.offset)))

    def least(self, label: str) -> float:
        """The threshold of a label."""
        return self.thresholds.get(label, self.threshold)


_MOST_LOGIT = 700.0  # beyond it the exponential overflows


def alike(names: Iterable[str], keys: Iterable[Hashable]) -> tuple[tuple[str, ...], ...]:
    """Groups of names that share a key, in the order of their first; a name whose key is its own is in none."""
    groups: dict[Hashable, list[str]] = {}
    for name, key in zip(names, keys, strict=True):
        groups.setdefault(key, []).append(name)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


_WORD_IN_LABEL = re.compile(r"[^\W\d_]+?(?=[A-Z][a-z]|[\W\d_]|$)|[^\W\d_]+|\d+")
_ABBREVIATIONS = {
    "PER": "person", "PERS": "person", "LOC": "location", "ORG": "organization", "MISC": "miscellaneous",
    "GPE": "place", "FAC": "facility", "NORP": "group",
}  # fmt: skip


def label_words(name: str) -> tuple[str, ...]:
    """Words of a label name: `depart_date.day_number` -> depart, date, day, number; `PER` -> person."""
    if name.upper() in _ABBREVIATIONS:
        return (_ABBREVIATIONS[name.upper()],)
    words = tuple(word.lower() for word in _WORD_IN_LABEL.findall(name))
    return words or (name,)


NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
"""What domains, aliases and attachments may be called."""


def check_name(name: str, what: str) -> str:
    """`name`, if it may stand in a path or an URL; otherwise InputError, which says `what` it names."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InputError(
            f"{what}: found {name!r}, expected lower-case letters, digits, '.', '_' and '-', a letter or digit first, "
            "at most 128 in all"
        )
    return name


def check_key(key: str, what: str) -> None:
    """Raises InputError, which says `what` it is and not the key, where no HTTP header can hold it."""
    if not (key.isascii() and key.isprintable() and key == key.strip()):
        raise InputError(f"{what}: found white space around it or characters beyond ASCII, expected neither")


@dataclass(frozen=True, slots=True)
class Counts:
    """True positives, predicted and gold entities of one type; `+` adds shards."""

    true_positives: int = 0
    predicted: int = 0
    gold: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.true_positives + other.true_positives, self.predicted + other.predicted, self.gold + other.gold
        )

    @property
    def precision(self) -> float:
        return self.true_positives / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        return self.true_positives / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        total = self.predicted + self.gold
        return 2 * self.true_positives / total if total else 0.0


@dataclass(frozen=True, slots=True)
class Scores:
    """Strict entity-level counts per type; `micro` sums them, `+` adds shards of a distributed evaluation."""

    types: Mapping[str, Counts] = field(default_factory=dict)

    def __add__(self, other: Scores) -> Scores:
        names = sorted({*self.types, *other.types})
        empty = Counts()
        return Scores({name: self.types.get(name, empty) + other.types.get(name, empty) for name in names})

    @property
    def micro(self) -> Counts:
        return sum(self.types.values(), Counts())
