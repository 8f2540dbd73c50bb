"""The annotation of one JSON record: finds the fields that hold it, and refuses other fields with labels or offsets.

A layer is a field of tags that goes with one of words, or a field of labelled spans that goes with a text. Several
layers must agree.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lightner.data.formats import prodigy, spacy
from lightner.data.formats._findings import Findings, FormatError
from lightner.data.formats._items import by_item, has_offsets, mark_of
from lightner.data.formats._spans import Mark, Marked
from lightner.data.formats._tags import OUTSIDE, TaggedWords, is_tag, loosely
from lightner.data.formats._values import is_strings, string, strings
from lightner.data.formats.options import Columns
from lightner.words import place_words

TEXTS = ("text", "data", "sentence", "content")
WORDS = ("tokens", "words")
TAGS = ("ner_tags", "tags", "labels", "ner", "ner_labels", "bio_tags", "iob_tags")
SPANS = ("label", "labels", "entities", "spans", "ents")
_OTHER_TASKS = frozenset((
    *WORDS, *TEXTS, "relations", "Comments", "comments", "sents", "cats", "meta", "metadata", "predictions", "pos",
    "pos_tags", "upos", "xpos", "chunks", "chunk_tags", "lemma", "lemmas", "deps", "heads", "events", "links", "coref",
    "coreferences", "clusters", "offsets",
))  # fmt: skip
"""Fields that are known not to be about entities."""
_DEPTH = 4  # to which an unknown field is searched
_BY_NAME = "name the fields that count by --columns word=...,tag=... or --columns text=...,spans=..."


def annotation_of(
    record: Mapping[str, Any], place: str, *, wanted: Columns, findings: Findings
) -> Marked | TaggedWords:
    """The words and tags of a record, or its text and marks. Raises FormatError."""
    fields = {name: by_item(value) for name, value in record.items()}
    missing = [each for each in wanted.names if each not in fields]
    if missing:
        said = f"found keys {sorted(record)}, expected {missing[0]!r}, which --columns names"
        raise FormatError(place, said, kind="records without a named field")
    words_at = _words_field(fields, wanted)
    text_at = _text_field(fields, wanted)
    tags = _tag_fields(fields, words_at, wanted)
    spans = _span_fields(fields, tags, wanted)
    _check_others(fields, {*tags, *(name.partition(".")[0] for name in spans)}, words_at, wanted=wanted, place=place)
    tagged = _agreed_tags(fields, words_at, tags, place=place)
    layers = {name: _marks(items, f"{place}: {name}", findings) for name, items in spans.items()}
    if len({frozenset(map(_plainly, marks)) for marks in layers.values()}) > 1:
        raise _disagreement(layers, place)
    marks = next(iter(layers.values()), ())
    if tagged is None and (text_at is None or (not spans and not prodigy.is_accepted(record))):
        expected = f"'tokens' and 'ner_tags', or 'text' and a list {' or '.join(map(repr, SPANS))}"
        raise FormatError(
            place, f"found keys {sorted(record)}, expected {expected}", kind="records that are not understood"
        )
    if tagged is not None:
        found = fields.get(text_at or "")
        text = found if isinstance(found, str) else ""
        if spans and not _agree(tagged, marks, text):
            raise _disagreement([*tags, *spans], place)
        return replace(tagged, text="" if place_words(text, tagged.words) is None else text)
    if not spans:
        findings.note("accepted records without spans (read as sentences without entities)", place)
    return Marked(string(fields[text_at or ""], f"{place}: {text_at}"), marks, place)


def _words_field(fields: Mapping[str, Any], wanted: Columns) -> str | None:
    names = (wanted.word,) if isinstance(wanted.word, str) else WORDS
    return next((name for name in names if name in fields and not _is_objects(fields[name])), None)


def _text_field(fields: Mapping[str, Any], wanted: Columns) -> str | None:
    if isinstance(wanted.text, str):
        return wanted.text
    if TEXTS[0] in fields:
        return TEXTS[0]
    return next((name for name in TEXTS if isinstance(fields.get(name), str)), None)


def _tag_fields(fields: Mapping[str, Any], words_at: str | None, wanted: Columns) -> list[str]:
    """Fields with a tag for each word."""
    if isinstance(wanted.tag, str):
        return [wanted.tag]
    if words_at is None or wanted.spans is not None:
        return []
    none = fields[words_at] == []
    lists = {name: fields[name] for name in TAGS if isinstance(fields.get(name), list)}
    return [
        name
        for name, value in lists.items()
        if (value or none) and not any(isinstance(item, (list, dict)) for item in value)
    ]


def _span_fields(fields: Mapping[str, Any], tags: Sequence[str], wanted: Columns) -> dict[str, list[Any]]:
    """Fields with labelled spans, without those that merely list the names of labels."""
    if isinstance(wanted.spans, str):
        return {wanted.spans: fields[wanted.spans]} if isinstance(fields[wanted.spans], list) else {}
    if isinstance(wanted.tag, str):
        return {}
    found = {name: fields[name] for name in SPANS if isinstance(fields.get(name), list) and name not in tags}
    found = spacy.with_groups(fields, found)
    names = [name for name, items in found.items() if items and is_strings(items)]
    return found if len(names) == len(found) else {name: found[name] for name in found if name not in names}


def _check_others(
    fields: Mapping[str, Any], used: Collection[str], words_at: str | None, *, wanted: Columns, place: str
) -> None:
    """Raises FormatError for an unknown field that holds labels or offsets."""
    if wanted.tag is not None or wanted.spans is not None:
        return
    words = fields.get(words_at or "")
    count = len(words) if isinstance(words, list) else None
    for name, value in fields.items():
        if name in used or name in _OTHER_TASKS or name.startswith("_"):
            continue
        if _carries(value, count):
            said = f"found labels or offsets in the field {name!r}, which is not read, expected none: {_BY_NAME}"
            raise FormatError(place, said, kind="fields with labels or offsets that are not read")


def _carries(value: object, words: int | None, depth: int = _DEPTH) -> bool:
    """Whether a value holds labelled spans, or tags (recognised by `words`, their number, if they have no prefix)."""
    if isinstance(value, dict):
        inner = list(value.values())
        return has_offsets(value) or (depth > 0 and any(_carries(each, words, depth - 1) for each in inner))
    if not isinstance(value, list):
        return False
    if value and is_strings(value):
        tags = all(map(is_tag, value)) or (OUTSIDE in value and len(value) == words)
        return tags and set(value) != {OUTSIDE}
    return has_offsets(value) or (depth > 0 and any(_carries(each, words, depth - 1) for each in value))


def _agreed_tags(
    fields: Mapping[str, Any], words_at: str | None, names: Sequence[str], *, place: str
) -> TaggedWords | None:
    """The words and their tags; fields of tags must agree."""
    if words_at is None or not names:
        return None
    words = strings(fields[words_at], f"{place}: {words_at}")
    layers = [strings(fields[name], f"{place}: {name}") for name in names]
    if any(layer != layers[0] for layer in layers):
        raise _disagreement(names, place)
    if len(words) != len(layers[0]):
        said = f"found {len(words)} {words_at} and {len(layers[0])} {names[0]}, expected one tag per token"
        raise FormatError(place, said, kind="records without one tag per word")
    return TaggedWords(words, layers[0], place, 0, names[0])


def _marks(items: Sequence[object], place: str, findings: Findings) -> tuple[Mark, ...]:
    found = ((item, f"{place}[{index}]") for index, item in enumerate(items))
    return tuple(mark_of(item, where) for item, where in found if prodigy.counts(item, where, findings))


def _agree(tagged: TaggedWords, marks: Sequence[Mark], text: str) -> bool:
    """Whether the tags and the labelled spans of a text agree."""
    spans = loosely(tagged.tags)
    if spans is None:
        return False
    if not spans and not marks:
        return True
    starts, at = [], 0
    for word in tagged.words:
        at = text.find(word, at)
        if at < 0:
            return False
        starts.append(at)
        at += len(word)
    ends = [start + len(word) for start, word in zip(starts, tagged.words, strict=True)]
    return {(starts[span.start], ends[span.end - 1], span.label) for span in spans} == set(map(_plainly, marks))


def _disagreement(names: Iterable[str], place: str) -> FormatError:
    said = f"found {' and '.join(map(repr, names))}, which disagree, expected one annotation: {_BY_NAME}"
    return FormatError(place, said, kind="records with several annotations that differ")


def _plainly(mark: Mark) -> tuple[int, int, str]:
    return mark.start, mark.end, mark.label


def _is_objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)
