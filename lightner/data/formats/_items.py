"""A labelled span in JSON: `[start, end, label]`, or an object with offsets, label and perhaps its text."""

from __future__ import annotations

from collections.abc import Mapping

from lightner.data.formats._findings import FormatError
from lightner.data.formats._spans import Mark
from lightner.data.formats._values import is_whole, quote, string

OFFSETS = (("start", "end"), ("start_offset", "end_offset"), ("begin", "end"), ("start_char", "end_char"))
_LABELS = ("label", "labels", "type", "tag", "entity", "entity_type", "entity_group")
_TEXTS = ("text", "surface", "mention", "word")
_EXPECTED = "expected [start, end, label] with whole numbers and a name"
_KIND = "spans that cannot be understood"


def mark_of(item: object, place: str) -> Mark:
    """Read the span in `item`, found at `place`. Raises FormatError."""
    start, end, label, stated = _of_object(item, place) if isinstance(item, dict) else _of_list(item)
    if not (is_whole(start) and is_whole(end) and isinstance(label, str) and label):
        raise FormatError(place, f"found {quote(item)}, {_EXPECTED}", kind=_KIND)
    assert isinstance(start, int)
    assert isinstance(end, int)
    score = item.get("score") if isinstance(item, dict) else None
    return Mark(
        start, end, string(label, place), stated if isinstance(stated, str) else None, place,
        score=score if isinstance(score, float) else None,
    )  # fmt: skip


def has_offsets(item: object) -> bool:
    """Whether an object or list has offsets, as a labelled span does."""
    if isinstance(item, dict):
        return any(start in item and end in item for start, end in OFFSETS)
    match item:
        case [int(), int(), str(), *_] | [str(), int(), int(), *_]:
            return True
    return False


def by_item(value: object) -> object:
    """A list of objects from an object of equally long lists, as `datasets` stores one; other values unchanged."""
    if not (isinstance(value, dict) and has_offsets(value) and all(isinstance(each, list) for each in value.values())):
        return value
    if len({len(each) for each in value.values()}) != 1:
        return value
    return [dict(zip(value, each, strict=True)) for each in zip(*value.values(), strict=True)]


def _of_list(item: object) -> tuple[object, object, object, object]:
    match item:
        case [start, end, label]:
            return start, end, label, None
        case [start, end, label, str(stated)]:
            return start, end, label, stated
    return None, None, None, None


def _of_object(item: Mapping[str, object], place: str) -> tuple[object, object, object, object]:
    start, end = OFFSETS[0] if "start" in item else next((keys for keys in OFFSETS if keys[0] in item), OFFSETS[0])
    named = "label" if "label" in item else next((key for key in _LABELS if key in item), None)
    if named is None or start not in item or end not in item:
        missing = [key for key in (start, end) if key not in item] + (["label"] if named is None else [])
        raise FormatError(place, f"found keys {sorted(item)}, expected also {missing}", kind=_KIND)
    label = item[named]
    if isinstance(label, list) and len(label) == 1:
        label = label[0]
    return item[start], item[end], label, item.get("text") or next((item[key] for key in _TEXTS if key in item), None)
