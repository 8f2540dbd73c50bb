"""JSON files -> records with their places: an object per line, one array, or several values one after the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lightner.data.formats import ner_annotator, pairs
from lightner.data.formats._findings import Findings, FormatError
from lightner.types import InputError

Record = tuple[Any, str]
"""A JSON value that should be a record, and its place: `a.jsonl:3`, `a.json: record 3`."""

_OF_RECORDS = ("text", "sentence", "content", "tokens", "words", "tokenized_text")
"""A record has at least one of these fields."""
_NO_JSON = "lines that are not JSON"
_MARK = "\ufeff"  # left within files that were joined


def records_of(text: str, name: str, findings: Findings) -> list[Record]:
    """The records of the file called `name`.

    Lines that are not JSON are faults. Raises InputError if the file as a whole is not JSON.
    """
    lines = [(number, line.removeprefix(_MARK)) for number, line in enumerate(text.split("\n"), start=1)]
    lines = [(number, line) for number, line in lines if line.strip()]
    if not _is_json(lines[0][1]):
        return _expanded(list(_values(text, name)), name, findings)
    values: list[Record] = []
    for number, line in lines:
        try:
            values.append((_loaded(line), f"{name}:{number}"))
        except ValueError as error:
            findings.refuse([_fault(error, f"{name}:{number}")])
    return _expanded(values, name, findings)


def begins_as_json(text: str) -> bool:
    """Whether a text begins with a JSON object or array that has nothing after it on its last line."""
    start = text.lstrip(f" \t\r\n{_MARK}")
    if not start.startswith(("{", "[")):
        return False
    try:
        _, end = json.JSONDecoder().raw_decode(start)
    except (ValueError, RecursionError):
        return False
    return not start[end:].partition("\n")[0].strip()


def _expanded(values: list[Record], name: str, findings: Findings) -> list[Record]:
    """The records in values, some of which are arrays of records."""
    if len(values) == 1 and isinstance(values[0][0], list) and not pairs.is_pair(values[0][0]):
        return [(record, f"{name}: record {index}") for index, record in enumerate(values[0][0])]
    if len(values) == 1 and ner_annotator.is_file(values[0][0]):
        return ner_annotator.records_of(values[0][0], name, findings)
    if len(values) == 1 and (held := _held(values[0][0])) is not None:
        field, items = held
        return [(record, f"{name}: {field}[{index}]") for index, record in enumerate(items)]
    records: list[Record] = []
    for value, place in values:
        if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
            records += [(record, f"{place}: record {index}") for index, record in enumerate(value)]
        else:
            records.append((value, place))
    return records


def _held(value: Any) -> tuple[str, list[Any]] | None:
    """The only field of an object that holds a list of records; None if the object is a record or has no such field."""
    if not isinstance(value, dict) or any(isinstance(value.get(name), str) for name in _OF_RECORDS):
        return None
    lists = [
        (name, each) for name, each in value.items() if isinstance(each, list) and each and all(map(_is_record, each))
    ]
    return lists[0] if len(lists) == 1 else None


def _is_record(value: object) -> bool:
    return pairs.is_pair(value) or (isinstance(value, dict) and any(name in value for name in _OF_RECORDS))


def _values(text: str, name: str) -> Iterator[Record]:
    """Consecutive JSON values, each of which may span several lines."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        if text[at].isspace() or text[at] == _MARK:
            at += 1
            continue
        place = f"{name}:{text.count(chr(10), 0, at) + 1}"
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            found = f"{name}:{error.lineno}: found {error.msg!r} at column {error.colno}"
            raise InputError(f"{found}, expected one JSON array of objects, or one object per line") from error
        except (ValueError, RecursionError) as error:
            found = f"found JSON that cannot be read ({error})"
            raise InputError(f"{name}: {found}, expected an array of objects") from error
        yield value, place


def _loaded(line: str) -> Any:
    """The value of a line. Raises ValueError."""
    try:
        return json.loads(line)
    except RecursionError as error:
        raise ValueError(str(error)) from error


def _is_json(text: str) -> bool:
    try:
        _loaded(text)
    except ValueError:
        return False
    return True


def _fault(error: ValueError, place: str) -> FormatError:
    expected = "expected one JSON object per line"
    if isinstance(error, json.JSONDecodeError):
        return FormatError(place, f"found {error.msg!r} at column {error.colno}, {expected}", kind=_NO_JSON)
    return FormatError(place, f"found JSON that cannot be read ({error}), {expected}", kind=_NO_JSON)
