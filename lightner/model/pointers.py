"""The pointer language: entities as `start word, end word, class` triples, and the grammar of what may come next.

Pure integers; knows no torch. A row's candidates are laid out as `[eos, labels, words]` (`Space`). Source: BARTNER
(Yan et al. 2021) for the output form, LightNER section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product

from lightner.types import InputError, Span, crossing

EOS = 0
FIRST_LABEL = 1
STEPS_PER_ENTITY = 3


@dataclass(frozen=True, slots=True)
class Space:
    """Candidate ids of a row: `EOS`, then `labels` classes, then `words` words. In a batch the widest row counts."""

    labels: int
    words: int

    @property
    def first_word(self) -> int:
        return FIRST_LABEL + self.labels

    @property
    def size(self) -> int:
        return self.first_word + self.words


@dataclass(frozen=True, slots=True)
class Grammar:
    """What may follow what: `start | eos`, then `end >= start`, then a class.

    In flat output the next entity starts after the last one's end. In nested output it may also lie within entities
    before it, or around those that begin with the same word, but never crosses one: it comes later in order of (start,
    end, class), so that none is written twice.
    """

    nested: bool = False

    def choices(self, ids: Sequence[int], end: int, space: Space, own: Space) -> tuple[int, int]:
        """The first and the last id, apart from eos, that may follow `ids[:end]`, in a row that has `own` of the space.

        The first is above the last where none may.
        """
        done, phase = divmod(end, STEPS_PER_ENTITY)
        if self.nested:
            return _nested_choices(ids[:end], space, own)
        if phase == STEPS_PER_ENTITY - 1:
            return FIRST_LABEL, space.first_word - 1
        if phase:
            return ids[STEPS_PER_ENTITY * done], space.size - 1
        return (ids[end - 2] + 1 if done else space.first_word), space.size - 1


FLAT, NESTED = Grammar(), Grammar(nested=True)


def encode_spans(
    spans: Sequence[Span], names: Sequence[str], space: Space, *, grammar: Grammar = FLAT
) -> tuple[int, ...]:
    """Target ids `start, end, class, ..., eos` of `spans` in order of (start, end, class).

    Raises:
        InputError: a span's label is not in `names`, or the grammar cannot write it: it shares words with another one
            in flat output, or crosses another one's end.
    """
    position = {name: index for index, name in enumerate(names)}
    for span in spans:
        if span.label not in position:
            raise InputError(f"span: found label {span.label!r}, expected one of {list(names)}")
    ordered = sorted(spans, key=lambda span: (span.start, span.end, position[span.label]))
    _check(ordered, grammar)
    ids: list[int] = []
    for span in ordered:
        ids += [
            space.first_word + span.start,
            space.first_word + span.end - 1,
            FIRST_LABEL + position[span.label],
        ]
    return (*ids, EOS)


def _check(ordered: Sequence[Span], grammar: Grammar) -> None:
    """Raises InputError for spans that the grammar cannot write."""
    pairs = pairwise(ordered)
    if grammar.nested:
        wrong = crossing(ordered) or next(((one, other) for one, other in pairs if one == other), None)
    else:
        wrong = next(((one, other) for one, other in pairs if other.start < one.end), None)
    if wrong is not None:
        one, other = wrong
        expected = "differ, and lie within one another or share no word" if grammar.nested else "do not overlap"
        raise InputError(
            f"span: found {other.label!r} at words [{other.start}, {other.end}) and {one.label!r} at words "
            f"[{one.start}, {one.end}), expected entities that {expected}"
        )


def decode_ids(ids: Sequence[int], names: Sequence[str], space: Space) -> tuple[Span, ...]:
    """The spans that legal `ids` encode, in their order; the inverse of `encode_spans`."""
    body = ids[: ids.index(EOS)] if EOS in ids else ids
    assert len(body) % STEPS_PER_ENTITY == 0, f"{len(body)} ids before eos are no whole triples"
    triples = zip(body[::3], body[1::3], body[2::3], strict=True)
    return tuple(
        Span(start - space.first_word, end - space.first_word + 1, names[label - FIRST_LABEL])
        for start, end, label in triples
    )


def legal(prefix: Sequence[int], space: Space, grammar: Grammar = FLAT, own: Space | None = None) -> frozenset[int]:
    """Ids that may follow `prefix` (without eos), in a row that has `own` of the space, by default all of it.

    The obvious form: every entity that may come next is tried. `Grammar.choices` is the fast one.
    """
    has = own or space
    done = len(prefix) // STEPS_PER_ENTITY * STEPS_PER_ENTITY
    written = [(start, end, label) for start, end, label in zip(*[iter(prefix[:done])] * STEPS_PER_ENTITY, strict=True)]
    words = range(space.first_word, space.first_word + has.words)
    classes = range(FIRST_LABEL, FIRST_LABEL + has.labels)
    begun = tuple(prefix[done:])
    following = {
        triple[len(begun)]
        for triple in product(words, words, classes)
        if triple[: len(begun)] == begun and triple[0] <= triple[1] and _may_follow(triple, written, grammar)
    }
    return frozenset(following if begun else {EOS, *following})


def _may_follow(triple: tuple[int, int, int], written: Sequence[tuple[int, int, int]], grammar: Grammar) -> bool:
    """Whether an entity (first word, last word, class) may come after those written."""
    start, end, _ = triple
    if not grammar.nested:
        return all(last < start for _, last, _ in written)
    later = all(triple > before for before in written)
    return later and not any(first < start <= last < end for first, last, _ in written)


def _nested_choices(ids: Sequence[int], space: Space, own: Space) -> tuple[int, int]:
    """`Grammar.choices` of nested output after all of `ids`."""
    done, phase = divmod(len(ids), STEPS_PER_ENTITY)
    last_word, last_class = space.first_word + own.words - 1, FIRST_LABEL + own.labels - 1
    before = ids[STEPS_PER_ENTITY * (done - 1) : STEPS_PER_ENTITY * done] if done else (space.first_word, -1, 0)
    begun, ended, label = before
    if phase == STEPS_PER_ENTITY - 1:
        again = (ids[-2], ids[-1]) == (begun, ended)
        return (label + 1 if again else FIRST_LABEL), last_class
    beyond = ended + (label == last_class)  # of entities of the same start the first possible last word
    if phase == 0:
        return begun + (beyond > _outermost(ids, begun, last_word)), last_word
    start = ids[-1]
    return (beyond if start == begun and done else start), _outermost(ids, start, last_word)


def _outermost(ids: Sequence[int], start: int, last_word: int) -> int:
    """The last word that an entity may have that begins at `start`: that of the innermost entity begun before it."""
    pairs = zip(ids[::STEPS_PER_ENTITY], ids[1::STEPS_PER_ENTITY], strict=False)
    return min([last for first, last in pairs if first < start <= last], default=last_word)
