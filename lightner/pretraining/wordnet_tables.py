"""WordNet as plain tables, made once from nltk's reader. Knows nothing about sentences.

Noun synsets are kept whole; for verbs, adjectives and adverbs only the frequency of each lemma.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from lightner.types import InputError
from lightner.words import split_words

MAX_LEMMA_WORDS = 4
TOPS = "noun.Tops"
"""Lexicographer file of the most general synsets."""
_PARTS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
_PART_OF_SENSE_TYPE = {"1": "noun", "2": "verb", "3": "adj", "4": "adv", "5": "adj"}
_INFLECTED = ("noun", "verb")
_SHORTEST_INFLECTED = 4


@dataclass(frozen=True, slots=True)
class Synset:
    """A noun synset: `id` is its byte offset in data.noun, lemmas have spaces and keep their case,
    `lexicographer` is the name of its file in lexnames(5WN), such as `noun.animal`."""

    id: int
    lemmas: tuple[str, ...]
    hypernyms: tuple[int, ...]
    instance_hypernyms: tuple[int, ...]
    lexicographer: str

    @property
    def is_instance(self) -> bool:
        """Whether this is an individual thing (a person, a city) and not a kind."""
        return bool(self.instance_hypernyms)


@dataclass(frozen=True, slots=True)
class Sense:
    """One sense of a written form: its synset and its count in the tagged corpus."""

    synset: int
    count: int


@dataclass(frozen=True, eq=False)
class WordNet:
    """The tables. Compared and hashed by identity, so that results can be cached per WordNet.

    senses: written form (case kept, spaces) -> noun senses in sense order
    ancestors: synset -> itself and everything above it, in no particular order
    depth: synset -> length of its longest path to a root, so that a hyponym is always deeper than its hypernym
    phrases: words of a form of two to four written words -> the form
    phrase_lengths: first word of a phrase -> lengths in words, longest first
    uses: part of speech -> lemma (lower case, spaces) -> tag count; a lemma never tagged has 0
    exceptions: part of speech -> irregular form -> base forms
    endings: part of speech -> ending of an inflected form and what it replaces
    """

    synsets: Mapping[int, Synset]
    senses: Mapping[str, tuple[Sense, ...]]
    ancestors: Mapping[int, tuple[int, ...]]
    depth: Mapping[int, int]
    phrases: Mapping[tuple[str, ...], str]
    phrase_lengths: Mapping[str, tuple[int, ...]]
    uses: Mapping[str, Mapping[str, int]]
    exceptions: Mapping[str, Mapping[str, tuple[str, ...]]]
    endings: Mapping[str, tuple[tuple[str, str], ...]]

    def noun_bases(self, form: str) -> tuple[str, ...]:
        """`form` and its possible singulars, as far as they are noun forms here."""
        return tuple(base for base in self._bases(form, "noun") if base in self.senses)

    def verb_bases(self, form: str) -> tuple[str, ...]:
        """`form` and its possible infinitives, as far as they are verbs here."""
        return tuple(base for base in self._bases(form, "verb") if base in self.uses["verb"])

    def _bases(self, form: str, part: str) -> Iterable[str]:
        found = [form, *self.exceptions[part].get(form, ())]
        if len(form) >= _SHORTEST_INFLECTED and not form.endswith("ss"):
            endings = self.endings[part]
            found += [form[: -len(ending)] + base for ending, base in endings if form.endswith(ending)]
        return dict.fromkeys(found)


def load(folder: str | os.PathLike[str]) -> WordNet:
    """Load the WordNet of `folder`, such as /usr/share/wordnet. Raises InputError, also if nltk is not installed."""
    try:
        from lightner.pretraining import _nltk_wordnet
    except ImportError as error:
        raise InputError(f"WordNet: found {error}, expected nltk (pip install 'lightner-ray[pretrain]')") from error
    with _nltk_wordnet.reading(folder) as reader:
        synsets = {each.offset(): _synset(each) for each in list(reader.all_synsets("n"))}
        ancestors, depth = _closures(synsets)
        counts = dict(_tag_counts(reader))
        senses = _senses(reader, counts)
        phrases, lengths = _phrases(senses)
        return WordNet(
            synsets=synsets,
            senses=senses,
            ancestors=ancestors,
            depth=depth,
            phrases=phrases,
            phrase_lengths=lengths,
            uses=_uses(reader, counts),
            exceptions={part: dict(_exceptions(reader, part)) for part in _INFLECTED},
            endings={part: tuple(reader.MORPHOLOGICAL_SUBSTITUTIONS[_PARTS[part]]) for part in _INFLECTED},
        )


def _synset(found: Any) -> Synset:
    return Synset(
        found.offset(),
        tuple(name.replace("_", " ") for name in found.lemma_names()),
        tuple(sorted(each.offset() for each in found.hypernyms())),
        tuple(sorted(each.offset() for each in found.instance_hypernyms())),
        found.lexname(),
    )


def _closures(synsets: Mapping[int, Synset]) -> tuple[dict[int, tuple[int, ...]], dict[int, int]]:
    """Ancestors and depth of each synset, computed from the top down; nltk would walk each synset's path again."""
    parents = {each.id: each.hypernyms + each.instance_hypernyms for each in synsets.values()}
    ancestors: dict[int, tuple[int, ...]] = {}
    depth: dict[int, int] = {}
    for number in TopologicalSorter(parents).static_order():
        above = (ancestor for parent in parents[number] for ancestor in ancestors[parent])
        ancestors[number] = tuple(dict.fromkeys((number, *above)))
        depth[number] = max((depth[parent] + 1 for parent in parents[number]), default=0)
    return ancestors, depth


