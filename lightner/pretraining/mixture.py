"""The stream of pretraining batches: labelled sets with temperature, and raw text with weak labels.

Every batch comes from one source and has one label set, which is a random part of the source's labels in other
words. Pure values; knows no tensors.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lightner.data.formats import labels_of, read
from lightner.pretraining import raw, wordnet
from lightner.types import InputError, LabelSet, Sentence, Span, label_words

WEAK = "wordnet"
PARAPHRASES = Path(__file__).parent / "paraphrases.json"
_KEEP_LABEL = 0.8
_PARAPHRASE = 0.5
_DROP_PUNCTUATION = 0.15
_LOWER_CASE = 0.25
_TEMPERATURE = 0.5
_MOST_WORDS = 64
_MOST_LABELS = 20
_POOL = 8
_SKIP = 200_000


@dataclass(frozen=True)
class Source:
    """One labelled set: its name and sentences, with and without entities apart."""

    name: str
    filled: tuple[Sentence, ...]
    empty: tuple[Sentence, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Draw:
    """One batch: sentences whose spans carry names of `labels`, and the source they came from."""

    source: str
    sentences: tuple[Sentence, ...]
    labels: LabelSet


@dataclass(frozen=True)
class Recipe:
    """What is mixed: sentences per batch, and the share of batches that are weakly labelled raw text."""

    batch_size: int = 32
    weak_share: float = 0.35
    empty_share: float = 0.1


def load_sources(folder: Path, *, leave_out: Sequence[str] = ()) -> tuple[Source, ...]:
    """Every set below `folder`, one directory each; all its splits are joined, sentences of equal words kept once.

    Raises:
        InputError: no set is there.
    """
    found = []
    for directory in sorted(path for path in folder.iterdir() if path.is_dir() and path.name not in leave_out):
        unique = {s.words: s for file in sorted(directory.glob("*.conll")) for s in read(file)}
        short = [sentence for sentence in unique.values() if len(sentence.words) <= _MOST_WORDS]
        filled = tuple(sentence for sentence in short if sentence.spans)
        empty = tuple(sentence for sentence in short if not sentence.spans)
        found.append(Source(directory.name, filled, empty, labels_of(filled)))
    if not found:
        raise InputError(f"pretraining data: found no set in {folder}, expected a directory of .conll files per set")
    return tuple(found)


def draws(
    sources: Sequence[Source],
    weak: Iterator[Sequence[tuple[str, ...]]],
    thesaurus: wordnet.WordNet,
    recipe: Recipe,
    rng: random.Random,
) -> Iterator[Draw]:
    """Batches without end."""
    phrases: Mapping[str, Sequence[str]] = json.loads(PARAPHRASES.read_text(encoding="utf-8"))
    weights = [len(source.filled) ** _TEMPERATURE for source in sources]
    while True:
        if rng.random() < recipe.weak_share:
            words = next(weak)
            sentences, names = wordnet.label_sentences(words, thesaurus, rng)
            if not any(sentence.spans for sentence in sentences):
                continue
            draw = Draw(WEAK, tuple(sentences), LabelSet.of(names))
        else:
            draw = _draw(rng.choices(sources, weights)[0], phrases, recipe, rng)
        yield _lowered(draw) if rng.random() < _LOWER_CASE else draw


def endless_raw(path: Path, *, seed: int) -> Iterator[tuple[str, ...]]:
    """Sentences of a raw text over and over, from a random offset in the first pass."""
    skip = random.Random(seed).randrange(_SKIP)
    while True:
        for number, words in enumerate(raw.sentences(path)):
            if number >= skip and len(words) <= _MOST_WORDS:
                yield words
        skip = 0


def alike(sentences: Iterator[tuple[str, ...]], *, size: int, rng: random.Random) -> Iterator[list[tuple[str, ...]]]:
    """Groups of `size` sentences of about one length, so that little of a batch is padding."""
    while True:
        pool = sorted((next(sentences) for _ in range(size * _POOL)), key=len)
        groups = [pool[start : start + size] for start in range(0, len(pool), size)]
        rng.shuffle(groups)
        yield from groups


def _alike(sentences: Sequence[Sentence], size: int, rng: random.Random) -> list[Sentence]:
    pool = sorted(rng.choices(sentences, k=size * _POOL), key=lambda sentence: len(sentence.words))
    start = rng.randrange(len(pool) - size + 1)
    return pool[start : start + size]


def _draw(source: Source, phrases: Mapping[str, Sequence[str]], recipe: Recipe, rng: random.Random) -> Draw:
    empties = sum(rng.random() < recipe.empty_share for _ in range(recipe.batch_size)) if source.empty else 0
    picked = _alike(source.filled, recipe.batch_size - empties, rng)
    longest = len(picked[-1].words)
    picked += [s for s in rng.choices(source.empty, k=empties) if len(s.words) <= longest] if empties else []
    present = {span.label for sentence in picked for span in sentence.spans}
    kept = [label for label in source.labels if rng.random() < _KEEP_LABEL] or list(source.labels)
    if not present & set(kept):
        kept.append(rng.choice(sorted(present)))
    if len(kept) > _MOST_LABELS:
        kept = sorted(kept, key=lambda label: (label not in present, rng.random()))[:_MOST_LABELS]
    names = _rename(kept, phrases, rng)
    strip = rng.random() < _DROP_PUNCTUATION
    sentences = tuple(_relabel(_bare(s) if strip else s, names) for s in picked)
    return Draw(source.name, sentences, LabelSet.of(names.values()))


def _rename(kept: Sequence[str], phrases: Mapping[str, Sequence[str]], rng: random.Random) -> dict[str, str]:
    names: dict[str, str] = {}
    for label in kept:
        own = " ".join(label_words(label))
        others = phrases.get(own, ())
        name = rng.choice(others) if others and rng.random() < _PARAPHRASE else own
        names[label] = own if name in names.values() else name
    if len(set(names.values())) < len(names):
        return {label: label for label in kept}
    return names


def _relabel(sentence: Sentence, names: Mapping[str, str]) -> Sentence:
    spans = tuple(replace(span, label=names[span.label]) for span in sentence.spans if span.label in names)
    return Sentence(sentence.words, spans)


def _lowered(draw: Draw) -> Draw:
    """The batch as people type who use no capitals, so that letter case helps but is never relied on."""
    lowered = tuple(replace(each, words=tuple(word.lower() for word in each.words)) for each in draw.sentences)
    return replace(draw, sentences=lowered)


def _bare(sentence: Sentence) -> Sentence:
    """The sentence without punctuation outside its entities, as people type into a search box."""
    inside = {position for span in sentence.spans for position in range(span.start, span.end)}
    kept = [i for i, word in enumerate(sentence.words) if i in inside or any(c.isalnum() for c in word)]
    if not kept:
        return sentence
    place = {old: new for new, old in enumerate(kept)}
    spans = tuple(Span(place[span.start], place[span.end - 1] + 1, span.label) for span in sentence.spans)
    return Sentence(tuple(sentence.words[i] for i in kept), spans)
