"""Inspects a training set before time is spent on it: counts, errors and warnings, in words.

Pure: it knows sentences, neither files nor models.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lightner.types import MOST_WORDS, Sentence, is_nested
from lightner.words import in_parts

_NESTED = "entities lie within one another in {}: the domain's answers may be nested, too"
RARE_BELOW = 3
"""A type with fewer mentions cannot be both learned and measured."""


@dataclass(frozen=True, slots=True)
class DataReport:
    """Facts about a training set and its development and test sets. `errors` forbid training, `warnings` do not."""

    sentences: int
    words: int
    mentions: Mapping[str, int]
    """Training mentions of each type, the types sorted."""
    duplicates: int
    """Training sentences whose words and spans occur earlier in the set."""
    contradictions: tuple[tuple[str, ...], ...]
    """Words of training sentences that occur in the set with different spans."""
    rare: tuple[str, ...]
    """Types with fewer than RARE_BELOW training mentions."""
    nested: int
    """Training sentences in which entities lie within one another."""
    overlap: int
    """Development sentences whose words are those of a training sentence."""
    leaked: int
    """Test sentences whose words are those of a training or development sentence."""
    errors: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def types(self) -> tuple[str, ...]:
        """The types of the training set, sorted."""
        return tuple(self.mentions)


def inspect(train: Sequence[Sentence], dev: Sequence[Sentence] = (), test: Sequence[Sentence] = ()) -> DataReport:
    """Count `train`, compare `dev` with it, and `test` with both."""
    mentions = _mentions(train)
    annotations: defaultdict[tuple[str, ...], set[Sentence]] = defaultdict(set)
    for sentence in train:
        annotations[sentence.words].add(sentence)
    contradictions = tuple(words for words, different in annotations.items() if len(different) > 1)
    duplicates = len(train) - sum(len(different) for different in annotations.values())
    overlap = sum(sentence.words in annotations for sentence in dev)
    used = {*annotations, *(sentence.words for sentence in dev)}
    leaked = sum(sentence.words in used for sentence in test)
    rare = tuple(name for name, count in mentions.items() if count < RARE_BELOW)
    return DataReport(
        sentences=len(train),
        words=sum(len(sentence.words) for sentence in train),
        mentions=mentions,
        duplicates=duplicates,
        contradictions=contradictions,
        rare=rare,
        nested=sum(is_nested(sentence.spans) for sentence in train),
        overlap=overlap,
        leaked=leaked,
        errors=_errors(train, mentions),
        warnings=(
            *_train_warnings(mentions, rare, duplicates=duplicates, contradictions=contradictions),
            *_dev_warnings(mentions, dev, overlap),
            *_test_warnings(mentions, test, leaked),
        ),
    )


def cut_warnings(texts: Sequence[Sentence], parts: Sequence[Sentence]) -> tuple[str, ...]:
    """A warning if long texts are learned in parts; `parts` are all texts in the parts that are learned."""
    long = [text for text in texts if len(in_parts(text)) > 1]
    if not long:
        return ()
    where = f", first at {long[0].place}" if long[0].place else ""
    more = len(parts) - len(texts) + len(long)
    return (
        f"{len(long)} texts of more than {MOST_WORDS} words are learned in {more} parts, cut at sentence ends{where}.",
    )


def describe(report: DataReport) -> str:
    """The report as plain text: counts, a line per type, then errors and warnings."""
    width = max((len(name) for name in report.types), default=0)
    counts = (report.sentences, "sentence"), (report.words, "word"), (len(report.types), "type")
    return "\n".join(
        [
            ", ".join(_count(number, noun) for number, noun in counts),
            *(f"  {name:{width}}  {_count(count, 'mention')}" for name, count in report.mentions.items()),
            *([_NESTED.format(_count(report.nested, "sentence"))] if report.nested else []),
            *(f"error: {error}" for error in report.errors),
            *(f"warning: {warning}" for warning in report.warnings),
        ]
    )


def _mentions(sentences: Sequence[Sentence]) -> dict[str, int]:
    return dict(sorted(Counter(span.label for sentence in sentences for span in sentence.spans).items()))


def _errors(train: Sequence[Sentence], mentions: Mapping[str, int]) -> tuple[str, ...]:
    if not train:
        return ("The training set has no sentences.",)
    if not mentions:
        return ("The training set has no entities: every sentence is without spans.",)
    return ()


def _train_warnings(
    mentions: Mapping[str, int], rare: Sequence[str], *, duplicates: int, contradictions: Sequence[tuple[str, ...]]
) -> list[str]:
    warnings = []
    if rare:
        named = ", ".join(f"{name} ({mentions[name]})" for name in rare)
        warnings.append(f"Types with fewer than {RARE_BELOW} mentions in the training set: {named}.")
    if duplicates:
        warnings.append(f"The training set repeats {_count(duplicates, 'sentence')} word for word and span for span.")
    if contradictions:
        example = " ".join(contradictions[0])
        times = _count(len(contradictions), "sentence")
        warnings.append(f"The training set gives different spans to the same words in {times}, first: {example!r}.")
    return warnings


def _dev_warnings(mentions: Mapping[str, int], dev: Sequence[Sentence], overlap: int) -> list[str]:
    warnings = _unseen(mentions, dev, "development")
    if dev and not _mentions(dev):
        warnings.append("The development set has no entities: scores on it say nothing.")
    if overlap:
        times = f"{overlap} of {_count(len(dev), 'development sentence')}"
        warnings.append(f"The words of {times} also occur in the training set.")
    return warnings


def _test_warnings(mentions: Mapping[str, int], test: Sequence[Sentence], leaked: int) -> list[str]:
    warnings = _unseen(mentions, test, "test")
    if leaked:
        times = f"{leaked} of {_count(len(test), 'test sentence')}"
        warnings.append(
            f"The words of {times} also occur in the training or development set: their scores are too high."
        )
    return warnings


def _unseen(mentions: Mapping[str, int], sentences: Sequence[Sentence], which: str) -> list[str]:
    names = [name for name in _mentions(sentences) if name not in mentions]
    return [f"Types of the {which} set that the training set lacks: {', '.join(names)}."] if names else []


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
