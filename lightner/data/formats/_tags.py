"""Tags <-> spans: finds the tagging scheme of a whole file, checks it and decodes it.

Knows no file format: the caller gives the places that messages name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lightner.data.formats._findings import Findings, FormatError
from lightner.data.formats.options import Repair
from lightner.types import InputError, Sentence, Span, crossing

OUTSIDE = "O"
CLOSED_SCHEMES = {  # prefixes of: begin, inside, end, single
    "BIOES": ("B", "I", "E", "S"),
    "BILOU": ("B", "I", "L", "U"),
    "BMES": ("B", "M", "E", "S"),
    "BMEWO": ("B", "M", "E", "W"),
}
IOB1, IOB2 = "IOB1", "IOB2"
WRITTEN = {  # schemes that are written, by the same prefixes
    IOB2: ("B", "I", "I", "B"),
    IOB1: ("I", "I", "I", "I"),
    "BIOES": CLOSED_SCHEMES["BIOES"],
    "BILOU": CLOSED_SCHEMES["BILOU"],
}


@dataclass(frozen=True, slots=True)
class TaggedWords:
    """A sentence whose tags are not decoded yet; `place` is where it begins, `number` counts the sentences."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    place: str
    number: int
    field: str = ""
    """In a record: the field that holds the tags."""
    text: str = ""
    """The text that the words were split from, if it is there too."""


Place = Callable[[TaggedWords, int], str]
"""The place of a sentence's tag by index, as a message begins: `train.conll:12`."""


def is_tag(tag: str) -> bool:
    """Whether `tag` has the shape of one: `O`, or a prefix of a known scheme, a hyphen and a label."""
    prefix, hyphen, label = tag.partition("-")
    return tag == OUTSIDE or (prefix in _PREFIXES and hyphen == "-" and bool(label))


def is_plain_label(tag: str) -> bool:
    """Whether `tag` may be a label that needs no prefix: it has a letter, and no prefix or suffix of another style."""
    return _DECORATED.search(tag) is None and _LETTER.search(tag) is not None


def decode(rows: Sequence[TaggedWords], place: Place, findings: Findings) -> dict[int, Sentence]:
    """Sentences with spans, by the number of their row, decoded by the one scheme that all rows follow.

    IOB1, IOB2 and IO use `B-` and `I-`; a scheme of CLOSED_SCHEMES is recognised by its other prefixes; tags without a
    prefix are labels of IO. An entity that begins with `I-` in IOB2 begins there, as for conlleval and seqeval.
    Faults are tags of unknown shape, of a second scheme, or in a place that the scheme forbids.
    """
    distinct: set[str] = set()
    for row in rows:
        distinct.update(row.tags)
    others = distinct - {OUTSIDE}
    if OUTSIDE in distinct and others and not any(map(is_tag, others)) and all(map(is_plain_label, others)):
        return _plain(rows, place, findings)
    rows = _well_shaped(rows, distinct, place=place, findings=findings)
    prefixes = {tag[0] for tag in distinct if tag != OUTSIDE and is_tag(tag)}
    if prefixes <= {"B", "I"}:
        return _open(rows, place, findings)
    scheme = next((each for each in CLOSED_SCHEMES.values() if prefixes <= set(each)), None)
    if scheme is None:
        raise _second_scheme(rows, place)
    return _closed(rows, scheme, place=place, findings=findings)


def loosely(tags: Sequence[str]) -> tuple[Span, ...] | None:
    """The spans of a sentence's tags as conlleval reads them; None if they are not tags."""
    if all(map(is_tag, tags)):
        ends = "".join(sorted({tag[0] for tag in tags} & set("ELSUW")))
        end, single = ("L", "U") if set(ends) & {"L", "U"} else ("E", "W" if "W" in ends else "S")
        return _runs(_opened(tags, ("B", "I", end, single)))
    if all(tag == OUTSIDE or is_plain_label(tag) for tag in tags):
        return _runs([tag if tag == OUTSIDE else f"I-{tag}" for tag in tags])
    return None


