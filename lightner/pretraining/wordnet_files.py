"""WordNet 3.x database files (wndb(5WN)) read into plain tables, and its morphology. Knows nothing about sentences.

Only noun synsets are kept whole; of verbs, adjectives and adverbs only how often a lemma is used as one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lightner.types import InputError
from lightner.words import split_words

MAX_LEMMA_WORDS = 4
_INSTANCE_POINTER = "@i"
_PART_OF_SENSE_TYPE = {"1": "noun", "2": "verb", "3": "adj", "4": "adv", "5": "adj"}
_NOUN_ENDINGS = (("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"),
                 ("men", "man"), ("ies", "y"))  # fmt: skip
_VERB_ENDINGS = (("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", ""))
_SHORTEST_INFLECTED = 4


@dataclass(frozen=True, slots=True)
class Synset:
    """A noun synset: `id` is its byte offset in data.noun, lemmas are written with spaces and their own case,
    `lexicographer` is the file number of lexnames(5WN), 3 (Tops) to 28 (time)."""

    id: int
    lemmas: tuple[str, ...]
    hypernyms: tuple[int, ...]
    instance_hypernyms: tuple[int, ...]
    lexicographer: int

    @property
    def is_instance(self) -> bool:
        """Whether this is one particular thing (a person, a city) instead of a kind."""
        return bool(self.instance_hypernyms)


@dataclass(frozen=True, slots=True)
class Sense:
    """One reading of a written form: its synset and how often the tagged corpus has it."""

    synset: int
    count: int


@dataclass(frozen=True, eq=False)
class WordNet:
    """The tables. Equality and hash are those of the object, so that results may be cached per WordNet.

    senses: written form (case kept, spaces) -> noun senses in sense order
    ancestors: synset -> itself and everything above it, without order promise
    depth: synset -> length of its longest way to a root, so that a hyponym is always deeper than its hypernym
    phrases: words of a form of two to four written words -> the form
    phrase_lengths: first word of a phrase -> lengths in words, longest first
    uses: part of speech -> lemma (lower case, spaces) -> tag count; a lemma never tagged has 0
    exceptions: part of speech -> irregular form -> base forms
    """

    synsets: Mapping[int, Synset]
    senses: Mapping[str, tuple[Sense, ...]]
    ancestors: Mapping[int, tuple[int, ...]]
    depth: Mapping[int, int]
    phrases: Mapping[tuple[str, ...], str]
    phrase_lengths: Mapping[str, tuple[int, ...]]
    uses: Mapping[str, Mapping[str, int]]
    exceptions: Mapping[str, Mapping[str, tuple[str, ...]]]

    def hypernym_path(self, synset: int) -> tuple[Synset, ...]:
        """From `synset` up to a root, by the first hypernym (else instance hypernym) of each."""
        path = [self.synsets[synset]]
        while parents := path[-1].hypernyms or path[-1].instance_hypernyms:
            path.append(self.synsets[parents[0]])
        return tuple(path)

    def noun_bases(self, form: str) -> tuple[str, ...]:
        """`form` and its possible singulars, those that are noun forms here."""
        found = (form, *self.exceptions["noun"].get(form, ()), *_without(form, _NOUN_ENDINGS))
        return tuple(base for base in dict.fromkeys(found) if base in self.senses)

    def verb_bases(self, form: str) -> tuple[str, ...]:
        """`form` and its possible infinitives, those that are verbs here."""
        found = (form, *self.exceptions["verb"].get(form, ()), *_without(form, _VERB_ENDINGS))
        return tuple(base for base in dict.fromkeys(found) if base in self.uses["verb"])


def load(folder: str | os.PathLike[str]) -> WordNet:
    """The WordNet of `folder` (index.*, data.noun, cntlist.rev, noun.exc, verb.exc). Raises InputError."""
    root = Path(folder)
    synsets = dict(_synsets(root / "data.noun"))
    uses: dict[str, dict[str, int]] = {}
    for part in ("noun", "verb", "adj", "adv"):
        uses[part] = {line.split(" ", 1)[0].replace("_", " "): 0 for _, line in _entries(root / f"index.{part}")}
    sense_counts: dict[tuple[str, int], int] = {}
    for part, lemma, rank, count in _tag_counts(root / "cntlist.rev"):
        uses[part][lemma] = uses[part].get(lemma, 0) + count
        if part == "noun":
            sense_counts[lemma, rank] = count
    senses = _senses(root / "index.noun", synsets, sense_counts)
    ancestors, depth = _closures(synsets, where=root / "data.noun")
    phrases, lengths = _phrases(senses)
    exceptions = {part: _exceptions(root / f"{part}.exc") for part in ("noun", "verb")}
    return WordNet(
        synsets=synsets, senses=senses, ancestors=ancestors, depth=depth, phrases=phrases, phrase_lengths=lengths,
        uses=uses, exceptions=exceptions,
    )  # fmt: skip


def _entries(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines without the licence, whose lines begin with two blanks."""
    try:
        with path.open(encoding="latin-1") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip() and not line.startswith("  "):
                    yield number, line
    except OSError as error:
        raise InputError(f"{path}: found {error.strerror}, expected a WordNet 3.x database file") from error


