"""Raw text to words and sentences with character offsets, and back from spans of words to entities of characters.

The one place that knows raw text. It knows no file format, no sub-words and no model.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, zip_longest

import sentencex

from lightner.types import MOST_WORDS, Entity, InputError, Sentence, Span


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text: its characters `[start, end)`, so that `text[word.start:word.end] == word.text`."""

    text: str
    start: int
    end: int


def split_words(text: str) -> tuple[Word, ...]:
    """The words of `text` in order, none empty, none overlapping; every visible character is in one.

    A word is a run of letters, digits and the marks on them, or any other single visible character with its marks.
    In scripts written without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese) every letter is a word, so that an
    entity may begin and end anywhere. Invisible format characters stay inside a word and never make or end one,
    except the zero-width space, which separates like white space and control characters do.
    """
    kinds = "".join(map(_kind, text))
    return tuple(Word(text[match.start() : match.end()], *match.span()) for match in _WORD.finditer(kinds))


def is_unspaced(word: str) -> bool:
    """Whether no space is written before a word: its script has none between words, or it is East Asian punctuation."""
    return _in(word[:1] or " ", (*_ALONE, *_WIDE_PUNCTUATION))


def join_words(words: Sequence[str]) -> tuple[str, tuple[Word, ...]]:
    """The text of pre-split words, one space between each two, and those words in it, unchanged."""
    placed, start = [], 0
    for word in words:
        placed.append(Word(word, start, start + len(word)))
        start += len(word) + 1
    return " ".join(words), tuple(placed)


def placed_words(sentence: Sentence) -> tuple[str, tuple[Word, ...]]:
    """The sentence's raw text, or one made of its words (`join_words`), and its words in it."""
    words = place_words(sentence.text, sentence.words) if sentence.text else None
    return join_words(sentence.words) if words is None else (sentence.text, words)


def as_given(sentence: Sentence) -> str | tuple[str, ...]:
    """What a reader is given: the raw text if its words are the sentence's, else the words."""
    return sentence.text if _are_its_own(sentence) else sentence.words


def _are_its_own(sentence: Sentence) -> bool:
    """Whether the sentence's words are those of its raw text."""
    return bool(sentence.text) and tuple(word.text for word in split_words(sentence.text)) == sentence.words


def place_words(text: str, words: Sequence[str]) -> tuple[Word, ...] | None:
    """The given words in a text that they were split from, in order; None if it has other visible characters too."""
    placed, at = [], 0
    for word in words:
        start = text.find(word, at)
        if start < 0 or split_words(text[at:start]):
            return None
        at = start + len(word)
        placed.append(Word(word, start, at))
    return None if split_words(text[at:]) else tuple(placed)


@dataclass(frozen=True, slots=True)
class ReadWords:
    """Given words as the model reads them: split as raw text would be, so that learning and reading see the same words.

    `words` are those that are read, in a `text` made of the given ones. Read word n belongs to the given words
    `[origin[n][0], origin[n][1])`; given word m to the read words `[place[m][0], place[m][1])`.
    """

    text: str
    words: tuple[Word, ...]
    origin: tuple[tuple[int, int], ...]
    place: tuple[tuple[int, int], ...]

    @property
    def same(self) -> bool:
        """Whether every given word is read as it is."""
        return len(self.origin) == len(self.place) and all(
            each == (number, number + 1) for number, each in enumerate(self.origin)
        )

    def read(self, span: Span) -> Span:
        """A span of given words, in read words."""
        return Span(self.place[span.start][0], self.place[span.end - 1][1], span.label)

    def given(self, span: Span) -> Span:
        """A span of read words, in given words: those that it is in, whole."""
        return Span(self.origin[span.start][0], self.origin[span.end - 1][1], span.label)


def read_words(given: Sequence[str], *, joined: bool = True) -> ReadWords:
    """Split each given word as raw text is split: `v2.0.1` is five words, whoever wrote it as one.

    With `joined` a clitic that treebanks part from its word (`do n't`) is put back first. A word without a visible
    character stays one word.
    """
    starts: list[int] = []
    text = ""
    for number, word in enumerate(given):
        attached = joined and word.lower() in _CLITICS and number > 0 and given[number - 1][-1:].isalpha()
        text += word if attached or not number else " " + word
        starts.append(len(text) - len(word))
    bounds = [(start, start + len(word)) for start, word in zip(starts, given, strict=True)]
    words = _with_invisible(split_words(text), text, bounds)
    origin, place = _overlaps(words, bounds), _overlaps([Word("", *each) for each in bounds], words)
    return ReadWords(text, words, origin, place)


