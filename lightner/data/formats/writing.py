"""Documents -> files of every format that is written; each format's own file knows what its records are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightner.data.formats import brat, docbin, doccano, gliner, hugging_face, jsonl, label_studio, prodigy, spacy
from lightner.data.formats._text import write_bytes, write_text
from lightner.data.formats._values import blank
from lightner.data.formats.conll import conll_text
from lightner.data.formats.documents import Document
from lightner.types import InputError

CONLL, JSONL, SPACY, BRAT, DATASETS = "conll", "jsonl", "spacy", "brat", "datasets"
_COLUMNS = {CONLL: "IOB2", "conll-iob1": "IOB1", "conll-bioes": "BIOES", "conll-bilou": "BILOU"}
_LINES: Mapping[str, Callable[[Document, str], dict[str, Any]]] = {
    JSONL: jsonl.record_of,
    "doccano": lambda document, _: doccano.record_of(document),
    "prodigy": lambda document, _: prodigy.record_of(document),
    "spacy-jsonl": lambda document, _: spacy.record_of(document),
}
TEXT_FORMATS = ("label_studio", *_LINES, "gliner", *_COLUMNS)
"""Formats of one text file."""
FORMATS = (*TEXT_FORMATS, SPACY, BRAT, DATASETS)
_BY_SUFFIX = {
    ".conll": CONLL, ".bio": CONLL, ".iob": CONLL, ".iob2": CONLL, ".tsv": CONLL, ".txt": CONLL,
    ".iob1": "conll-iob1", ".bioes": "conll-bioes", ".bilou": "conll-bilou",
    ".jsonl": JSONL, ".ndjson": JSONL, ".spacy": SPACY, ".ann": BRAT, ".parquet": DATASETS,
}  # fmt: skip


def format_by_name(path: Path) -> str:
    """The format that a file's suffix says. Raises InputError for one that says none."""
    found = _BY_SUFFIX.get(path.suffix.lower())
    if found is None:
        known = ", ".join(_BY_SUFFIX)
        raise InputError(f"{path}: found suffix {path.suffix!r}, expected one of {known}, or --to with a format's name")
    return found


def write(path: Path, documents: Sequence[Document], form: str, *, name: str | None = None) -> None:
    """Write a file, a pair of files or a folder in a format of FORMATS; each file appears whole.

    Messages call it `name`, by default its path. Raises InputError for what the format cannot hold at all, and OSError.
    """
    name = name or str(path)
    _check(documents, name)
    if form == SPACY:
        write_bytes(path, docbin.docbin_bytes(documents))
    elif form == BRAT:
        if path.suffix.lower() != brat.ANNOTATION:
            raise InputError(f"{name}: found suffix {path.suffix!r}, expected {brat.ANNOTATION!r} for BRAT")
        text, annotation = brat.pair_of(documents, name)
        write_text(path.with_suffix(brat.TEXT), text)
        write_text(path, annotation)
    elif form == DATASETS:
        texts = [each.text if each.own_text else None for each in documents]
        hugging_face.save(path, [each.sentence for each in documents], texts)
    else:
        write_text(path, text_of(documents, form, name=name))


def text_of(documents: Sequence[Document], form: str, *, name: str) -> str:
    """The content of a file called `name` (for messages) in a format of TEXT_FORMATS. Raises InputError."""
    if form in _COLUMNS:
        return conll_text([each.sentence for each in documents], name, _COLUMNS[form])
    if form == "gliner":
        return f"[{','.join(_line(gliner.record_of(each.sentence)) for each in documents)}]\n"
    if form == "label_studio":
        tasks = [label_studio.task_of(each, number) for number, each in enumerate(documents, start=1)]
        return json.dumps(tasks, ensure_ascii=False, indent=2) + "\n"
    record_of = _LINES[form]
    return "".join(_line(record_of(each, each.place or name)) + "\n" for each in documents)


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False)


def _check(documents: Iterable[Document], name: str) -> None:
    """Raises InputError for what no reader takes: no documents, no words, blank words, labels in white space."""
    none = True
    for number, document in enumerate(documents):
        where, none = document.place or f"{name}: document {number}", False
        words = [word.text for word in document.words]
        if not words or (found := blank(words)) is not None:
            said = f"the blank word {found!r}" if words else "no words"
            raise InputError(f"{where}: found {said}, expected words")
        for span, _ in document.spans:
            if span.label != span.label.strip() or not span.label:
                raise InputError(f"{where}: found label {span.label!r}, expected one without white space around it")
    if none:
        raise InputError(f"{name}: found no sentences to write, expected at least one")
