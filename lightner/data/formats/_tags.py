"""Tags <-> spans: finds the tagging scheme of a whole file, checks it and decodes it.

Knows no file format: a caller says where a tag stands, for messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lightner.types import InputError, Sentence, Span

OUTSIDE = "O"
CLOSED_SCHEMES = {  # prefixes of: begin, inside, end, single
    "BIOES": ("B", "I", "E", "S"),
    "BILOU": ("B", "I", "L", "U"),
    "BMES": ("B", "M", "E", "S"),
    "BMEWO": ("B", "M", "E", "W"),
}


@dataclass(frozen=True, slots=True)
class Tagged:
    """A sentence whose tags are not decoded yet; `line` is where it begins in its file, or which record it is."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    line: int


Place = Callable[[Tagged, int], str]
"""Where the tag of a sentence at an index stands, as a message begins: `train.conll:12`."""


def is_tag(tag: str) -> bool:
    """Whether `tag` has the shape of one: `O`, or a prefix of a known scheme, a hyphen and a label."""
    prefix, hyphen, label = tag.partition("-")
    return tag == OUTSIDE or (prefix in _PREFIXES and hyphen == "-" and bool(label))


def decode(rows: Sequence[Tagged], place: Place) -> tuple[Sentence, ...]:
    """Sentences with spans; the scheme is the one that the tags of all rows follow.

    IOB1, IOB2 and IO use `B-` and `I-`; a scheme of CLOSED_SCHEMES is recognised by its other prefixes.
    Raises InputError at the first tag of unknown shape, of a second scheme, or in a place the scheme forbids.
    """
    scheme = _closed_scheme(rows, place)
    if scheme is None:
        _check_open(rows, place)
        return tuple(Sentence(row.words, tuple(_open_spans(row.tags))) for row in rows)
    return tuple(Sentence(row.words, tuple(_closed_spans(row, scheme, place))) for row in rows)


def encode(sentence: Sentence, where: str) -> list[str]:
    """IOB2 tags, one per word. Raises InputError, beginning with `where`, for spans that overlap."""
    check_flat(sentence, where)
    tags = [OUTSIDE] * len(sentence.words)
    for span in sentence.spans:
        tags[span.start : span.end] = [f"B-{span.label}", *[f"I-{span.label}"] * (span.end - span.start - 1)]
    return tags


def check_flat(sentence: Sentence, where: str) -> None:
    """Raises InputError, beginning with `where`, for the first two spans that share a word."""
    for one, other in pairwise(sentence.spans):
        if other.start < one.end:
            found = f"{_show(sentence, one)} and {_show(sentence, other)}, which overlap"
            raise InputError(f"{where}: found {found}, expected spans that share no word")


_Scheme = tuple[str, str, str, str]
_PREFIXES = frozenset(prefix for scheme in CLOSED_SCHEMES.values() for prefix in scheme)


def _closed_scheme(rows: Sequence[Tagged], place: Place) -> _Scheme | None:
    """The prefixes (begin, inside, end, single) of the file's scheme, or None where it has `B-` and `I-` only."""
    possible = set(CLOSED_SCHEMES)
    seen: set[str] = set()
    for row, index, tag in _tags(rows):
        if not is_tag(tag):
            expected = "O, or B-, I- (or another prefix of IOB, BIOES, BILOU, BMES) and a label"
            raise InputError(f"{place(row, index)}: found tag {tag!r}, expected {expected}")
        if tag == OUTSIDE or tag[0] in seen:
            continue
        fitting = {name for name in possible if tag[0] in CLOSED_SCHEMES[name]}
        if not fitting:
            raise InputError(
                f"{place(row, index)}: found tag {tag!r}, expected a tag of {' or '.join(sorted(possible))}"
            )
        seen.add(tag[0])
        possible = fitting
    return None if seen <= {"B", "I"} else CLOSED_SCHEMES[min(possible)]


def _check_open(rows: Sequence[Tagged], place: Place) -> None:
    """Raises InputError where an `I-` begins an entity in a file whose other entities begin with `B-` (IOB2)."""
    orphan: tuple[Tagged, int] | None = None
    begun: tuple[Tagged, int] | None = None
    for row, index, tag in _tags(rows):
        previous = row.tags[index - 1] if index else OUTSIDE
        if tag == OUTSIDE or previous[2:] == tag[2:]:
            continue
        if tag[0] == "I":
            orphan = orphan or (row, index)
        else:  # in IOB1, B- only parts neighbours of one label
            begun = begun or (row, index)
    if orphan and begun:
        row, index = orphan
        before = repr(row.tags[index - 1]) if index else "the beginning of the sentence"
        expected = f"'B-{row.tags[index][2:]}', as {begun[0].tags[begun[1]]!r} at {place(*begun)} makes the file IOB2"
        raise InputError(f"{place(row, index)}: found {row.tags[index]!r} after {before}, expected {expected}")


def _open_spans(tags: Sequence[str]) -> Iterator[Span]:
    """Spans of IOB1, IOB2 and IO: once the file is checked, all three read alike."""
    start = 0
    for index, tag in enumerate(tags):
        if tag == OUTSIDE:
            continue
        if tag[0] == "B" or index == 0 or tags[index - 1][2:] != tag[2:]:
            start = index
        following = tags[index + 1] if index + 1 < len(tags) else OUTSIDE
        if following != f"I-{tag[2:]}":
            yield Span(start, index + 1, tag[2:])


def _closed_spans(row: Tagged, scheme: _Scheme, place: Place) -> Iterator[Span]:
    begin, inside, end, single = scheme
    start: int | None = None
    for index, tag in enumerate(row.tags):
        label = tag[2:]
        if start is not None and (tag[0] not in (inside, end) or label != row.tags[start][2:]):
            raise _unfinished(row, index, scheme=scheme, place=place)
        if start is None and tag[0] in (inside, end):
            expected = f"'{begin}-{label}' to begin it or '{single}-{label}' for one word"
            raise InputError(f"{place(row, index)}: found {tag!r} outside an entity, expected {expected}")
        if tag[0] == begin:
            start = index
        elif tag[0] in (end, single):
            yield Span(index if start is None else start, index + 1, label)
            start = None
    if start is not None:
        raise _unfinished(row, len(row.tags), scheme=scheme, place=place)


def _unfinished(row: Tagged, index: int, *, scheme: _Scheme, place: Place) -> InputError:
    """The error for an entity that is open before `index`, which does not go on with it."""
    _, inside, end, _ = scheme
    last = row.tags[index - 1]
    found = repr(row.tags[index]) if index < len(row.tags) else "the end of the sentence"
    where = place(row, min(index, len(row.tags) - 1))
    expected = f"'{inside}-{last[2:]}' or '{end}-{last[2:]}'"
    return InputError(f"{where}: found {found} after {last!r}, expected {expected}")


def _tags(rows: Sequence[Tagged]) -> Iterator[tuple[Tagged, int, str]]:
    return ((row, index, tag) for row in rows for index, tag in enumerate(row.tags))


def _show(sentence: Sentence, span: Span) -> str:
    return f"{span.label} {' '.join(sentence.words[span.start : span.end])!r} (words [{span.start}, {span.end}))"