def encode(sentence: Sentence, where: str, scheme: str = IOB2) -> list[str]:
    """Tags of a scheme of WRITTEN, one per word. Raises InputError, beginning with `where`, for spans that overlap."""
    check_flat(sentence, where)
    begin, inside, end, single = WRITTEN[scheme]
    tags = [OUTSIDE] * len(sentence.words)
    for span in sentence.spans:
        middle = [inside] * (span.end - span.start - 2)
        prefixes = [single] if span.end - span.start == 1 else [begin, *middle, end]
        tags[span.start : span.end] = [f"{prefix}-{span.label}" for prefix in prefixes]
    if scheme == IOB1:  # there `B-` only parts an entity from one of the same label before it
        for span, before in zip(sentence.spans, (None, *sentence.spans), strict=False):
            if before is not None and (before.end, before.label) == (span.start, span.label):
                tags[span.start] = f"B-{span.label}"
    return tags


def check_flat(sentence: Sentence, where: str) -> None:
    """Raises InputError, beginning with `where`, for the first two spans that share a word."""
    for one, other in pairwise(sentence.spans):
        if other.start < one.end:
            expected = "expected spans that share no word, since tags hold no others (JSON Lines does)"
            raise InputError(f"{where}: found {_overlap(sentence, one, other)}, {expected}")


def crossed(sentence: Sentence) -> str | None:
    """What is wrong with spans of which two cross, in words; None if none do."""
    pair = crossing(sentence.spans)
    return pair and f"found {_overlap(sentence, *pair)}, expected spans that share no word, or lie within one another"


def _overlap(sentence: Sentence, one: Span, other: Span) -> str:
    """Two spans that share a word, as a message shows them."""
    return f"{_show(sentence, one)} and {_show(sentence, other)}, which overlap"


_Scheme = tuple[str, str, str, str]
_PREFIXES = frozenset(prefix for scheme in CLOSED_SCHEMES.values() for prefix in scheme)
_LETTER = re.compile(r"[^\W\d_]")
_DECORATED = re.compile(r"^[BIESLUMWOo][_:./|]|[-_:./|][BIESLUMW]$|^[bi]-|^[oO]$|-$|^[A-Z]-|^\W")


def _well_shaped(
    rows: Sequence[TaggedWords], distinct: set[str], *, place: Place, findings: Findings
) -> Sequence[TaggedWords]:
    """The rows whose tags all have a known shape; the others are faults."""
    bad = {tag for tag in distinct if not is_tag(tag)}
    if not bad:
        return rows
    expected = "O, or B-, I- (or another prefix of IOB, BIOES, BILOU, BMES) and a label"
    good = []
    for row in rows:
        found = [(index, tag) for index, tag in enumerate(row.tags) if tag in bad]
        findings.refuse(
            FormatError(place(row, at), f"found tag {tag!r}, expected {expected}", kind="tags of unknown shape")
            for at, tag in found
        )
        if not found:
            good.append(row)
    return good


def _second_scheme(rows: Sequence[TaggedWords], place: Place) -> InputError:
    """The error for mixed schemes, at the first tag that fits no scheme of the tags before it."""
    possible = set(CLOSED_SCHEMES)
    for row in rows:
        for index, tag in enumerate(row.tags):
            fitting = {name for name in possible if tag == OUTSIDE or tag[0] in CLOSED_SCHEMES[name]}
            if not fitting:
                expected = f"a tag of {' or '.join(sorted(possible))}"
                return InputError(f"{place(row, index)}: found tag {tag!r}, expected {expected}")
            possible = fitting
    raise AssertionError("some scheme has all prefixes")


def _plain(rows: Sequence[TaggedWords], place: Place, findings: Findings) -> dict[int, Sentence]:
    """Decode tags without a prefix: adjacent words with the same label are one entity."""
    kind = "words whose tag has no prefix (adjacent words with the same label are read as one entity)"
    for row in rows:
        tagged = [index for index, tag in enumerate(row.tags) if tag != OUTSIDE]
        if tagged:
            findings.note(kind, place(row, tagged[0]), len(tagged))
    inside = [[tag if tag == OUTSIDE else f"I-{tag}" for tag in row.tags] for row in rows]
    return {row.number: _sentence(row, _runs(tags)) for row, tags in zip(rows, inside, strict=True)}


