"""Labelled stretches of characters -> spans of words: what offsets count, what a span states, words that it cuts.

Knows no format: readers give each text with its marks.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from lightner.data.formats._findings import Findings, FormatError
from lightner.data.formats._tags import crossed
from lightner.data.formats._values import quote
from lightner.data.formats.options import Repair
from lightner.types import Sentence, Span
from lightner.words import Word, split_words

MOVED = "spans moved to the text that they state, which they overlap"


@dataclass(frozen=True, slots=True)
class Mark:
    """A labelled stretch `[start, end)` of a text, the text that it states, and where it was read."""

    start: int
    end: int
    label: str
    stated: str | None
    place: str
    origin: int = 0
    """Offset of the text in its document; messages count from the document's beginning."""
    score: float | None = None
    """If a model found it."""

    def shown(self, text: str) -> str:
        """Its offsets and its text, if any, as a message shows them."""
        offsets = f"[{self.start + self.origin}, {self.end + self.origin})"
        inside = 0 <= self.start < self.end <= len(text)
        return f"{offsets} {quote(text[self.start : self.end])}" if inside else offsets


@dataclass(frozen=True, slots=True)
class Marked:
    """A text and its marks; `in_characters` says that the offsets are known to count characters."""

    text: str
    marks: tuple[Mark, ...]
    place: str
    in_characters: bool = False


def count_characters(texts: Sequence[Marked], findings: Findings) -> list[Marked]:
    """The texts of one source with offsets that count characters, end exclusive.

    Offsets are read as UTF-16 units if every mark for which it makes a difference fits only so, and ends as inclusive
    if every mark states its text and none covers it otherwise; either is noted. A mark fits if it covers the text that
    it states and cuts no word.
    """
    open_texts = [each for each in texts if not each.in_characters]
    differing = [(each, mark) for each in open_texts if _has_pairs(each.text) for mark in _moved(each)]
    if differing and not all(_fits(each.text, mark) for each, mark in differing):
        changed = [(each.text, _from_utf16(each.text, mark)) for each, mark in differing]
        if all(mark is not None and _fits(text, mark) for text, mark in changed):
            findings.note("spans whose offsets count UTF-16 units", differing[0][1].place, len(differing))
            return [each if each.in_characters else _in_units(each) for each in texts]
    stating = [(each.text, mark) for each in open_texts for mark in each.marks]
    if stating and all(_is_inclusive(text, mark) for text, mark in stating):
        findings.note("spans whose end is their last character", stating[0][1].place, len(stating))
        return [
            each if each.in_characters else replace(each, marks=tuple(replace(m, end=m.end + 1) for m in each.marks))
            for each in texts
        ]
    return list(texts)


def sentence_of(marked: Marked, findings: Findings) -> Sentence | None:
    """The words of a text with the spans of its marks; None if they have a fault, or if there are no words."""
    words = split_words(marked.text)
    if not words and not marked.marks:
        findings.note("blank texts left out", marked.place)
        return None
    spans: list[Span] = []
    scores: dict[Span, float] = {}
    faults: list[FormatError] = []
    for mark in marked.marks:
        try:
            spans.append(_span(mark, marked.text, words, findings=findings))
            if mark.score is not None:
                scores[spans[-1]] = mark.score
        except FormatError as fault:
            if Repair.DROP_SPAN in findings.repairs:
                findings.note(f"spans left out ({fault.kind})", fault.place)
            else:
                faults.append(fault)
    if faults or not words:
        findings.refuse(faults)
        return None
    sentence = nested_sentence([word.text for word in words], spans, place=marked.place, findings=findings)
    return sentence and replace(sentence, text=marked.text, scores=scores)


def nested_sentence(words: Iterable[str], spans: Iterable[Span], *, place: str, findings: Findings) -> Sentence | None:
    """A sentence whose spans may lie within one another; None if two cross, which is a fault. Equal ones count once."""
    given = sorted(spans)
    distinct = sorted(set(given))
    if len(distinct) < len(given):
        findings.note("spans that are given twice", place, len(given) - len(distinct))
    if Repair.KEEP_LONGEST in findings.repairs:
        kept = _longest(distinct)
        if len(kept) < len(distinct):
            findings.note("spans left out that overlap a longer one (keep-longest)", place, len(distinct) - len(kept))
        distinct = kept
    sentence = Sentence(tuple(words), tuple(distinct), place)
    wrong = crossed(sentence)
    if wrong is None:
        return sentence
    findings.refuse([FormatError(place, wrong, kind="spans that cross", repairs=[Repair.KEEP_LONGEST])])
    return None