def as_read(sentence: Sentence) -> Sentence:
    """A sentence in the words that the model reads (`read_words`); its spans follow, and stay apart that are."""
    if _are_its_own(sentence):
        return sentence
    for joined in (True, False):
        read = read_words(sentence.words, joined=joined)
        spans = sorted(map(read.read, sentence.spans))
        if not joined or _sharing(spans) == _sharing(sentence.spans):  # each given word by itself: spans cannot meet
            return Sentence(tuple(word.text for word in read.words), tuple(spans), sentence.place)
    raise AssertionError("the second turn always returns")


def _sharing(spans: Iterable[Span]) -> tuple[int, int]:
    """How many pairs of spans share a word, and how many different ranges of words they have."""
    ranges = sorted((span.start, span.end) for span in spans)
    starts = [start for start, _ in ranges]
    pairs = sum(bisect_left(starts, end) - place - 1 for place, (_, end) in enumerate(ranges))
    return pairs, len(set(ranges))


def in_parts(sentence: Sentence, most: int = MOST_WORDS) -> tuple[Sentence, ...]:
    """A labelled text in parts of at most `most` words as they are read, cut at ends of sentences with its spans.

    A sentence that is longer is cut where the limit is, but never within a span: a longer span stays in a longer part.
    """
    read = read_words(sentence.words)
    if len(read.words) <= most:
        return (sentence,)
    text, words = placed_words(sentence)
    sizes = [last - first for first, last in read.place]
    inside = {place for span in sentence.spans for place in range(span.start + 1, span.end)}
    ends = {end for _, end in sentence_ranges(text, words)} - inside
    bounds, size = [0], 0
    for place, more in enumerate(sizes):
        while size + more > most:
            possible = [n for n in range(bounds[-1] + 1, place + 1) if n not in inside]
            if not possible:
                break
            bounds.append(max((n for n in possible if n in ends), default=possible[-1]))
            size = sum(sizes[bounds[-1] : place])
        size += more
    own = text if text == sentence.text else ""
    return tuple(_part(sentence, own, words[start:end], start) for start, end in pairwise([*bounds, len(words)]))


def _part(sentence: Sentence, text: str, words: Sequence[Word], start: int) -> Sentence:
    """The words from `start` on as a sentence of their own; `text` is the whole raw text, if they are placed in it."""
    end = start + len(words)
    spans = (s for s in sentence.spans if start <= s.start < end)
    moved = tuple(Span(span.start - start, span.end - start, span.label) for span in spans)
    return Sentence(sentence.words[start:end], moved, sentence.place, text[words[0].start : words[-1].end])


def sentence_ranges(text: str, words: Sequence[Word]) -> tuple[tuple[int, int], ...]:
    """Ranges `[start, end)` of `words` (those of `text`, in order) that are sentences; together they cover all words.

    Ends of sentences are those of the library sentencex, and line breaks that end a paragraph or an item of a list. A
    line break in running text, as in a text that was wrapped at some width, ends none, and neither does the point of a
    number that was split into words (`22 . 04`).
    """
    ends = [end for _, end in _chunks(text)]
    last = [bisect_left(words, end, key=lambda word: word.start) for end in ends]
    bounds = sorted({0, *last, len(words)})
    kept = [place for place in bounds if not _within_number(words, place)]
    return tuple((start, end) for start, end in pairwise(kept) if start < end)


def _within_number(words: Sequence[Word], place: int) -> bool:
    """Whether word `place` comes after a point that stands by itself between two numbers, as no one writes an end."""
    if not 2 <= place < len(words):
        return False
    number, point, following = words[place - 2 : place + 1]
    return point.text == "." and number.end < point.start and number.text.isdigit() and following.text[0].isdigit()


def windows(count: int, size: int, overlap: int) -> tuple[tuple[int, int], ...]:
    """Ranges `[start, end)` of at most `size` words that cover `count` words; neighbours share at least `overlap`.

    The last window is moved back to be full, so that its words have as much context as others. Without words there are
    no windows. Raises InputError unless 0 <= overlap < size.
    """
    if not 0 <= overlap < size:
        raise InputError(f"windows: found size {size} and overlap {overlap}, expected 0 <= overlap < size")
    if count <= size:
        return ((0, count),) if count > 0 else ()
    starts = [*range(0, count - size, size - overlap), count - size]
    return tuple((start, start + size) for start in starts)


def spans_to_entities(
    text: str, words: Sequence[Word], spans_with_scores: Iterable[tuple[Span, float]]
) -> list[Entity]:
    """Entities in characters of `text` for spans in `words` (those of `split_words(text)`), in the order given.

    Raises InputError for a span beyond the words.
    """
    entities = []
    for span, score in spans_with_scores:
        if span.end > len(words):
            raise InputError(f"span: found end {span.end}, expected at most the {len(words)} words of the text")
        start, end = words[span.start].start, words[span.end - 1].end
        entities.append(Entity(start, end, text[start:end], span.label, score))
    return entities


