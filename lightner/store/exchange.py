"""Examples of a domain from files in any format that the package reads, and to those that it writes. Knows no store."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightner.data.formats import Columns, Repair, read_corpus, write_jsonl
from lightner.data.formats.documents import Document
from lightner.data.formats.writing import TEXT_FORMATS, text_of
from lightner.store import example
from lightner.store.example import Example, Provenance, State, from_record, new_example, to_record
from lightner.types import InputError
from lightner.words import placed_words

EXAMPLES, TOKENS = "examples", "tokens"
FORMATS = (EXAMPLES, TOKENS, *TEXT_FORMATS)
"""`examples` keeps states and history; `tokens` are words with tags, one sentence a line; the others are of tools."""

_BINARY = frozenset({".parquet", ".arrow", ".spacy"})
_NOT_ONE_FILE = frozenset({".ann", ".zip", ".gz", ".tgz", ".bz2", ".xz"})
"""Suffixes of archives, and of annotations that are nothing without a second file."""


@dataclass(frozen=True, slots=True)
class Imported:
    """Examples of a file, and what reading it found."""

    examples: tuple[Example, ...]
    notes: tuple[str, ...]


def read_file(
    name: str, content: str, *, state: State, who: str, columns: Columns | None, repairs: frozenset[Repair]
) -> Imported:
    """The labelled sentences of a file of text called `name`, in any format that `data.formats` reads, as examples.

    The text of a sentence that has none is its words with a space between each two. Raises InputError as reading does,
    naming the place.
    """
    if _is_our_own(content):
        return Imported(tuple(_our_own(content, name)), ())
    check_file_name(name)
    if is_binary(name) or "\0" in content:
        found = f"text under the name {name!r:.80}" if is_binary(name) else "a NUL character"
        raise InputError(f"{name}: found {found}, expected {'bytes' if is_binary(name) else 'text'}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(content, encoding="utf-8", errors="surrogatepass", newline="")
        return read_path(path, state=state, who=who, columns=columns, repairs=repairs)


def check_file_name(name: str) -> None:
    """Raise InputError for a name with folders, or of something that is more than one file."""
    if Path(name).name != name or name.startswith("."):
        raise InputError(f"name: found {name!r:.80}, expected that of a file without folders")
    if Path(name).suffix.lower() in _NOT_ONE_FILE:
        raise InputError(
            f"name: found {name!r:.80}, which is not one file of sentences; convert it first, or the folder that it is"
            f" in: lightner data convert {name} {Path(name).stem}.jsonl"
        )


def is_binary(name: str) -> bool:
    """Whether a file of this name is binary in a format that can be imported."""
    return Path(name).suffix.lower() in _BINARY


def read_path(path: Path, *, state: State, who: str, columns: Columns | None, repairs: frozenset[Repair]) -> Imported:
    """The labelled sentences of a file as examples. Raises InputError as reading does; it and notes name no folder."""
    folder, when = f"{path.parent}/", example.now()
    try:
        corpus = read_corpus(path, columns=columns, repairs=repairs)
    except InputError as error:
        raise InputError(str(error).replace(folder, "")) from error
    found: list[Example] = []
    for place, sentence in enumerate(corpus.sentences):
        text, words = placed_words(sentence)
        marks = [example.Mark(words[s.start].start, words[s.end - 1].end, s.label) for s in sentence.spans]
        try:
            found.append(
                new_example(
                    text, who=who, when=when, place=place, marks=marks, state=state, provenance=Provenance.IMPORTED
                )
            )
        except InputError as error:
            where = (sentence.place or f"sentence {place}").replace(folder, "")
            raise InputError(f"{where}: {error}") from error
    return Imported(tuple(found), tuple(note.replace(folder, "") for note in corpus.said(path)))


def rendered_as(form: str, examples: Sequence[Example]) -> str:
    """The content of a file of one of FORMATS. Raises InputError for no examples, and for what the format cannot hold.

    In the formats of tools the spans are answers of people, not proposals of a model.
    """
    if form not in FORMATS:
        raise InputError(f"format: found {form!r}, expected one of {list(FORMATS)}")
    if not examples:
        raise InputError("examples: found none to export, expected at least one")
    if form == EXAMPLES:
        return _lines(map(to_record, examples))
    if form == TOKENS:
        return _tokens(examples)
    return text_of([Document.of(each.sentence()) for each in examples], form, name=EXAMPLES)


def _tokens(examples: Sequence[Example]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "examples.jsonl"
        write_jsonl(path, [each.sentence() for each in examples])
        return path.read_text(encoding="utf-8")


def _lines(records: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _is_our_own(content: str) -> bool:
    first = content.lstrip().partition("\n")[0]
    return first.startswith("{") and '"format_version"' in first and '"revisions"' in first


def _our_own(content: str, name: str) -> Iterator[Example]:
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{name}:{number}"
        try:
            record = json.loads(line)
        except ValueError as error:
            raise InputError(f"{where}: found no JSON ({error}), expected an example a line") from error
        if not isinstance(record, dict):
            raise InputError(f"{where}: found {type(record).__name__}, expected an example a line")
        yield from_record(record, where=where)
