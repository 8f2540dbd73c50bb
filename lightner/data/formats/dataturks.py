"""Dataturks' records: `{"content": text, "annotation": [{"label": [name], "points": [{"start", "end", "text"}]}]}`.

Offsets are in characters, the last one included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lightner.data.formats._findings import FormatError
from lightner.data.formats._spans import Mark, Marked
from lightner.data.formats._values import is_whole, quote, string

TEXT, SPANS = "content", "annotation"
_KIND = "spans that cannot be understood"


def is_record(record: Mapping[str, Any]) -> bool:
    """Whether a record is one of Dataturks'."""
    return TEXT in record and SPANS in record


def marked_of(record: Mapping[str, Any], place: str) -> Marked | None:
    """The text of a record and its labelled spans; None for an unannotated record. Raises FormatError."""
    items = record[SPANS]
    if items is None:
        return None
    if not isinstance(items, list):
        raise FormatError(
            f"{place}: {SPANS}", f"found {quote(items)}, expected a list", kind="values that are not lists"
        )
    marks = [mark for index, item in enumerate(items) for mark in _marks(item, f"{place}: {SPANS}[{index}]")]
    return Marked(string(record[TEXT], f"{place}: {TEXT}"), tuple(marks), place, True)


def _marks(item: object, place: str) -> Iterator[Mark]:
    match item:
        case {"label": [str(label)], "points": [*points]} if label:
            for point in points:
                yield _mark(point, label, place)
        case _:
            said = f"found {quote(item)}, expected one label and a list of points"
            raise FormatError(place, said, kind=_KIND)


def _mark(point: object, label: str, place: str) -> Mark:
    match point:
        case {"start": int(start), "end": int(last), **rest} if is_whole(start) and is_whole(last):
            stated = rest.get("text")
            return Mark(start, last + 1, label, stated if isinstance(stated, str) else None, place)
    raise FormatError(place, f"found {quote(point)}, expected whole numbers 'start' and 'end'", kind=_KIND)
