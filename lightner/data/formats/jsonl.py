"""JSON <-> sentences: records of tokens with tags, or of a text with labelled spans in characters.

Reads what Hugging Face datasets, doccano, spaCy, Prodigy, Label Studio, ner-annotator, Dataturks and GLiNER write. An
unknown field that holds labels or offsets is refused; fields of other tasks are skipped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from lightner.data.formats import dataturks, gliner, label_studio, pairs, prodigy, spacy
from lightner.data.formats._findings import Findings, FormatError
from lightner.data.formats._json import Record, records_of
from lightner.data.formats._layers import annotation_of
from lightner.data.formats._spans import Marked, count_characters, sentence_of
from lightner.data.formats._tags import OUTSIDE, TaggedWords, crossed, decode, encode
from lightner.data.formats._text import write_text
from lightner.data.formats._values import blank, quote
from lightner.data.formats.documents import Document
from lightner.data.formats.options import Columns
from lightner.types import InputError, Sentence, is_nested

_LEFT_OUT = "records left out that are not annotated, or whose answer is not 'accept'"


def parse_json(text: str, name: str, findings: Findings, *, columns: Columns | None = None) -> list[Sentence]:
    """Sentences of a file called `name` (for messages), including those without entities.

    A record is `{"tokens": [word], "ner_tags": [tag]}` or `{"text": text, "spans": [span]}`, with other usual names of
    these fields too; a span is `[start, end, label]` or an object of these, in characters, end exclusive. White space
    at the ends of a span is dropped. Records of the other formats in this folder are read too.
    Raises InputError for a file that is not JSON or has no records.
    """
    return parse_records(records_of(text, name, findings), name, findings, columns=columns)


def parse_records(
    records: Iterable[Record], name: str, findings: Findings, *, columns: Columns | None = None
) -> list[Sentence]:
    """Sentences of records, each given with its place, of the source called `name`. Raises InputError for none."""
    wanted = columns or Columns()
    if wanted.numbers:
        raise InputError(f"{name}: columns: found the number of a column, expected names of fields, as in word=tokens")
    found: list[_Found] = []
    for record, place in records:
        try:
            found += _read(record, place, wanted=wanted, findings=findings)
        except FormatError as fault:
            findings.refuse([fault])
    sentences = _sentences(found, findings)
    if not sentences:
        findings.notes()  # raises if faults explain it
        raise InputError(f"{name}: found no records to use, expected JSON objects with labelled sentences")
    return sentences


def write_jsonl(path: str | os.PathLike[str], sentences: Iterable[Sentence]) -> None:
    """Writes `{"tokens", "ner_tags"}` (IOB2) per line, in one step; `formats.read` gives the same sentences back.

    A sentence of nested spans, which tags cannot hold, is a record of GLiNER's. Raises InputError for no sentences, a
    sentence without words, a blank word, a label that is empty or has white space around it, spans that cross.
    """
    lines = []
    for index, sentence in enumerate(sentences):
        where = f"{os.fspath(path)}: sentence {index}"
        _check_words(sentence.words, where)
        for span in sentence.spans:
            if not span.label or span.label != span.label.strip():
                raise InputError(f"{where}: found label {span.label!r}, expected one without white space around it")
        lines.append(json.dumps(_tagged(sentence, where), ensure_ascii=False) + "\n")
    if not lines:
        raise InputError(f"{os.fspath(path)}: found no sentences to write, expected at least one")
    write_text(path, "".join(lines))


def record_of(document: Document, where: str) -> dict[str, Any]:
    """A document as its text and its entities in characters; where the text is split otherwise, with its words too.

    A document of words alone is words and tags; where its spans are nested, one of words that are not those of its text
    is a record of GLiNER's, which has words and spans alone.
    """
    if not document.own_text or (document.nested and not document.splits_alike):
        return _tagged(document.sentence, where)
    entities = [
        {"start": mark.start, "end": mark.end, "text": mark.text, "label": mark.label}
        | ({} if mark.score is None else {"score": mark.score})
        for mark in document.marks
    ]
    record: dict[str, Any] = {"text": document.text, "entities": entities}
    if document.certainty is not None:
        record |= {"certainty": document.certainty, "found_by": document.found_by}
    return record if document.splits_alike else record | _tagged(document.sentence, where)


def _tagged(sentence: Sentence, where: str) -> dict[str, Any]:
    if is_nested(sentence.spans):
        if (wrong := crossed(sentence)) is not None:
            raise InputError(f"{where}: {wrong}")
        return gliner.record_of(sentence)
    return {"tokens": sentence.words, "ner_tags": encode(sentence, where)}


_Found = Sentence | TaggedWords | Marked


def _read(record: Any, place: str, *, wanted: Columns, findings: Findings) -> Iterator[_Found]:
    """The sentences of a record, as far as the record alone determines them. Raises FormatError."""
    if pairs.is_pair(record):
        record = pairs.record_of(record)
    if not isinstance(record, dict):
        said = f"found {quote(record)}, expected a JSON object"
        raise FormatError(place, said, kind="records that are not objects")
    if prodigy.is_left_out(record):
        findings.note(_LEFT_OUT, place)
    elif label_studio.is_task(record):
        marked = label_studio.marked_of(record, place, findings)
        if marked is None:
            findings.note(_LEFT_OUT, place)
        else:
            yield marked
    elif dataturks.is_record(record):
        content = dataturks.marked_of(record, place)
        if content is None:
            findings.note(_LEFT_OUT, place)
        else:
            yield content
    elif gliner.is_record(record):
        sentence = gliner.sentence_of(record, place, findings)
        if sentence is not None:
            yield sentence
    elif spacy.is_document(record):
        yield from spacy.sentences_of(record, place)
    else:
        yield annotation_of(record, place, wanted=wanted, findings=findings)


def _sentences(found: Sequence[_Found], findings: Findings) -> list[Sentence]:
    """Finish sentences by what all records show: the scheme of their tags, and what their offsets count."""
    ready: dict[int, Sentence] = {}
    tagged: list[TaggedWords] = []
    marked: dict[int, Marked] = {}
    for number, each in enumerate(found):
        if isinstance(each, Sentence):
            ready[number] = each
        elif isinstance(each, Marked):
            marked[number] = each
        elif (row := _without_blanks(replace(each, number=number), findings)) is not None:
            tagged.append(row)
    ready |= decode(tagged, lambda row, tag: f"{row.place}: {row.field}[{tag}]", findings)
    for number, text in zip(marked, count_characters(list(marked.values()), findings), strict=True):
        sentence = sentence_of(text, findings)
        if sentence is not None:
            ready[number] = sentence
    return [ready[number] for number in sorted(ready)]


_INSIDE = ("I-", "M-")


def _without_blanks(row: TaggedWords, findings: Findings) -> TaggedWords | None:
    """The row without blank words; None if no words are left, or if a blank word is tagged (a fault)."""
    if not row.words:
        findings.note("blank texts left out", row.place)
        return None
    if blank(row.words) is None:
        return row
    words: list[str] = []
    tags: list[str] = []
    for index, (word, tag) in enumerate(zip(row.words, row.tags, strict=True)):
        if blank([word]) is None:
            words.append(word)
            tags.append(tag)
        elif tag == OUTSIDE or (tag[:2] in _INSIDE and tags[-1:] not in ([], [OUTSIDE])):
            findings.note("blank words left out", row.place)
        else:
            said = f"found the blank word {word!r} with the tag {tag!r}, expected words"
            findings.refuse([FormatError(f"{row.place}: {row.field}[{index}]", said, kind="blank words with a tag")])
            return None
    return replace(row, words=tuple(words), tags=tuple(tags)) if words else None


def _check_words(words: Sequence[str], where: str) -> None:
    if not words:
        raise InputError(f"{where}: found no words, expected at least one")
    found = blank(words)
    if found is not None:
        raise InputError(f"{where}: found the blank word {found!r}, expected words")
