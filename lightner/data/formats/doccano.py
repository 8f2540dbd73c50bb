"""doccano's records: `{"text": text, "label": [[start, end, label]]}`, in characters. `_layers` reads them."""

from __future__ import annotations

from typing import Any

from lightner.data.formats.documents import Document


def record_of(document: Document) -> dict[str, Any]:
    """A document as doccano imports it; scores, if any, in the order of the labels."""
    record: dict[str, Any] = {
        "text": document.text,
        "label": [[mark.start, mark.end, mark.label] for mark in document.marks],
    }
    if document.found_by:
        record["found_by"] = document.found_by
    if document.certainty is not None:
        record["certainty"] = document.certainty
    if any(score is not None for _, score in document.spans):
        record["scores"] = [score for _, score in document.spans]
    return record
