"""BRAT's standoff: `NAME.ann` labels characters of `NAME.txt` next to it; each line of the text is a sentence.

Relations, events, attributes, normalisations, equivalences and notes are ignored.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lightner.data.formats._findings import Findings, FormatError
from lightner.data.formats._spans import Mark, Marked, count_characters, sentence_of
from lightner.data.formats._text import read_text
from lightner.data.formats.documents import Document
from lightner.data.formats.options import Repair
from lightner.types import InputError, Sentence

ANNOTATION, TEXT = ".ann", ".txt"

_ENTITY = re.compile(r"T\S*\t(?P<label>\S+) (?P<offsets>\d+ \d+(?:;\d+ \d+)*)\t(?P<stated>.*)")
_OTHERS = ("R", "E", "A", "M", "N", "*", "#")


def is_standoff(path: Path) -> bool:
    """Whether a path is one of such a pair of files, or a folder of them."""
    if path.is_dir():
        return any(path.glob(f"*{ANNOTATION}"))
    suffix = path.suffix.lower()
    return suffix == ANNOTATION or (suffix == TEXT and path.with_suffix(ANNOTATION).is_file())


def parse_brat(path: Path, findings: Findings) -> list[Sentence]:
    """Sentences of a pair of files, given by either, or of a folder of them by name. Raises InputError."""
    annotations = sorted(path.glob(f"*{ANNOTATION}")) if path.is_dir() else [path.with_suffix(ANNOTATION)]
    documents = [_document(annotation, findings) for annotation in annotations]
    found = [
        sentence_of(line, findings) for document in count_characters(documents, findings) for line in _by_line(document)
    ]
    sentences = [sentence for sentence in found if sentence is not None]
    if not sentences:
        findings.notes()  # raises if faults explain it
        raise InputError(f"{path}: found no sentences, expected a text and its annotation")
    return sentences


def pair_of(documents: Sequence[Document], name: str) -> tuple[str, str]:
    """The texts, one after the other with a line break between, and the annotation of them all.

    Raises InputError for a label with white space, at which the columns of an annotation end.
    """
    texts: list[str] = []
    lines: list[str] = []
    at = 0
    for document in documents:
        for mark in document.marks:
            if re.search(r"\s", mark.label):
                where = document.place or name
                raise InputError(
                    f"{where}: found label {mark.label!r}, expected one without white space, as BRAT's are"
                )
            stated = re.sub(r"\s", " ", mark.text)
            lines.append(f"T{len(lines) + 1}\t{mark.label} {at + mark.start} {at + mark.end}\t{stated}\n")
        texts.append(document.text)
        at += len(document.text) + 1
    return "".join(f"{text}\n" for text in texts), "".join(lines)


def _document(annotation: Path, findings: Findings) -> Marked:
    text_path = annotation.with_suffix(TEXT)
    text = read_text(text_path)
    marks = []
    lines = read_text(annotation).split("\n") if annotation.stat().st_size else []  # an empty file annotates nothing
    for number, line in enumerate(lines, start=1):
        line = line.rstrip("\r")
        if not line.strip() or line.startswith(_OTHERS):
            continue
        try:
            marks.append(_mark(line, f"{annotation}:{number}"))
        except FormatError as fault:
            if Repair.DROP_SPAN in findings.repairs:
                findings.note(f"spans left out ({fault.kind})", fault.place)
            else:
                findings.refuse([fault])
    return Marked(text, tuple(marks), str(text_path))


def _mark(line: str, place: str) -> Mark:
    found = _ENTITY.fullmatch(line)
    if found is None:
        expected = "an entity 'T1<tab>LABEL start end<tab>text', a relation or another annotation of BRAT"
        raise FormatError(place, f"found {line!r:.60}, expected {expected}", kind="lines that are not BRAT annotations")
    if ";" in found["offsets"]:
        said = f"found offsets {found['offsets']!r} of an entity in several parts, expected one"
        raise FormatError(place, said, kind="entities in several parts", repairs=[Repair.DROP_SPAN])
    start, end = map(int, found["offsets"].split())
    return Mark(start, end, found["label"], found["stated"], place)


def _by_line(document: Marked) -> Iterator[Marked]:
    """The lines of a text with their marks; lines that an entity spans are joined."""
    text = document.text
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    inside = {
        at
        for mark in document.marks
        for at in starts
        if mark.start < at < mark.end  # an entity spans the line break
    }
    starts = [at for at in starts if at not in inside]
    lines: list[list[Mark]] = [[] for _ in starts]
    for mark in document.marks:
        lines[max(0, bisect_right(starts, mark.start) - 1)].append(mark)
    for at, until, marks in zip(starts, [*starts[1:], len(text)], lines, strict=True):
        if not text[at:until].strip() and not marks:
            continue
        moved = tuple(replace(mark, start=mark.start - at, end=mark.end - at, origin=at) for mark in marks)
        yield Marked(text[at:until], moved, f"{document.place}:{text.count(chr(10), 0, at) + 1}")