def _open(rows: Sequence[TaggedWords], place: Place, findings: Findings) -> dict[int, Sentence]:
    """Decode IOB1, IOB2 and IO, which read alike."""
    sentences: dict[int, Sentence] = {}
    orphans: list[tuple[TaggedWords, int]] = []
    begun = False  # whether some B- begins an entity that I- could have begun in IOB1
    for row in rows:
        tags = row.tags
        spans = () if tags.count(OUTSIDE) == len(tags) else _runs(tags)
        for span in spans:
            if tags[span.start][0] == "I":
                orphans.append((row, span.start))
            elif not span.start or tags[span.start - 1][2:] != span.label:
                begun = True
        sentences[row.number] = _sentence(row, spans)
    if begun and orphans:
        kind = "entities that begin with I- in a file where others begin with B- (read as conlleval and seqeval do)"
        findings.note(kind, place(*orphans[0]), len(orphans))
    return sentences


def _closed(rows: Sequence[TaggedWords], scheme: _Scheme, *, place: Place, findings: Findings) -> dict[int, Sentence]:
    sentences: dict[int, Sentence] = {}
    for row in rows:
        try:
            sentences[row.number] = _sentence(row, tuple(_closed_spans(row, scheme, place)))
        except FormatError as fault:
            if Repair.TAGS_AS_CONLLEVAL in findings.repairs:
                findings.note("sentences whose tags were read as conlleval does (tags-as-conlleval)", fault.place)
                sentences[row.number] = _sentence(row, _runs(_opened(row.tags, scheme)))
            else:
                findings.refuse([fault])
    return sentences


def _opened(tags: Sequence[str], scheme: _Scheme) -> list[str]:
    """Tags of a closed scheme as IOB2, with entities where conlleval begins and ends them."""
    begin, _, end, single = scheme
    opened, before = [], OUTSIDE
    for tag in tags:
        begins = tag[0] in (begin, single) or before[0] in (end, single) or before[2:] != tag[2:]
        opened.append(OUTSIDE if tag == OUTSIDE else f"{'B' if begins else 'I'}-{tag[2:]}")
        before = tag
    return opened


def _sentence(row: TaggedWords, spans: tuple[Span, ...]) -> Sentence:
    return Sentence(row.words, spans, row.place, row.text)


def _runs(tags: Sequence[str]) -> tuple[Span, ...]:
    """Spans of IOB1, IOB2 and IO tags."""
    spans = []
    start, label = 0, ""
    for index, tag in enumerate(tags):
        if label and (tag[0] != "I" or tag[2:] != label):
            spans.append(Span(start, index, label))
            label = ""
        if tag != OUTSIDE and not label:
            start, label = index, tag[2:]
    if label:
        spans.append(Span(start, len(tags), label))
    return tuple(spans)


def _closed_spans(row: TaggedWords, scheme: _Scheme, place: Place) -> Iterator[Span]:
    begin, inside, end, single = scheme
    start: int | None = None
    for index, tag in enumerate(row.tags):
        label = tag[2:]
        if start is not None and (tag[0] not in (inside, end) or label != row.tags[start][2:]):
            raise _unfinished(row, index, scheme=scheme, place=place)
        if start is None and tag[0] in (inside, end):
            expected = f"'{begin}-{label}' to begin it or '{single}-{label}' for one word"
            raise _forbidden(place(row, index), f"found {tag!r} outside an entity, expected {expected}")
        if tag[0] == begin:
            start = index
        elif tag[0] in (end, single):
            yield Span(index if start is None else start, index + 1, label)
            start = None
    if start is not None:
        raise _unfinished(row, len(row.tags), scheme=scheme, place=place)


def _unfinished(row: TaggedWords, index: int, *, scheme: _Scheme, place: Place) -> FormatError:
    """The fault of an entity that is open before `index` and not continued there."""
    _, inside, end, _ = scheme
    last = row.tags[index - 1]
    found = repr(row.tags[index]) if index < len(row.tags) else "the end of the sentence"
    where = place(row, min(index, len(row.tags) - 1))
    return _forbidden(where, f"found {found} after {last!r}, expected '{inside}-{last[2:]}' or '{end}-{last[2:]}'")


def _forbidden(place: str, said: str) -> FormatError:
    kind = "tags in a place that the scheme forbids"
    return FormatError(place, said, kind=kind, repairs=[Repair.TAGS_AS_CONLLEVAL])


def _show(sentence: Sentence, span: Span) -> str:
    return f"{span.label} {' '.join(sentence.words[span.start : span.end])!r} (words [{span.start}, {span.end}))"
