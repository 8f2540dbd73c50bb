"""Pretraining batches: openly labelled text, labelled sets with temperature, and raw text with weak labels.

Every batch comes from one source and has one label set, a random part of the source's labels, under varied names.
Openly labelled text dominates at first, and human-labelled sets at the end, when the rate is low: their labels are less
noisy and less varied. Pure values; knows no tensors.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from lightner.data.formats import labels_of, read
from lightner.pretraining import raw, wordnet
from lightner.pretraining.open_text import OpenText, draw_group, draw_passages
from lightner.types import InputError, LabelSet, Sentence, Span, label_words
from lightner.words import as_read

WEAK, OPEN = "wordnet", "open"
PARAPHRASES = Path(__file__).parent / "paraphrases.json"
_KEEP_LABEL = 0.8
_PARAPHRASE = 0.5
_DROP_PUNCTUATION = 0.15
_LOWER_CASE = 0.25
_TEMPERATURE = 0.5
_MOST_WORDS = 64
_MOST_LABELS = 20
_POOL = 8
_WEAK_POOL = 2


@dataclass(frozen=True)
class LabelledSet:
    """A labelled set: its name, sentences with entities, and sentences without."""

    name: str
    filled: tuple[Sentence, ...]
    empty: tuple[Sentence, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Draw:
    """One batch: sentences whose spans have names of `labels`, and their source."""

    source: str
    sentences: tuple[Sentence, ...]
    labels: LabelSet


@dataclass(frozen=True)
class Mixture:
    """The sources of batches; each part may be missing. `weak`: paragraphs of raw text, and WordNet."""

    sets: tuple[LabelledSet, ...] = ()
    text: OpenText = OpenText()  # noqa: RUF009 a frozen value
    weak: tuple[tuple[str, ...], wordnet.WordNet] | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources that have their own free slots."""
        named = [OPEN] if self.text.passages or self.text.groups else []
        return (*named, *(each.name for each in self.sets))


@dataclass(frozen=True)
class Recipe:
    """Shares of batches: of openly labelled text, early and late (from the share `late` of the steps); of groups among
    it; of weakly labelled raw text among the rest. `empty_share` of a labelled set's sentences have no entity."""

    batch_size: int = 32
    open_share: float = 0.75
    open_share_at_last: float = 0.6
    late: float = 0.8
    group_share: float = 0.25
    weak_share: float = 0.35
    empty_share: float = 0.1


def load_sets(folder: Path, *, leave_out: Sequence[str] = ()) -> tuple[LabelledSet, ...]:
    """Load every set below `folder`, one directory each, with all splits joined and duplicate sentences removed.

    Raises:
        InputError: the folder has no set.
    """
    found = []
    for directory in sorted(path for path in folder.iterdir() if path.is_dir() and path.name not in leave_out):
        unique = {s.words: as_read(s) for file in sorted(directory.glob("*.conll")) for s in read(file)}
        short = [sentence for sentence in unique.values() if len(sentence.words) <= _MOST_WORDS]
        filled = tuple(sentence for sentence in short if sentence.spans)
        empty = tuple(sentence for sentence in short if not sentence.spans)
        found.append(LabelledSet(directory.name, filled, empty, labels_of(filled)))
    if not found:
        raise InputError(f"pretraining data: found no set in {folder}, expected a directory of .conll files per set")
    return tuple(found)


def draw(mixture: Mixture, recipe: Recipe, rng: random.Random, *, progress: float) -> Draw:
    """Draw a batch at a `progress` between 0 and 1 of the steps; equal random states draw equal batches."""
    while True:
        found = _draw_once(mixture, recipe, rng, progress=progress)
        if found is not None and any(sentence.spans for sentence in found.sentences):
            return _lowered(found) if rng.random() < _LOWER_CASE else found


def _draw_once(mixture: Mixture, recipe: Recipe, rng: random.Random, *, progress: float) -> Draw | None:
    text, others = mixture.text, bool(mixture.sets or mixture.weak)
    share = recipe.open_share if progress < recipe.late else recipe.open_share_at_last
    if OPEN in mixture.sources and (not others or rng.random() < share):
        return _draw_open(text, recipe, rng)
    if mixture.weak and (not mixture.sets or rng.random() < recipe.weak_share):
        return _draw_weak(*mixture.weak, recipe.batch_size, rng)
    weights = [len(each.filled) ** _TEMPERATURE for each in mixture.sets]
    return _draw_set(rng.choices(mixture.sets, weights)[0], recipe, rng)


def _draw_open(text: OpenText, recipe: Recipe, rng: random.Random) -> Draw | None:
    grouped = bool(text.groups) and (not text.passages or rng.random() < recipe.group_share)
    found = (draw_group if grouped else draw_passages)(text, recipe.batch_size, rng)
    if found is None:
        return None
    sentences, labels = found
    if rng.random() < _DROP_PUNCTUATION:
        sentences = tuple(map(_bare, sentences))
    return Draw(OPEN, sentences, labels)


def _draw_weak(paragraphs: Sequence[str], thesaurus: wordnet.WordNet, size: int, rng: random.Random) -> Draw | None:
    pool = sorted(raw.sample(paragraphs, _WEAK_POOL * size, rng), key=len)
    start = rng.randrange(max(1, len(pool) - size + 1))
    sentences, names = wordnet.label_sentences(pool[start : start + size], thesaurus, rng)
    return Draw(WEAK, tuple(sentences), LabelSet.of(names)) if names else None


def _alike(sentences: Sequence[Sentence], size: int, rng: random.Random) -> list[Sentence]:
    pool = sorted(rng.choices(sentences, k=size * _POOL), key=lambda sentence: len(sentence.words))
    start = rng.randrange(len(pool) - size + 1)
    return pool[start : start + size]


def _draw_set(source: LabelledSet, recipe: Recipe, rng: random.Random) -> Draw:
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
    names = _rename(kept, _paraphrases(), rng)
    strip = rng.random() < _DROP_PUNCTUATION
    sentences = tuple(_relabel(_bare(s) if strip else s, names) for s in picked)
    return Draw(source.name, sentences, LabelSet.of(names.values()))


@lru_cache(maxsize=1)
def _paraphrases() -> Mapping[str, Sequence[str]]:
    phrases: Mapping[str, Sequence[str]] = json.loads(PARAPHRASES.read_text(encoding="utf-8"))
    return phrases


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
    """The batch in lower case, as some people type, so that the model never relies on letter case alone."""
    lowered = tuple(
        Sentence(tuple(word.lower() for word in each.words), each.spans, each.place) for each in draw.sentences
    )
    return replace(draw, sentences=lowered)


def _bare(sentence: Sentence) -> Sentence:
    """The sentence without punctuation outside its entities, as in a search box."""
    inside = {position for span in sentence.spans for position in range(span.start, span.end)}
    kept = [i for i, word in enumerate(sentence.words) if i in inside or any(c.isalnum() for c in word)]
    if not kept:
        return sentence
    place = {old: new for new, old in enumerate(kept)}
    spans = tuple(Span(place[span.start], place[span.end - 1] + 1, span.label) for span in sentence.spans)
    return Sentence(tuple(sentence.words[i] for i in kept), spans)