def _tag_counts(reader: Any) -> Iterator[tuple[str, int]]:
    """All sense keys and their counts, read at once: nltk looks up one key at a time, which takes a minute for all."""
    with reader.open("cntlist.rev") as lines:
        for line in lines:
            try:
                key, _, count = line.split()
                _part_of(key)  # raises LookupError for a key without a part of speech
                yield key, int(count)
            except (ValueError, LookupError) as error:
                raise ValueError(f"{line.strip()!r} in cntlist.rev") from error


def _uses(reader: Any, counts: Mapping[str, int]) -> dict[str, dict[str, int]]:
    uses = {part: dict.fromkeys(map(_spaced, reader.all_lemma_names(mark)), 0) for part, mark in _PARTS.items()}
    for key, count in counts.items():
        own, lemma = uses[_part_of(key)], _spaced(key.rpartition("%")[0])
        own[lemma] = own.get(lemma, 0) + count
    return uses


def _part_of(sense_key: str) -> str:
    return _PART_OF_SENSE_TYPE[sense_key.rpartition("%")[2][0]]


def _senses(reader: Any, counts: Mapping[str, int]) -> dict[str, tuple[Sense, ...]]:
    found: dict[str, dict[int, Sense]] = {}
    for name in reader.all_lemma_names("n"):
        # In sense order. One synset may hold a lemma in two cases (Web, web): both forms get the sense.
        for lemma in reader.lemmas(name, "n"):
            sense = Sense(lemma.synset().offset(), counts.get(lemma.key(), 0))
            found.setdefault(_spaced(lemma.name()), {}).setdefault(sense.synset, sense)
    return {form: tuple(those.values()) for form, those in found.items()}


def _phrases(senses: Mapping[str, object]) -> tuple[dict[tuple[str, ...], str], dict[str, tuple[int, ...]]]:
    phrases: dict[tuple[str, ...], str] = {}
    lengths: dict[str, set[int]] = {}
    for form in senses:
        if form.count(" ") >= MAX_LEMMA_WORDS:
            continue
        words = tuple(word.text for word in split_words(form))
        if len(words) > 1:
            phrases[words] = form
            lengths.setdefault(words[0], set()).add(len(words))
    return phrases, {word: tuple(sorted(those, reverse=True)) for word, those in lengths.items()}


def _exceptions(reader: Any, part: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    with reader.open(f"{part}.exc") as lines:
        for line in lines:
            form, *bases = map(_spaced, line.split())
            yield form, tuple(bases)


def _spaced(name: str) -> str:
    return name.replace("_", " ")
