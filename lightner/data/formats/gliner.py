"""GLiNER's records: `{"tokenized_text": [word], "ner": [[first, last, label]]}`, in words, the last one included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightner.data.formats._findings import Findings, FormatError
from lightner.data.formats._spans import nested_sentence
from lightner.data.formats._values import is_whole, quote, strings
from lightner.data.formats.options import Repair
from lightner.types import Sentence, Span

WORDS, SPANS = "tokenized_text", "ner"


def is_record(record: Mapping[str, Any]) -> bool:
    """Whether a record is one of GLiNER's."""
    return WORDS in record


def sentence_of(record: Mapping[str, Any], place: str, findings: Findings) -> Sentence | None:
    """The sentence of a record; None if it has no words, or if its spans cross (a fault). Raises FormatError."""
    words = strings(record[WORDS], f"{place}: {WORDS}")
    items = record.get(SPANS)
    if not isinstance(items, list):
        expected = "a list of [first, last, label]"
        raise FormatError(
            f"{place}: {SPANS}", f"found {quote(items)}, expected {expected}", kind="values that are not lists"
        )
    if not words and not items:
        findings.note("blank texts left out", place)
        return None
    spans = []
    for index, item in enumerate(items):
        try:
            spans.append(_span(item, len(words), f"{place}: {SPANS}[{index}]"))
        except FormatError as fault:
            if Repair.DROP_SPAN not in findings.repairs:
                raise
            findings.note(f"spans left out ({fault.kind})", fault.place)
    return nested_sentence(words, spans, place=place, findings=findings)


def record_of(sentence: Sentence) -> dict[str, Any]:
    """A sentence's words and spans."""
    return {WORDS: list(sentence.words), SPANS: [[span.start, span.end - 1, span.label] for span in sentence.spans]}


def _span(item: object, words: int, place: str) -> Span:
    match item:
        case [int(first), int(last), str(label)] if is_whole(first) and is_whole(last) and label:
            if 0 <= first <= last < words:
                return Span(first, last + 1, label)
            said = f"found words {first} to {last}, expected 0 <= first <= last < {words}, the number of words"
            raise FormatError(place, said, kind="spans outside their text", repairs=[Repair.DROP_SPAN])
    said = f"found {quote(item)}, expected [first, last, label] with whole numbers and a name"
    raise FormatError(place, said, kind="spans that cannot be understood", repairs=[Repair.DROP_SPAN])