# `split_words` matches this against one kind per character (see `_kind`), so that offsets are those of the text.
# The two parts of each repetition share no kind: the time is linear.
_WORD = re.compile(r"[am](?:j*[amv])*|s(?:j*[mv])*")

_ALONE = (  # letters of scripts without spaces between words, as code points, both ends included
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # ideographic iteration mark, closing mark, zero
    (0x3021, 0x312F),  # Suzhou numerals, kana, bopomofo
    (0x31A0, 0x31FF),  # bopomofo and kana extensions
    (0x3400, 0x9FFF),  # CJK ideographs
    (0xA9E0, 0xA9FF),  # Burmese extension
    (0xAA60, 0xAA7F),  # Burmese extension
    (0xF900, 0xFAFF),  # CJK compatibility ideographs
    (0xFF66, 0xFF9F),  # half-width kana
    (0x1AFF0, 0x1B16F),  # kana extensions
    (0x20000, 0x3FFFF),  # CJK ideographs, the supplementary planes
)
_WIDE_PUNCTUATION = ((0x3001, 0x303F), (0xFE30, 0xFE4F), (0xFF01, 0xFF65))  # of Chinese and Japanese
_VARIATION_SELECTORS = ((0x034F, 0x034F), (0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF))
_ZERO_WIDTH_SPACE = "\u200b"
_CLITICS = frozenset({"n't", "n\u2019t"})
# A line break ends a sentence before a blank line, before an item of a list, and after a line too short to be wrapped.
_LIST_ITEM = re.compile(r"\s*(?:[-*\u2022\u2013\u2014]|\(?\w{1,3}[.)])\s")
_WRAPPED_FROM = 40  # characters


@lru_cache(maxsize=8192)
def _kind(char: str) -> str:
    """One letter: `a` in a run, `s` alone, `m` mark, `v` invisible mark, `j` invisible joiner, space separates.

    A lone surrogate separates too: no tokenizer accepts one.
    """
    category = unicodedata.category(char)
    if category[0] == "Z" or category in ("Cc", "Cs") or char == _ZERO_WIDTH_SPACE:
        return " "
    if category[0] == "M":
        return "v" if _in(char, _VARIATION_SELECTORS) else "m"
    if category == "Cf":
        return "v" if _in(char, _VARIATION_SELECTORS) else "j"
    if category in ("Nd", "No"):
        return "a"
    if category[0] in "LN":
        return "s" if _in(char, _ALONE) else "a"
    return "s"


def _in(char: str, ranges: Iterable[tuple[int, int]]) -> bool:
    return any(first <= ord(char) <= last for first, last in ranges)


def _with_invisible(words: Sequence[Word], text: str, bounds: Sequence[tuple[int, int]]) -> tuple[Word, ...]:
    """The words of `text` and, of those given at `bounds`, the ones of which splitting left nothing."""
    found = list(words)
    for start, end in bounds:
        at = bisect_left(words, end, key=lambda word: word.start)
        if start < end and (at == 0 or words[at - 1].end <= start):
            found.append(Word(text[start:end], start, end))
    return tuple(sorted(found, key=lambda word: word.start)) if len(found) > len(words) else tuple(words)


def _overlaps(those: Sequence[Word], others: Sequence[Word] | Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """For each of `those` the range of `others` that it shares characters with; both are in order."""
    ranges = [(each.start, each.end) if isinstance(each, Word) else each for each in others]
    found, first = [], 0
    for each in those:
        while first < len(ranges) and ranges[first][1] <= each.start:
            first += 1
        last = first
        while last < len(ranges) and ranges[last][0] < each.end:
            last += 1
        found.append((first, max(last, first + 1)))
    return tuple(found)


def _chunks(text: str) -> Iterator[tuple[int, int]]:
    """Characters `[start, end)` of each sentence of a text, white space after it included."""
    start = end = 0
    for block in _blocks(text):
        for sentence in sentencex.segment("en", block):
            end += len(sentence)
            if not _LIST_ITEM.fullmatch(text, start, end):  # `1. ` belongs to the item after it
                yield start, end
                start = end
    if start < end:
        yield start, end


def _blocks(text: str) -> Iterator[str]:
    """The text cut after line breaks that end a sentence by themselves."""
    block = ""
    lines = text.splitlines(keepends=True)
    for line, following in zip_longest(lines, lines[1:], fillvalue=""):
        block += line
        ends = not following.strip() or _LIST_ITEM.match(following) or len(line.strip()) < _WRAPPED_FROM
        if ends and line.strip():
            yield block
            block = ""
    if block:
        yield block
