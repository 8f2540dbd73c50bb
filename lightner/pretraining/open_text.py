"""Openly labelled text: passages whose entities have free types, and groups of sentences that share a label set.

Their label sets vary by batch, so that the backbone meets thousands of label names. Errors in files are reported with
file and line. Knows nothing about tensors.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightner.types import InputError, LabelSet, Sentence, Span, label_words
from lightner.words import split_words

PASSAGES, GROUPS = "passages.jsonl", "groups.jsonl"
MOST_WORDS = 90
MOST_LABELS = 20
_COMMON = 400  # types that are frequent enough to serve as labels that a batch lacks
_MOST_ABSENT = 6
_POOL = 4
_KEEP_LABEL = 0.85
_SYNONYM = 0.5
_DESCRIBED = 0.2  # share of the batches of groups whose label words have synonyms besides the name


@dataclass(frozen=True, slots=True)
class Passage:
    """Words and `(start, end, types)` of each entity, the finest type first."""

    words: tuple[str, ...]
    entities: tuple[tuple[int, int, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Sentences completely labelled with their own label set; `labels` maps a label to its synonyms."""

    name: str
    labels: Mapping[str, tuple[str, ...]]
    sentences: tuple[Sentence, ...]


@dataclass(frozen=True, slots=True)
class OpenText:
    """Passages by length, groups, and the most frequent types of the passages."""

    passages: tuple[Passage, ...] = ()
    groups: tuple[Group, ...] = ()
    common: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, passages: Sequence[Passage], groups: Sequence[Group]) -> OpenText:
        counted = Counter(kind for passage in passages for *_, kinds in passage.entities for kind in kinds)
        return cls(tuple(passages), tuple(groups), tuple(kind for kind, _ in counted.most_common(_COMMON)))

    def without_groups(self, share: float, *, seed: int) -> tuple[OpenText, tuple[Group, ...]]:
        """The text without a random share of its groups, and those groups, to develop on names never trained on."""
        ranked = sorted(self.groups, key=lambda group: random.Random(f"{seed}-{group.name}").random())
        held = ranked[: round(share * len(ranked))]
        return OpenText.of(self.passages, [group for group in self.groups if group not in held]), tuple(held)


def load(folder: Path) -> OpenText:
    """Load the passages and groups of `folder`, either of which may be missing.

    Leaves out entities that cut words, and passages of more than 90 words.
    Raises InputError `file:line: found ..., expected ...`, also if both files are missing.
    """
    files = [folder / name for name in (PASSAGES, GROUPS)]
    if not any(file.exists() for file in files):
        raise InputError(f"{folder}: found neither {PASSAGES} nor {GROUPS}, expected at least one of them")
    passages = [_passage(record, where) for record, where in _records(files[0])]
    groups = [_group(record, where) for record, where in _records(files[1])]
    return OpenText.of([passage for passage in passages if 0 < len(passage.words) <= MOST_WORDS], groups)