def states(found: str, stated: str | None) -> bool:
    """Whether `found` is the text that a span states, ignoring differences in white space."""
    return stated is None or found == stated or found.split() == stated.split()


def nearby(text: str, start: int, end: int, *, stated: str) -> tuple[int, int] | None:
    """Where the text that a span states overlaps the span, if it does so in one place."""
    size = len(stated)
    places = [at for at in range(max(0, start - size + 1), min(end, len(text))) if size and text.startswith(stated, at)]
    return (places[0], places[0] + size) if len(places) == 1 else None


def _span(mark: Mark, text: str, words: Sequence[Word], *, findings: Findings) -> Span:
    """The words that the characters of `mark` cover. Raises FormatError."""
    start, end = mark.start, mark.end
    inside = 0 <= start < end <= len(text)
    if not (inside and states(text[start:end], mark.stated)):
        moved = nearby(text, start, end, stated=mark.stated or "")
        if moved is None:
            raise _misplaced(mark, text)
        findings.note(MOVED, mark.place)
        start, end = moved
    found = f"found {replace(mark, start=start, end=end).shown(text)}"
    first, beyond = _covered(words, start, end)
    ends = [(words[first], start), (words[beyond - 1], end)] if first < beyond else []
    cut = next(((word, offset) for word, offset in ends if word.start < offset < word.end), None)
    if cut is not None and Repair.GROW_TO_WORD not in findings.repairs:
        word, offset = cut
        nearest = word.start if offset - word.start <= word.end - offset else word.end
        said = f"{found}, which cuts the word {quote(word.text)} at {offset + mark.origin}"
        said += f", expected a word boundary: the nearest is {nearest + mark.origin}"
        repairs = [Repair.GROW_TO_WORD, Repair.DROP_SPAN]
        raise FormatError(mark.place, said, kind="spans that cut a word", repairs=repairs)
    if cut is not None:
        findings.note("spans that cut a word, grown to it (grow-to-word)", mark.place)
    if first >= beyond:
        said = f"{found}, expected at least one word"
        raise FormatError(mark.place, said, kind="spans without a word", repairs=[Repair.DROP_SPAN])
    return Span(first, beyond, mark.label)


def _misplaced(mark: Mark, text: str) -> FormatError:
    """The fault of a span that lies outside its text, or states another one."""
    if not 0 <= mark.start < mark.end <= len(text):
        expected = f"0 <= start < end <= {len(text) + mark.origin}, the text's length"
        said = f"found {mark.shown(text)}, expected {expected}"
        return FormatError(mark.place, said, kind="spans outside their text", repairs=[Repair.DROP_SPAN])
    said = f"found {mark.shown(text)}, expected the text stated, {quote(mark.stated)}"
    return FormatError(mark.place, said, kind="spans that state another text", repairs=[Repair.DROP_SPAN])


def _covered(words: Sequence[Word], start: int, end: int) -> tuple[int, int]:
    first = bisect_right(words, start, key=lambda word: word.end)
    return first, bisect_left(words, end, key=lambda word: word.start)


def _longest(spans: Sequence[Span]) -> list[Span]:
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start - span.end, span)):
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return sorted(kept)


def _fits(text: str, mark: Mark) -> bool:
    if not 0 <= mark.start < mark.end <= len(text) or not states(text[mark.start : mark.end], mark.stated):
        return False
    return not any(word.start < at < word.end for word in split_words(text) for at in (mark.start, mark.end))


def _has_pairs(text: str) -> bool:
    """Whether UTF-16 needs two units for some character."""
    return not text.isascii() and max(text) > "\uffff"


def _moved(marked: Marked) -> list[Mark]:
    """The marks that move when their offsets are read as UTF-16 units."""
    return [mark for mark in marked.marks if _from_utf16(marked.text, mark) != mark]


def _from_utf16(text: str, mark: Mark) -> Mark | None:
    """The mark with offsets in characters; None where they point into a character or beyond the text."""
    units = text.encode("utf-16-le", "surrogatepass")
    if not 0 <= 2 * mark.start <= 2 * mark.end <= len(units):
        return None
    try:
        before, until = (units[: 2 * at].decode("utf-16-le") for at in (mark.start, mark.end))
    except UnicodeDecodeError:
        return None
    return replace(mark, start=len(before), end=len(until))


def _in_units(marked: Marked) -> Marked:
    if not _has_pairs(marked.text):
        return marked
    return replace(marked, marks=tuple(_from_utf16(marked.text, mark) or mark for mark in marked.marks))


def _is_inclusive(text: str, mark: Mark) -> bool:
    if mark.stated is None or not 0 <= mark.start <= mark.end < len(text):
        return False
    return text[mark.start : mark.end + 1] == mark.stated
