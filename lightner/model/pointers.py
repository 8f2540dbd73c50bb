"""The pointer language: entities as `start word, end word, class` triples, and the grammar of what may come next.

Pure integers; knows no torch. A row's candidates are laid out as `[eos, labels, words]` (`Space`). Source: BARTNER
(Yan et al. 2021) for the output form, LightNER section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lightner.types import InputError, Span

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

    In flat output the next entity starts after the last one's end; in nested output not before its start.
    """

    nested: bool = False

    def next_start(self, start: int, end: int) -> int:
        """First word where an entity may start after one over words `start..end`, both inclusive."""
        return start if self.nested else end + 1


FLAT = Grammar()


def encode_spans(
    spans: Sequence[Span], names: Sequence[str], space: Space, *, grammar: Grammar = FLAT
) -> tuple[int, ...]:
    """Target ids `start, end, class, ..., eos` of `spans` in order of (start, end).

    Raises:
        InputError: a span's label is not in `names`, or the grammar cannot write it (it overlaps in flat output).
    """
    position = {name: index for index, name in enumerate(names)}
    ids: list[int] = []
    low = 0
    for span in sorted(spans):
        if span.start < low:
            raise InputError(
                f"span: found {span.label!r} at words [{span.start}, {span.end}) and another entity up to word {low}, "
                "expected entities that do not overlap"
            )
        low = grammar.next_start(span.start, span.end - 1)
        if span.label not in position:
            raise InputError(f"span: found label {span.label!r}, expected one of {list(names)}")
        ids += [
            space.first_word + span.start,
            space.first_word + span.end - 1,
            FIRST_LABEL + position[span.label],
        ]
    return (*ids, EOS)


def decode_ids(ids: Sequence[int], names: Sequence[str], space: Space) -> tuple[Span, ...]:
    """The spans that legal `ids` encode; the inverse of `encode_spans`."""
    body = ids[: ids.index(EOS)] if EOS in ids else ids
    assert len(body) % STEPS_PER_ENTITY == 0, f"{len(body)} ids before eos are no whole triples"
    triples = zip(body[::3], body[1::3], body[2::3], strict=True)
    return tuple(
        Span(start - space.first_word, end - space.first_word + 1, names[label - FIRST_LABEL])
        for start, end, label in triples
    )


def legal(prefix: Sequence[int], space: Space, grammar: Grammar = FLAT) -> frozenset[int]:
    """Ids that may follow `prefix` (without eos). The obvious form; `model.legal_mask` is the fast one."""
    done, phase = divmod(len(prefix), STEPS_PER_ENTITY)
    words = range(space.first_word, space.size)
    if phase == 1:
        return frozenset(word for word in words if word >= prefix[-1])
    if phase == 2:
        return frozenset(range(FIRST_LABEL, space.first_word))
    if not done:
        return frozenset({EOS, *words})
    first = grammar.next_start(prefix[-3], prefix[-2])
    return frozenset({EOS, *(word for word in words if word >= first)})
