"""Sources of labelled sentences: `read` whatever the format, `write_conll`, `write_jsonl`. One file per format."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightner.data.formats import _json, brat, docbin, hugging_face, list_table
from lightner.data.formats._findings import Findings, FormatError, Note
from lightner.data.formats._text import check_content, read_text, write_text
from lightner.data.formats.conll import parse_conll, write_conll
from lightner.data.formats.jsonl import parse_json, parse_records, write_jsonl
from lightner.data.formats.options import Columns, Repair, parse_columns, parse_repairs
from lightner.types import InputError, Sentence, Span

__all__ = [
    "Columns", "Corpus", "Note", "Repair", "check_content", "labels_of", "parse_columns", "parse_repairs", "read",
    "read_corpus", "write_conll", "write_jsonl", "write_text",
]  # fmt: skip

JSONL_SUFFIXES = (".jsonl", ".ndjson", ".json")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Corpus:
    """Labelled sentences, and what reading them found."""

    sentences: tuple[Sentence, ...]
    notes: tuple[Note, ...]
    """What was repaired or left out, and readings worth reporting."""
    columns: str | None = None
    """For a CoNLL file: what its columns were read as."""
    repairs: frozenset[Repair] = frozenset()
    """The repairs that the user allowed."""
    kind: str = ""
    """What the source was read as, in words."""

    def said(self, source: str | os.PathLike[str]) -> tuple[str, ...]:
        """The decision on columns and the notes, one line each."""
        columns = () if self.columns is None else (f"{source}: columns: {self.columns}",)
        return *columns, *map(str, self.notes)

    def as_dict(self) -> dict[str, Any]:
        """How the sentences were read, as JSON for a card."""
        notes = [{"kind": note.kind, "count": note.count, "first": note.first} for note in self.notes]
        return {"columns": self.columns, "repairs": sorted(self.repairs), "notes": notes}


def read(
    source: str | os.PathLike[str], *, columns: Columns | None = None, repairs: frozenset[Repair] = frozenset()
) -> tuple[Sentence, ...]:
    """The sentences of `read_corpus`; logs its notes and its decision on columns."""
    corpus = read_corpus(source, columns=columns, repairs=repairs)
    if corpus.columns is not None:
        _logger.info("%s: columns: %s", source, corpus.columns)
    for note in corpus.notes:
        _logger.warning("%s", note)
    return corpus.sentences


def read_corpus(
    source: str | os.PathLike[str], *, columns: Columns | None = None, repairs: frozenset[Repair] = frozenset()
) -> Corpus:
    """Sentences of a source, in order, including those without entities.

    A source is a file in CoNLL columns, JSON, BRAT's standoff or spaCy's DocBin, a folder or file of the library
    `datasets`, or a name on the Hugging Face hub, with a split after a colon. A file is JSON by its suffix or by how
    its text begins; a `.ann` file, or a `.txt` file with one next to it, is BRAT's. The columns of a CoNLL file are
    found by content, or given by `columns`; tagging schemes are found by the tags.
    Raises InputError for whatever cannot be understood: `file:line: found ..., expected ...`, all faults of the source
    at once, by kind. Faults that one of `repairs` mends are noted instead.
    """
    name, findings = os.fspath(source), Findings(repairs)
    found = _found(name, findings, columns=columns)
    trimmed = tuple(_trimmed(sentence, findings) for sentence in found.sentences)
    return Corpus(trimmed, findings.notes(), found.columns, repairs, found.kind)


def _trimmed(sentence: Sentence, findings: Findings) -> Sentence:
    """The sentence with its labels without white space around them: `Person ` is no other label than `Person`."""
    wide = [span for span in sentence.spans if span.label != span.label.strip()]
    if not wide:
        return sentence
    if any(not span.label.strip() for span in wide):
        said = "found a label of white space alone, expected a name"
        findings.refuse([FormatError(sentence.place, said, kind="labels of white space")])
        return sentence
    findings.note("labels with white space around them, trimmed", sentence.place, len(wide))
    spans = tuple(_trimmed_span(span) for span in sentence.spans)
    return replace(
        sentence, spans=spans, scores={_trimmed_span(span): score for span, score in sentence.scores.items()}
    )


def _trimmed_span(span: Span) -> Span:
    return replace(span, label=span.label.strip())


@dataclass(frozen=True, slots=True)
class _Found:
    """The sentences of a source, what it is, and the decision on its columns, if any."""

    kind: str
    sentences: list[Sentence]
    columns: str | None = None


def _found(name: str, findings: Findings, columns: Columns | None) -> _Found:
    path = Path(name)
    for is_one, parse, kind in (
        (brat.is_standoff, brat.parse_brat, "BRAT's standoff"),
        (docbin.is_docbin, docbin.parse_docbin, "spaCy's DocBin"),
    ):
        if is_one(path):
            if columns is not None:
                raise InputError(f"{name}: columns: found {columns}, expected none: {kind} has no columns")
            return _Found(kind, parse(path, findings))
    if hugging_face.is_source(name):
        records = hugging_face.records_of(name)
        return _Found("data set of Hugging Face", parse_records(records, name, findings, columns=columns))
    text = read_text(name)
    if path.suffix.lower() in JSONL_SUFFIXES or _json.begins_as_json(text):
        return _Found("JSON records", parse_json(text, name, findings, columns=columns))
    if list_table.is_table(text):
        records = list_table.records_of(text, name, findings)
        return _Found("CSV with lists", parse_records(records, name, findings, columns=columns))
    return _Found("CoNLL columns", *parse_conll(text, name, findings, columns=columns))


def labels_of(sentences: Iterable[Sentence]) -> tuple[str, ...]:
    """The distinct labels of all spans, sorted."""
    return tuple(sorted({span.label for sentence in sentences for span in sentence.spans}))
