"""Weak labels from WordNet: label sets of varying depth, drawn anew for each small batch of sentences.

Made for variety of labels, not for precision. Knows nothing about files of text, tokenizers or training.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from functools import lru_cache

from lightner.pretraining.mentions import Mention, Reading, person_synset, read
from lightner.pretraining.wordnet_tables import TOPS, Synset, WordNet, load
from lightner.types import Sentence, Span

__all__ = ["Mention", "Synset", "WordNet", "annotate", "label_sentences", "load"]

MAX_LABELS = 14
MIN_LABELS = 2
MAX_COVERED_SHARE = 0.4
GRANULAR_DEPTHS = range(6, 12)
GRANULAR_SHARE = 0.45
COARSE_SHARE = 0.2
NEGATIVE_SHARE = 0.4
NAMED_SHARE = 0.5
KEEP_EMPTY = 0.2
FIRST_LEMMA_SHARE = 0.7

_INSTANCE_KIND = 0.1

_VAGUE_TEXT = (
    "entity,physical entity,abstraction,object,whole,thing,matter,causal agent,psychological feature,attribute,"
    "relation,living thing,instrumentality,unit,part,state,change,activity,cognition,content,set,property,measure,"
    "indefinite quantity,definite quantity,happening,way,number,integer,digit,large integer"
)
_VAGUE = frozenset(_VAGUE_TEXT.split(","))
_COARSE_TEXT = (
    "organization,time period,body part,illness,vehicle,structure,document,region,device,animal,plant,mental object,"
    "written communication,social group,leader,worker,occupation,language unit"
)
_COARSE = frozenset(_COARSE_TEXT.split(","))


def annotate(words: Sequence[str], wordnet: WordNet) -> tuple[Mention, ...]:
    """Sorted, non-overlapping noun mentions, longest match first; doubtful words are left out."""
    return read(words, wordnet).mentions


def label_sentences(
    batch: Sequence[Sequence[str]], wordnet: WordNet, rng: random.Random
) -> tuple[tuple[Sentence, ...], tuple[str, ...]]:
    """Sentences with the spans of one freshly drawn label set, and its names: distinct, 1 to 14 and up to 3 negatives.

    May return fewer sentences than given, in order: most sentences without a span are left out, and, if the labels
    ask for names of people, places or the like, sentences with a name unknown to WordNet. Both tuples are empty if
    the batch offers nothing to label. Every mention takes the deepest chosen synset above it.
    """
    readings = [read(words, wordnet) for words in batch]
    named = rng.random() < NAMED_SHARE
    kept = [reading for reading in readings if not (named and reading.has_unknown_name)]
    covered = _coverage(kept, wordnet)
    chosen = _choose(covered, wordnet, rng, named=named)
    if len(chosen) < MIN_LABELS:
        return (), ()
    names = _names(chosen, wordnet, rng, taken=set())
    labelled = []
    for reading in kept:
        spans = tuple(_spans(reading.mentions, names, wordnet))
        if spans or rng.random() < KEEP_EMPTY:
            labelled.append(Sentence(tuple(reading.words), spans))
    used = {span.label for sentence in labelled for span in sentence.spans}
    asked = [name for name in names.values() if name in used]
    if not asked:
        return (), ()
    wanted = rng.randint(1, 3) if rng.random() < NEGATIVE_SHARE else max(0, MIN_LABELS - len(asked))
    present = {*covered, *(mention.synset_id for reading in kept for mention in reading.mentions)}
    # A sentence with an unknown name may well have one of these, so they are no safe negatives.
    barred = present if named else present | _named_kinds(wordnet)
    asked += _negatives(barred, wordnet, rng, wanted=wanted, taken=set(names.values()))
    rng.shuffle(asked)
    return tuple(labelled), tuple(asked)


@lru_cache(maxsize=8)
def _named_kinds(wordnet: WordNet) -> frozenset[int]:
    """Synsets with many names of individual things below them; texts have many more of these names than WordNet."""
    everything: Counter[int] = Counter()
    instances: Counter[int] = Counter()
    for synset in wordnet.synsets.values():
        everything.update(wordnet.ancestors[synset.id])
        if synset.is_instance:
            instances.update(wordnet.ancestors[synset.id])
    return frozenset(synset for synset, count in instances.items() if count >= _INSTANCE_KIND * everything[synset])


@lru_cache(maxsize=8)
def _kinds(wordnet: WordNet) -> tuple[int, ...]:
    """Synsets of middle depth with hyponyms, from which negative labels are drawn."""
    below = Counter(ancestor for those in wordnet.ancestors.values() for ancestor in those[1:])
    return tuple(
        synset
        for synset, count in below.items()
        if count >= MIN_LABELS and wordnet.depth[synset] in GRANULAR_DEPTHS and not _is_vague(synset, wordnet)
    )


@lru_cache(maxsize=8)
def _coarse_kinds(wordnet: WordNet) -> frozenset[int]:
    tops = {synset.id for synset in wordnet.synsets.values() if synset.lexicographer == TOPS}
    return frozenset(tops | {wordnet.senses[form][0].synset for form in _COARSE if form in wordnet.senses})


@lru_cache(maxsize=1 << 17)
def _is_vague(synset: int, wordnet: WordNet) -> bool:
    return wordnet.synsets[synset].lemmas[0] in _VAGUE


def _coverage(readings: Iterable[Reading], wordnet: WordNet) -> Counter[int]:
    """The number of mentions below each synset; a synset that only covers itself is left out."""
    covered: Counter[int] = Counter()
    for mention in (mention for reading in readings for mention in reading.mentions):
        above = wordnet.ancestors[mention.synset_id]
        # The synset itself comes first; names of people whom WordNet lacks are mentions of person itself.
        covered.update(above if mention.synset_id == person_synset(wordnet) else above[1:])
    return covered


def _choose(covered: Counter[int], wordnet: WordNet, rng: random.Random, *, named: bool) -> list[int]:
    mentions = max(covered.values(), default=0)  # the root covers nearly everything
    barred = frozenset() if named else _named_kinds(wordnet)
    possible = [
        synset
        for synset, count in covered.items()
        if count <= max(2, MAX_COVERED_SHARE * mentions) and synset not in barred and not _is_vague(synset, wordnet)
    ]
    granularity = rng.random()
    if granularity < GRANULAR_SHARE:
        possible = [synset for synset in possible if wordnet.depth[synset] in GRANULAR_DEPTHS]
    elif granularity < GRANULAR_SHARE + COARSE_SHARE:
        possible = [synset for synset in possible if synset in _coarse_kinds(wordnet)]
    wanted = min(rng.randint(MIN_LABELS, MAX_LABELS), len(possible))
    # Sampling without replacement by weight: the largest of u^(1/w).
    keys = {synset: rng.random() ** (covered[synset] ** -0.5) for synset in possible}
    return sorted(possible, key=keys.__getitem__, reverse=True)[:wanted]


def _names(chosen: Iterable[int], wordnet: WordNet, rng: random.Random, *, taken: set[str]) -> dict[int, str]:
    """A distinct name for each synset, preferably its first lemma; a synset without a free name is left out."""
    names: dict[int, str] = {}
    for synset in chosen:
        lemmas = [lemma for lemma in wordnet.synsets[synset].lemmas if len(lemma) > 2]
        if not lemmas:
            continue
        name = lemmas[0] if rng.random() < FIRST_LEMMA_SHARE else rng.choice(lemmas)
        if name not in taken:
            taken.add(name)
            names[synset] = name
    return names


def _spans(mentions: Iterable[Mention], names: Mapping[int, str], wordnet: WordNet) -> Iterator[Span]:
    for mention in mentions:
        above = [synset for synset in wordnet.ancestors[mention.synset_id] if synset in names]
        if above:
            yield Span(mention.start, mention.end, names[max(above, key=wordnet.depth.__getitem__)])


def _negatives(barred: Set[int], wordnet: WordNet, rng: random.Random, *, wanted: int, taken: set[str]) -> list[str]:
    kinds = _kinds(wordnet)
    drawn = [rng.choice(kinds) for _ in range(wanted)] if kinds else []
    return list(_names((synset for synset in drawn if synset not in barred), wordnet, rng, taken=taken).values())
