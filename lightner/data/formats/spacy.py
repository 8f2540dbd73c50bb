"""spaCy's JSON: `Doc.to_json` with its span groups, and training files of version 2 (documents, paragraphs, tokens).

`docbin` has its binary files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lightner.data.formats._findings import FormatError
from lightner.data.formats._tags import TaggedWords
from lightner.data.formats._values import quote, string
from lightner.data.formats.documents import Document

SPANS_KEY = "sc"
"""The group of spans that spaCy's own components use unless another one is named."""
_KIND = "documents of spaCy that cannot be understood"
_MISSING = "-"  # the tag of a word that may or may not be in an entity


def with_groups(record: Mapping[str, Any], fields: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Fields of labelled spans; non-empty span groups take the place of empty `ents`."""
    spans = record.get("spans")
    if not isinstance(spans, dict):
        return dict(fields)
    groups = {f"spans.{name}": items for name, items in spans.items() if isinstance(items, list) and items}
    entities = {name: items for name, items in fields.items() if items or name != "ents" or not groups}
    return entities | groups


def is_document(record: Mapping[str, Any]) -> bool:
    """Whether a record is a document of a training file of version 2."""
    return isinstance(record.get("paragraphs"), list)


def sentences_of(record: Mapping[str, Any], place: str) -> Iterator[TaggedWords]:
    """The sentences of such a document. Raises FormatError."""
    for number, paragraph in enumerate(record["paragraphs"]):
        where = f"{place}: paragraphs[{number}]"
        found = paragraph.get("sentences") if isinstance(paragraph, dict) else None
        if not isinstance(found, list):
            raise FormatError(where, f"found {quote(paragraph)}, expected an object with 'sentences'", kind=_KIND)
        for index, sentence in enumerate(found):
            yield _sentence(sentence, f"{where}.sentences[{index}]")


def record_of(document: Document) -> dict[str, Any]:
    """A document as `Doc.to_json` gives it and `Doc.from_json` takes it; nested spans, which cannot be `ents`, as the
    group SPANS_KEY."""
    marks = [{"start": mark.start, "end": mark.end, "label": mark.label} for mark in document.marks]
    groups = {"spans": {SPANS_KEY: [{**mark, "kb_id": ""} for mark in marks]}} if document.nested else {}
    return {
        "text": document.text,
        "ents": [] if document.nested else marks,
        **groups,
        "tokens": [
            {"id": number, "start": token.start, "end": token.end} for number, token in enumerate(document.tokens())
        ],
    }


def _sentence(sentence: object, place: str) -> TaggedWords:
    tokens = sentence.get("tokens") if isinstance(sentence, dict) else None
    if not isinstance(tokens, list) or not all(isinstance(token, dict) for token in tokens):
        raise FormatError(place, f"found {quote(sentence)}, expected an object with 'tokens'", kind=_KIND)
    words, tags = [], []
    for index, token in enumerate(tokens):
        where = f"{place}.tokens[{index}]"
        words.append(string(token.get("orth"), f"{where}.orth"))
        tag = string(token.get("ner"), f"{where}.ner")
        if tag == _MISSING:
            said = f"found {tag!r}, expected a tag: {_MISSING!r} says that it is missing"
            raise FormatError(f"{where}.ner", said, kind=_KIND)
        tags.append(tag)
    return TaggedWords(tuple(words), tuple(tags), place, 0, "ner")
