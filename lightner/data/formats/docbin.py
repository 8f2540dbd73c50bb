"""spaCy's `DocBin` (`.spacy` files) <-> documents: the words are spaCy's tokens, without those of white space.

The package spacy is imported only when such a file is read or written.
"""

from __future__ import annotations

import gc
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from lightner.data.formats._findings import Findings, FormatError
from lightner.data.formats._spans import nested_sentence
from lightner.data.formats.spacy import SPANS_KEY
from lightner.types import InputError, Sentence, Span
from lightner.words import split_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spacy.tokens import Doc

    from lightner.data.formats.documents import Document

_MAGIC = (b"\x78\x01", b"\x78\x9c", b"\x78\xda")  # of zlib, by its levels
_KIND = "documents of spaCy that cannot be understood"
_MOST_SHOWN = 80


def is_docbin(path: Path) -> bool:
    """Whether a file is compressed as those of `DocBin` are."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(2) in _MAGIC


def parse_docbin(path: Path, findings: Findings) -> list[Sentence]:
    """A sentence for each document of a file. Raises InputError for one that spaCy cannot read, or without any."""
    from spacy.tokens import DocBin
    from spacy.vocab import Vocab

    collecting = gc.isenabled()
    try:
        docs = list(DocBin().from_bytes(path.read_bytes()).get_docs(Vocab()))
        read = [_sentence(doc, f"{path}: document {index}", findings) for index, doc in enumerate(docs)]
    except InputError:
        raise
    except (zlib.error, ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        said = f"found compressed data that spaCy cannot read ({error!r:.{_MOST_SHOWN}})"
        raise InputError(f"{path}: {said}, expected a DocBin of spaCy") from error
    finally:
        if collecting:  # srsly leaves it off where it fails
            gc.enable()
    sentences = [each for each in read if each is not None]
    if not sentences:
        findings.notes()  # raises if faults explain it
        raise InputError(f"{path}: found no annotated document, expected some")
    return sentences


def docbin_bytes(documents: Iterable[Document]) -> bytes:
    """The content of a `.spacy` file."""
    from spacy.tokens import Doc, DocBin
    from spacy.tokens import Span as DocSpan
    from spacy.vocab import Vocab

    vocab, made = Vocab(), DocBin()
    for document in documents:
        tokens = document.tokens()
        doc = Doc(vocab, [document.text[each.start : each.end] for each in tokens], [each.space for each in tokens])
        at = {each.word: place for place, each in enumerate(tokens) if each.word is not None}
        found = [DocSpan(doc, at[span.start], at[span.end - 1] + 1, span.label) for span, _ in document.spans]
        if document.nested:  # `ents` may not overlap
            doc.spans[SPANS_KEY] = found
        else:
            doc.set_ents(found, default="outside")
        made.add(doc)
    content: bytes = made.to_bytes()
    return content


def _sentence(doc: Doc, place: str, findings: Findings) -> Sentence | None:
    """The words and entities of a document; None if it has no words or is not annotated, or if it has a fault."""
    places: list[int | None] = []  # of each token among the words
    count = 0
    for token in doc:
        visible = bool(split_words(token.text))
        places.append(count if visible else None)
        count += visible
    if not count:
        findings.note("blank texts left out", place)
        return None
    found = _entities(doc, place, findings)
    if found is None:
        return None
    spans = []
    for start, end, label in found:
        inside = [at for at in places[start:end] if at is not None]
        if not inside or not label:
            said = f"found an entity {doc[start:end].text!r} with the label {label!r}, expected words and a name"
            findings.refuse([FormatError(place, said, kind="entities without a word or a label")])
            return None
        spans.append(Span(inside[0], inside[-1] + 1, label))
    words = [token.text for token, at in zip(doc, places, strict=True) if at is not None]
    sentence = nested_sentence(words, spans, place=place, findings=findings)
    return sentence and Sentence(sentence.words, sentence.spans, place, doc.text)


def _entities(doc: Doc, place: str, findings: Findings) -> list[tuple[int, int, str]] | None:
    """Entities in tokens: `ents`, or if there are none the only group of spans; None if unclear or unannotated."""
    layers = {f"spans[{name!r}]": _plainly(group) for name, group in doc.spans.items() if len(group)}
    if doc.ents or not layers:
        layers["ents"] = _plainly(doc.ents)
    if len({frozenset(layer) for layer in layers.values()}) > 1:
        said = f"found {' and '.join(sorted(layers))}, which disagree, expected one annotation"
        findings.refuse([FormatError(place, said, kind="documents with several annotations that differ")])
        return None
    missing = sum(token.ent_iob == 0 for token in doc)  # 0: not annotated; a token outside entities has 2
    if "ents" in layers and missing == len(doc):
        findings.note("records left out that are not annotated, or whose answer is not 'accept'", place)
        return None
    if "ents" in layers and missing:
        said = f"found {missing} of {len(doc)} tokens without annotation, expected all to be in an entity or outside"
        findings.refuse([FormatError(place, said, kind=_KIND)])
        return None
    return next(iter(layers.values()))


def _plainly(spans: Iterable[object]) -> list[tuple[int, int, str]]:
    return [(each.start, each.end, each.label_) for each in spans]  # type: ignore[attr-defined]
