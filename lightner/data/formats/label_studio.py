"""Label Studio's tasks (`JSON` and `JSON-MIN` exports) to the records that `jsonl` reads: a text and its spans.

Label Studio counts offsets in UTF-16 units (its issue 1347) and states the text of each span, which decides.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lightner.types import InputError

SPANS = "spans"
_LABELS = "labels"  # the type of a result, and its key for the names


def is_task(record: Mapping[str, Any]) -> bool:
    """Whether a record is a task of the `JSON` export, or an annotation of `JSON-MIN`."""
    return _is_whole(record) or ("annotation_id" in record and "annotator" in record)


def plain(record: Mapping[str, Any], where: str) -> dict[str, Any] | None:
    """`{"text": ..., "spans": [[start, end, label]]}` in characters; None of a task that nobody has annotated.

    Of several annotations the one marked as ground truth counts; without one they must agree. Results that are no
    labels (choices, relations) are left alone; labels of anything but plain text (HTML, dialogues) are refused.
    Raises InputError, beginning with `where`.
    """
    if not _is_whole(record):
        text = _text(record, where)
        return {"text": text, SPANS: _spans(text, _minimal(record, where), where)}
    made = [each for each in record["annotations"] if isinstance(each, dict) and not each.get("was_cancelled")]
    if not made:
        return None
    if not isinstance(record["data"], dict):
        raise InputError(f"{where}: found data {record['data']!r}, expected an object with the text")
    text = _text(record["data"], where)
    found = [_spans(text, _results(each, where), where) for each in _deciding(made)]
    if any(sorted(each) != sorted(found[0]) for each in found):
        raise InputError(
            f"{where}: found {len(found)} annotations that differ, expected one, or one marked as ground truth"
        )
    return {"text": text, SPANS: found[0]}


def _is_whole(record: Mapping[str, Any]) -> bool:
    return "data" in record and isinstance(record.get("annotations"), list)


def _deciding(made: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    return [each for each in made if each.get("ground_truth")] or made


def _results(annotation: Mapping[str, Any], where: str) -> list[Any]:
    results = annotation.get("result")
    if not isinstance(results, list) or not all(isinstance(each, dict) for each in results):
        raise InputError(f"{where}: found result {results!r}, expected a list of objects")
    kinds = [str(each.get("type", _LABELS)) for each in results]
    if other := [kind for kind in kinds if kind.endswith(_LABELS) and kind != _LABELS]:
        raise InputError(f"{where}: found a result of type {other[0]!r}, expected {_LABELS!r}, those of plain text")
    return [each.get("value") for each, kind in zip(results, kinds, strict=True) if kind == _LABELS]


def _minimal(record: Mapping[str, Any], where: str) -> list[Any]:
    """What `JSON-MIN` has under the name of the labelling tag; nothing where nothing was labelled."""
    keys = [key for key, value in record.items() if isinstance(value, list) and any(map(_is_span, value))]
    if len(keys) > 1:
        raise InputError(f"{where}: found spans under {' and '.join(map(repr, keys))}, expected one of these keys")
    spans: list[Any] = record[keys[0]] if keys else []
    return spans


def _is_span(value: object) -> bool:
    return isinstance(value, dict) and {"start", "end"} <= set(value)


def _text(data: Mapping[str, Any], where: str) -> str:
    """Under `text`, or the only text that there is."""
    texts = [data["text"]] if "text" in data else [each for each in data.values() if isinstance(each, str)]
    if len(texts) != 1 or not isinstance(texts[0], str):
        raise InputError(f"{where}: found data with the keys {sorted(data)}, expected a text under 'text', or one only")
    return texts[0]


def _spans(text: str, values: Sequence[Any], where: str) -> list[list[Any]]:
    return [_span(text, value, f"{where}: {_LABELS}[{index}]") for index, value in enumerate(values)]


def _span(text: str, value: object, where: str) -> list[Any]:
    match value:
        case {"start": int(start), "end": int(end), "labels": [str(label)], **rest}:
            return [*_characters(text, start, end, rest.get("text"), where), label]
    raise InputError(f"{where}: found {json.dumps(value)}, expected whole numbers 'start' and 'end' and one label")


def _characters(text: str, start: int, end: int, stated: object, where: str) -> tuple[int, int]:
    """Offsets in characters of those in UTF-16 units, or in characters already: whichever gives the text stated."""
    units = text.encode("utf-16-le", "surrogatepass")
    if len(units) == 2 * len(text):  # both count alike
        found = [(start, end)]
    else:
        before, upto = (units[: 2 * at].decode("utf-16-le", "replace") for at in (start, end))
        found = [(len(before), len(upto)), (start, end)]
    if not isinstance(stated, str):
        if len(found) > 1:
            raise InputError(
                f"{where}: found offsets without their text in a text with characters beyond 16 bits, expected 'text'"
            )
        return found[0]
    # Label Studio writes a line break within a span as a backslash and an n.
    for begin, behind in found:
        if text[begin:behind] in (stated, stated.replace("\\n", "\n")):
            return begin, behind
    raise InputError(f"{where}: found [{start}, {end}) {text[start:end]!r}, expected the text stated, {stated!r}")
