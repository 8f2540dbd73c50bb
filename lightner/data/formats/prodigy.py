"""Prodigy's verdicts on whole records and on single spans, and its tasks as they are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightner.data.formats._findings import Findings, FormatError
from lightner.data.formats.documents import Document, Labelled
from lightner.data.formats.options import Repair

_VERDICT = "answer"
_ACCEPTED, _REJECTED, _IGNORED = "accept", "reject", "ignore"


def is_accepted(record: Mapping[str, object]) -> bool:
    """Whether an annotator accepted the record; without spans it is then a sentence without entities."""
    return record.get(_VERDICT) == _ACCEPTED


def is_left_out(record: Mapping[str, object]) -> bool:
    """Whether an annotator rejected or skipped the record."""
    return record.get(_VERDICT) in (_REJECTED, _IGNORED)


def counts(item: object, place: str, findings: Findings) -> bool:
    """Whether a span counts: it does unless an annotator rejected it. Raises FormatError for one without a verdict."""
    verdict = item.get(_VERDICT, _ACCEPTED) if isinstance(item, dict) else _ACCEPTED
    if verdict == _ACCEPTED:
        return True
    if verdict == _REJECTED:
        findings.note("spans that an annotator rejected, left out", place)
        return False
    if Repair.DROP_SPAN in findings.repairs:
        findings.note("spans left out (spans without a verdict)", place)
        return False
    said = f"found a span whose {_VERDICT!r} is {verdict!r}, expected {_ACCEPTED!r} or {_REJECTED!r}"
    raise FormatError(place, said, kind="spans without a verdict", repairs=[Repair.DROP_SPAN])


def record_of(document: Document) -> dict[str, Any]:
    """A document as a task of Prodigy, with its words, so that people mark whole ones.

    Of a span `token_end` is its last word.
    """
    ends = [*(word.start for word in document.words[1:]), len(document.text)]
    tokens = [
        {"text": word.text, "start": word.start, "end": word.end, "id": place, "ws": end > word.end}
        for place, (word, end) in enumerate(zip(document.words, ends, strict=True))
    ]
    record = {"text": document.text, "tokens": tokens, "spans": [_span_of(mark) for mark in document.marks]}
    if document.certainty is not None:
        return record | {"meta": {"certainty": document.certainty, "found_by": document.found_by}}
    return record | {_VERDICT: _ACCEPTED}


def _span_of(mark: Labelled) -> dict[str, Any]:
    span = {"start": mark.start, "end": mark.end, "token_start": mark.span.start, "token_end": mark.span.end - 1}
    score = {} if mark.score is None else {"score": mark.score}
    return {**span, "label": mark.label, **score}
