"""Labelled files from one format to another, with what gets lost: found by reading back what was written.

Knows files, no models.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightner.data.formats import Corpus, read_corpus
from lightner.data.formats.documents import Document
from lightner.data.formats.options import Columns, Repair
from lightner.data.formats.writing import BRAT, DATASETS, format_by_name, write
from lightner.types import InputError, Sentence


@dataclass(frozen=True, slots=True)
class Conversion:
    """What was read, as which format it was written, and in what it differs once it is read back."""

    read: Corpus
    form: str
    differs_in: tuple[str, ...]

    @property
    def mentions(self) -> Mapping[str, int]:
        """How many spans each label has, the labels sorted."""
        return mentions_of(self.read.sentences)


def convert(
    source: str,
    target: Path,
    *,
    form: str | None = None,
    columns: Columns | None = None,
    repairs: frozenset[Repair] = frozenset(),
    lossless: bool = False,
) -> Conversion:
    """Write the labelled sentences of `source` to `target`, in a format of FORMATS, by default that of its suffix.

    All of it appears at once, or nothing does. Raises InputError for a source that cannot be read, for what the format
    cannot hold at all, for a target that is the source or a folder that exists, and with `lossless` for any loss.
    """
    chosen = form or format_by_name(target)
    _check_target(Path(source), target, chosen)
    corpus = read_corpus(source, columns=columns, repairs=repairs)
    documents = [Document.of(sentence) for sentence in corpus.sentences]
    try:
        with tempfile.TemporaryDirectory(prefix=".lightner-", dir=target.parent) as made:
            written = Path(made) / target.name
            write(written, documents, chosen, name=str(target))
            differs_in = _differences(documents, written)
            if lossless and differs_in:
                said = f"found that it would differ as {chosen}, read back, in {'; '.join(differs_in)}"
                raise InputError(f"{target}: {said}, expected no difference (--lossless)")
            _move(written, target, chosen)
    except OSError as error:
        raise InputError(f"{target}: found {error.strerror!r}, expected a place to write to") from error
    return Conversion(corpus, chosen, differs_in)


def _check_target(source: Path, target: Path, form: str) -> None:
    folder = form == DATASETS and target.suffix.lower() != ".parquet"
    if target.exists() and (folder or target.is_dir()):
        raise InputError(f"{target}: found a folder or file that exists, expected the name of a new one")
    if target.exists() and not target.is_file():
        raise InputError(f"{target}: found a device or pipe, expected the name of a file, which is read back")
    for path in [target, *([target.with_suffix(".txt")] if form == BRAT else [])]:
        if path.exists() and source.exists() and path.samefile(source):
            raise InputError(f"{path}: found the file that is read, expected another one")


def mentions_of(sentences: Sequence[Sentence]) -> Mapping[str, int]:
    """How many spans each label has, the labels sorted."""
    return dict(sorted(Counter(span.label for sentence in sentences for span in sentence.spans).items()))


def _move(written: Path, target: Path, form: str) -> None:
    """Move what was written to its place; of BRAT's pair the text first, since the annotation names it."""
    if form == BRAT:
        os.replace(written.with_suffix(".txt"), target.with_suffix(".txt"))
    os.replace(written, target)


def _differences(documents: Sequence[Document], written: Path) -> tuple[str, ...]:
    """What reading the written file back lacks or has otherwise, in words."""
    try:
        back = read_corpus(written).sentences
    except InputError as error:
        said = str(error).replace(str(written), written.name).partition("\n")[0]
        return (f"that it needs --repair ({said})",)
    if len(back) != len(documents):
        return (f"the division into sentences ({len(documents)} written, {len(back)} read back)",)
    pairs = [(document, Document.of(sentence)) for document, sentence in zip(documents, back, strict=True)]
    counted = {
        "the words as they were split": [one.sentence.words != other.sentence.words for one, other in pairs],
        "white space and other characters between words": [_text_differs(one, other) for one, other in pairs],
        "spans": [_characters(one) != _characters(other) for one, other in pairs],
        "scores": [_scores(one) != _scores(other) for one, other in pairs],
    }
    return tuple(f"{what} (in {sum(those)} of {len(pairs)} texts)" for what, those in counted.items() if any(those))


def _text_differs(one: Document, other: Document) -> bool:
    """Whether a text that someone wrote is another one, apart from white space around it."""
    return one.own_text and one.text.strip() != other.text.strip()


def _characters(document: Document) -> list[tuple[str, str]]:
    """The labels and visible characters of the spans: whichever words they are split into."""
    return [(mark.label, "".join(mark.text.split())) for mark in document.marks]


def _scores(document: Document) -> list[float | None]:
    return [score for _, score in document.spans]