def draw_passages(text: OpenText, size: int, rng: random.Random) -> tuple[tuple[Sentence, ...], LabelSet] | None:
    """Draw passages of similar length with fine labels, coarse labels, or one of both for each entity.

    At most 20 labels, and up to 6 that none of the passages has; spans of labels that were not drawn are left out.
    None if the passages drawn have no entity.
    """
    pool = sorted(rng.choices(text.passages, k=size * _POOL), key=lambda passage: len(passage.words))
    begin = rng.randrange(len(pool) - size + 1)
    picked = pool[begin : begin + size]
    level = rng.choice((0, 0, 1, 2))
    chosen = [[_kind(kinds, level, rng) for *_, kinds in passage.entities] for passage in picked]
    present = sorted({kind for row in chosen for kind in row})
    if not present:
        return None
    rng.shuffle(present)
    kept = present[: rng.randint(max(1, min(len(present), MOST_LABELS) // 2), MOST_LABELS)]
    here = {kind for passage in picked for *_, kinds in passage.entities for kind in kinds}
    others = [kind for kind in rng.sample(text.common, min(2 * _MOST_ABSENT, len(text.common))) if kind not in here]
    sentences = tuple(_under(passage, row, kept) for passage, row in zip(picked, chosen, strict=True))
    return sentences, LabelSet.of([*kept, *others[: rng.randint(0, _MOST_ABSENT)]])


def draw_group(text: OpenText, size: int, rng: random.Random) -> tuple[tuple[Sentence, ...], LabelSet] | None:
    """Draw sentences of one group: some labels are dropped, half of the others are named by a synonym.

    Sometimes the label words have synonyms besides the name, as descriptions do. None if no label is left, or if two
    would have the same name.
    """
    group = rng.choice(text.groups)
    names = {
        label: rng.choice([label, *synonyms]) if rng.random() < _SYNONYM else label
        for label, synonyms in group.labels.items()
        if rng.random() < _KEEP_LABEL
    }
    if not names or len(set(names.values())) < len(names):
        return None
    picked = rng.sample(group.sentences, min(size, len(group.sentences)))
    sentences = tuple(
        Sentence(each.words, tuple(Span(s.start, s.end, names[s.label]) for s in each.spans if s.label in names))
        for each in picked
    )
    words = _descriptions(group, names, rng) if rng.random() < _DESCRIBED else {}
    return sentences, LabelSet.of(names.values(), words)


def _descriptions(group: Group, names: Mapping[str, str], rng: random.Random) -> dict[str, list[str]]:
    described = {}
    for label, name in names.items():
        others = [each for each in (label, *group.labels[label]) if each != name]
        phrases = [name, *rng.sample(others, min(len(others), 2))]
        described[name] = [word for phrase in phrases for word in label_words(phrase)]
    return described


def _kind(kinds: Sequence[str], level: int, rng: random.Random) -> str:
    return kinds[0] if level == 0 else kinds[-1] if level == 1 else rng.choice(kinds)


def _under(passage: Passage, chosen: Sequence[str], kept: Sequence[str]) -> Sentence:
    """The passage with spans of kept labels: an entity's chosen label, or else another of its labels."""
    spans = []
    for (start, end, kinds), kind in zip(passage.entities, chosen, strict=True):
        name = kind if kind in kept else next((each for each in kinds if each in kept), None)
        if name is not None:
            spans.append(Span(start, end, name))
    return Sentence(passage.words, tuple(spans))


def _records(file: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Objects of a JSON Lines file with their places; nothing if the file does not exist."""
    if not file.exists():
        return
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            where = f"{file}:{number}"
            try:
                record = json.loads(line)
            except ValueError as error:
                raise InputError(f"{where}: found no JSON ({error}), expected one object per line") from error
            if not isinstance(record, dict):
                raise InputError(f"{where}: found {type(record).__name__}, expected an object")
            yield record, where


def _passage(record: Mapping[str, Any], where: str) -> Passage:
    match record:
        case {"text": str(text), "entities": list(entities)}:
            return Passage(*_in_words(text, [_entity(each, where, kinds=True) for each in entities]))
    raise InputError(f"{where}: found keys {sorted(record)}, expected 'text' and a list 'entities'")


def _group(record: Mapping[str, Any], where: str) -> Group:
    match record:
        case {"domain": str(domain), "labels": dict(labels), "sentences": list(rows)}:
            known = {str(label): tuple(map(str, synonyms)) for label, synonyms in labels.items()}
            return Group(domain, known, tuple(_group_sentence(row, known, where) for row in rows))
    raise InputError(f"{where}: found keys {sorted(record)}, expected 'domain', 'labels' and 'sentences'")


def _group_sentence(row: Mapping[str, Any], labels: Mapping[str, object], where: str) -> Sentence:
    words, entities = _in_words(row["text"], [_entity(each, where, kinds=False) for each in row["entities"]])
    for *_, (label,) in entities:
        if label not in labels:
            raise InputError(f"{where}: found label {label!r}, expected one of {sorted(labels)}")
    return Sentence(words, tuple(Span(start, end, label) for start, end, (label,) in entities))


def _entity(value: object, where: str, *, kinds: bool) -> tuple[int, int, tuple[str, ...]]:
    match value:
        case [int(start), int(end), list(types)] if kinds and types and all(isinstance(each, str) for each in types):
            return start, end, tuple(types)
        case [int(start), int(end), str(label)] if not kinds:
            return start, end, (label,)
    expected = "[start, end, [fine type, coarse type]]" if kinds else "[start, end, label]"
    raise InputError(f"{where}: found entity {value!r:.80}, expected {expected}")


_Entities = tuple[tuple[int, int, tuple[str, ...]], ...]


def _in_words(text: str, entities: Sequence[tuple[int, int, tuple[str, ...]]]) -> tuple[tuple[str, ...], _Entities]:
    words = split_words(text)
    starts = {word.start: index for index, word in enumerate(words)}
    ends = {word.end: index + 1 for index, word in enumerate(words)}
    inside = tuple((starts[a], ends[b], kinds) for a, b, kinds in entities if a in starts and b in ends)
    return tuple(word.text for word in words), inside
