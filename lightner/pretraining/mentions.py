"""Mentions of nouns and names in a sentence, by WordNet. Knows nothing about label sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from lightner.pretraining.wordnet_tables import MAX_LEMMA_WORDS, TOPS, Sense, WordNet

# Share of a form's tagged uses that must be nouns: after a determiner, anywhere, and after a word that verbs follow.
_NOUN_SHARE_AFTER_DETERMINER = 0.5
_NOUN_SHARE = 0.75
_NOUN_SHARE_BEFORE_VERB = 0.97
_SENSE_PURITY = 0.7
# A tagged verb lemma counts all its forms; about this part of them ends in -ing or -ed.
_PARTICIPLE_WEIGHT = 0.3
_UNTAGGED = 0.5
_PERSON = "person"

_STOP_TEXT = (
    "a about above after again against all also although am an and another any are aren as at be because been "
    "before being below between both but by can cannot could did do does doing down during each either else ever "
    "every few first for former from further had has have having he hence her here hers herself him himself his how "
    "however i if in into is it its itself just last latter least less like ll many may me might mine more most "
    "much must my myself near neither next no none nor not now of off often on once one ones only or other others "
    "ought our ours ourselves out over own per quite rather re same second several shall she should since so some "
    "still such than that the their theirs them themselves then there these they this those though thus till to "
    "today together too toward towards two under until up upon us ve very via was we well were what whatever when "
    "where whether which while who whole whom whose why will with within without would yes yet you your yours "
    "yourself three four five six seven eight nine ten eleven twelve thirteen fifteen twenty thirty forty fifty "
    "sixty seventy eighty ninety hundred thousand million billion trillion dozen third fourth fifth half quarter "
    "zero de la le el da von van al c s t d m thing part kind sort type way lot number case fact use end point term "
    "set form amount deal rest respect example instance regard basis turn order time back side line addition total "
    "majority something anything nothing someone anyone everyone nobody somebody left right course present past "
    "result means round etc sir mr mrs dr ms late early later prior due extent level range series name view issue "
    "matter approach manner general particular member standard main major minor front top bottom middle subject "
    "things times plant plants goods despite self according "
)
_STOP = frozenset(_STOP_TEXT.split())
_DETERMINERS_TEXT = (
    "the a an this that these those his her its their our my your some any each every no several many few two three "
    "four five six seven eight nine ten of"
)
_DETERMINERS = frozenset(_DETERMINERS_TEXT.split())
_BEFORE_VERBS_TEXT = (
    "to will would can could may might must shall should did does do not i we they he she who it you which cannot"
)
_BEFORE_VERBS = frozenset(_BEFORE_VERBS_TEXT.split())
_SHORT_NAMES = frozenset(("US", "UK", "EU", "UN", "USA", "BBC", "CIA", "FBI", "NATO", "NASA", "IBM", "USSR"))


@dataclass(frozen=True, slots=True, order=True)
class Mention:
    """Words `[start, end)` that name something below `synset_id`; `is_instance` for names of individual things."""

    start: int
    end: int
    synset_id: int
    is_instance: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """A sentence with its mentions; `has_unknown_name`: WordNet lacks one of its capitalised words or phrases."""

    words: Sequence[str]
    mentions: tuple[Mention, ...]
    has_unknown_name: bool


def read(words: Sequence[str], wordnet: WordNet) -> Reading:
    """Find mentions in `words`: sorted, not overlapping, longest match first; doubtful words are left out."""
    runs = _capital_runs(words)
    ends = {position: end for start, end in runs for position in range(start, end)}
    starts = {position: start for start, end in runs for position in range(start, end)}
    mentions: list[Mention] = []
    has_unknown_name = False
    position = 0
    while position < len(words):
        start = position
        mention = _phrase_at(words, start, wordnet, starts=starts, ends=ends)
        if mention is None and start not in ends:
            mention = _common_at(words, start, wordnet)
        elif mention is None:
            mention = _name_at(words, start, ends[start], wordnet)
            if mention is None:
                has_unknown_name |= not _is_harmless(words[start : ends[start]], start, wordnet)
                position = ends[start]
                continue
        if mention is not None:
            mentions.append(mention)
        position = start + 1 if mention is None else mention.end
    return Reading(words, tuple(mentions), has_unknown_name)


@lru_cache(maxsize=8)
def person_synset(wordnet: WordNet) -> int | None:
    """The first sense of person, used for names of people whom WordNet lacks."""
    senses = wordnet.senses.get(_PERSON)
    return senses[0].synset if senses else None


def _capital_runs(words: Sequence[str]) -> list[tuple[int, int]]:
    """Runs of capitalised words, with initials and their full stops; the first word alone is no run."""
    runs: list[tuple[int, int]] = []
    position = 0
    while position < len(words):
        start = position
        while position < len(words) and words[position][0].isupper():
            position += 1
            is_initial = len(words[position - 1]) == 1 and words[position : position + 1] in ((".",), ["."])
            if is_initial and position + 1 < len(words) and words[position + 1][0].isupper():
                position += 1
        if start == 0 and position and words[0].lower() in _STOP:
            start = 1
        if position > start and (start > 0 or position > 1 or not words[0][1:].islower()):
            runs.append((start, position))
        position = max(position, start) + 1
    return runs


def _phrase_at(
    words: Sequence[str], start: int, wordnet: WordNet, *, starts: Mapping[int, int], ends: Mapping[int, int]
) -> Mention | None:
    """The longest lemma of several words at `start` that splits no run of capitalised words."""
    first = words[start].lower() if start == 0 and start not in ends else words[start]
    for key in dict.fromkeys((words[start], first)):
        for length in wordnet.phrase_lengths.get(key, ()):
            end = start + length
            if end > len(words) or starts.get(start, start) != start or ends.get(end - 1, end) != end:
                continue
            sense = _phrase_sense((key, *words[start + 1 : end]), wordnet)
            if sense is not None:
                return Mention(start, end, sense, wordnet.synsets[sense].is_instance)
    return None


def _phrase_sense(phrase: tuple[str, ...], wordnet: WordNet) -> int | None:
    singulars = (wordnet.exceptions["noun"].get(phrase[-1], ())) + ((phrase[-1][:-1],) if phrase[-1][-1] == "s" else ())
    for last in (phrase[-1], *singulars):
        form = wordnet.phrases.get((*phrase[:-1], last))
        if form is not None:
            is_other_part = any(form in wordnet.uses[part] for part in ("verb", "adj", "adv"))
            return None if is_other_part or form.split(" ")[0] in _DETERMINERS else _sense(form, wordnet)
    return None


def _name_at(words: Sequence[str], start: int, end: int, wordnet: WordNet) -> Mention | None:
    if start > 1 and words[start - 1] in ("of", "for") and words[start - 2][0].isupper():
        return None
    if end - start == 1:
        synset = _single_name(words[start], wordnet)
        if synset is None or (start == 0 and _is_common(words[0].lower(), wordnet)):
            return None
        return Mention(start, end, synset, wordnet.synsets[synset].is_instance)
    person = person_synset(wordnet)
    looks_like_name = end - start <= MAX_LEMMA_WORDS and all(word.isalpha() or word == "." for word in words[start:end])
    if person is not None and looks_like_name and words[start] in _given_names(wordnet):
        return Mention(start, end, person, True)
    return None


def _common_at(words: Sequence[str], position: int, wordnet: WordNet) -> Mention | None:
    word = words[position].lower() if position == 0 else words[position]
    if len(word) < 3 or word in _STOP or not word.islower():
        return None
    synset, share, is_tagged = _common_noun(word, wordnet)
    if position == 0 and not is_tagged:  # more likely a name than the rare noun that WordNet lists
        return None
    before = words[position - 1].lower() if position else ""
    if before in _DETERMINERS:
        needed = _NOUN_SHARE_AFTER_DETERMINER
    else:
        needed = _NOUN_SHARE_BEFORE_VERB if before in _BEFORE_VERBS else _NOUN_SHARE
    return Mention(position, position + 1, synset, False) if synset is not None and share >= needed else None


@lru_cache(maxsize=1 << 18)
def _common_noun(form: str, wordnet: WordNet) -> tuple[int | None, float, bool]:
    """The synset of a lower-case form, the share of nouns among its tagged uses, and whether any noun use is tagged."""
    bases = [base for base in wordnet.noun_bases(form) if base not in _STOP]
    if not bases:
        return None, 0.0, False
    base = max(bases, key=lambda base: wordnet.uses["noun"].get(base, 0))
    noun = wordnet.uses["noun"].get(base, 0) + _UNTAGGED
    other = 0.0
    for verb in wordnet.verb_bases(form):
        weight = 1.0 if verb in (form, base) else _PARTICIPLE_WEIGHT
        other += weight * (wordnet.uses["verb"][verb] + _UNTAGGED)
    for part in ("adj", "adv"):
        if form in wordnet.uses[part]:
            other += wordnet.uses[part][form] + _UNTAGGED
    return _sense(base, wordnet), noun / (noun + other), noun > _UNTAGGED


@lru_cache(maxsize=1 << 18)
def _sense(form: str, wordnet: WordNet) -> int | None:
    """The first sense of a written form, unless senses of another kind are too frequent."""
    senses = wordnet.senses[form]
    kind = wordnet.synsets[senses[0].synset].lexicographer
    weights = [_weight(rank, sense) for rank, sense in enumerate(senses)]
    pure = sum(
        weight
        for weight, sense in zip(weights, senses, strict=True)
        if wordnet.synsets[sense.synset].lexicographer in (kind, TOPS)
    )
    return senses[0].synset if pure >= _SENSE_PURITY * sum(weights) else None


def _weight(rank: int, sense: Sense) -> float:
    return sense.count + 1 / (1 + rank)


@lru_cache(maxsize=1 << 18)
def _single_name(word: str, wordnet: WordNet) -> int | None:
    """The synset of a single capitalised word; a surname alone counts as any person."""
    if (len(word) < 4 and word not in _SHORT_NAMES and word != "May") or word.lower() in _STOP - {"may"}:
        return None
    for form in wordnet.noun_bases(word):
        synset = _sense(form, wordnet)
        if synset is None or _adjective_uses(word, wordnet) > wordnet.uses["noun"].get(form.lower(), 0):
            return None
        person = person_synset(wordnet)
        is_surname = any(lemma.endswith(" " + form) for lemma in wordnet.synsets[synset].lemmas)
        if is_surname and person is not None and person in wordnet.ancestors[synset]:
            return person
        return synset
    return None


def _adjective_uses(word: str, wordnet: WordNet) -> int:
    return 1 + wordnet.uses["adj"][word.lower()] if word.lower() in wordnet.uses["adj"] else -1


def _is_common(form: str, wordnet: WordNet) -> bool:
    return form in wordnet.senses or any(form in wordnet.uses[part] for part in ("verb", "adj", "adv"))


def _is_harmless(run: Sequence[str], start: int, wordnet: WordNet) -> bool:
    """Whether capitals are surely not a name: one adjective (French), or a common word that opens the sentence."""
    form = run[0].lower()
    return len(run) == 1 and (
        form in wordnet.uses["adj"] or form in _STOP or (start == 0 and _is_common(form, wordnet))
    )


@lru_cache(maxsize=8)
def _given_names(wordnet: WordNet) -> frozenset[str]:
    """First words of people's full names, if WordNet also lists the surname alone."""
    person = person_synset(wordnet)
    names = set()
    for synset in wordnet.synsets.values():
        if synset.is_instance and person in wordnet.ancestors[synset.id]:
            for lemma in synset.lemmas:
                first, _, rest = lemma.partition(" ")
                if rest and rest.split(" ")[-1] in synset.lemmas and len(first) > 2:
                    names.add(first)
    return frozenset(names)