def _synsets(path: Path) -> Iterator[tuple[int, Synset]]:
    for number, line in _entries(path):
        fields = line.partition(" | ")[0].split()
        try:
            words = int(fields[3], 16)
            lemmas = tuple(lemma.replace("_", " ") for lemma in fields[4 : 4 + 2 * words : 2])
            pointers = fields[5 + 2 * words :]
            if len(pointers) != 4 * int(fields[4 + 2 * words]):
                raise ValueError("a wrong number of pointers")
            above = {
                symbol: tuple(
                    int(target) for kind, target in zip(pointers[::4], pointers[1::4], strict=True) if kind == symbol
                )
                for symbol in ("@", _INSTANCE_POINTER)
            }
            synset = Synset(int(fields[0]), lemmas, above["@"], above[_INSTANCE_POINTER], int(fields[1]))
        except (ValueError, IndexError) as error:
            raise InputError(f"{path}:{number}: found {error}, expected a noun synset in wndb format") from error
        yield synset.id, synset


def _tag_counts(path: Path) -> Iterator[tuple[str, str, int, int]]:
    for number, line in _entries(path):
        try:
            key, rank, count = line.split()
            lemma, _, rest = key.rpartition("%")
            yield _PART_OF_SENSE_TYPE[rest[0]], lemma.replace("_", " "), int(rank), int(count)
        except (ValueError, LookupError) as error:
            raise InputError(f"{path}:{number}: found {line.strip()!r}, expected `sense_key rank count`") from error


def _senses(
    path: Path, synsets: Mapping[int, Synset], counts: Mapping[tuple[str, int], int]
) -> dict[str, tuple[Sense, ...]]:
    found: dict[str, list[Sense]] = {}
    for number, line in _entries(path):
        fields = line.split()
        lemma = fields[0].replace("_", " ")
        try:
            for rank, offset in enumerate(map(int, fields[-int(fields[2]) :]), start=1):
                sense = Sense(offset, counts.get((lemma, rank), 0))
                # One synset may hold a lemma in two cases (Web, web): both forms get the sense.
                for form in (form for form in synsets[offset].lemmas if form.lower() == lemma):
                    found.setdefault(form, []).append(sense)
        except (ValueError, LookupError) as error:
            raise InputError(f"{path}:{number}: found {error!r}, expected offsets of synsets in data.noun") from error
    return {form: tuple(those) for form, those in found.items()}


def _closures(synsets: Mapping[int, Synset], *, where: Path) -> tuple[dict[int, tuple[int, ...]], dict[int, int]]:
    ancestors: dict[int, tuple[int, ...]] = {}
    depth: dict[int, int] = {}
    for first in synsets:
        waiting = [first]
        while waiting:
            current = waiting[-1]
            if current not in synsets or len(waiting) > len(synsets):
                raise InputError(
                    f"{where}: found synset {current} as a hypernym, expected one that is listed, no circle"
                )
            parents = synsets[current].hypernyms + synsets[current].instance_hypernyms
            missing = [parent for parent in parents if parent not in ancestors]
            if missing and current not in ancestors:
                waiting.append(missing[0])
                continue
            waiting.pop()
            ancestors[current] = tuple(dict.fromkeys((current, *(a for parent in parents for a in ancestors[parent]))))
            depth[current] = max((depth[parent] + 1 for parent in parents), default=0)
    return ancestors, depth


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


def _exceptions(path: Path) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for _, line in _entries(path):
        form, *bases = line.replace("_", " ").split()
        found[form] = tuple(bases)
    return found


def _without(form: str, endings: tuple[tuple[str, str], ...]) -> Iterator[str]:
    if len(form) < _SHORTEST_INFLECTED or form.endswith("ss"):
        return
    for ending, replacement in endings:
        if form.endswith(ending):
            yield form[: -len(ending)] + replacement
