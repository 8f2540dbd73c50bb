"""Pairs of a text and its annotation, `["text", {"entities": [[start, end, label]]}]`, as spaCy's scripts have them."""

from __future__ import annotations

from typing import Any


def is_pair(value: object) -> bool:
    """Whether a value of JSON is such a pair."""
    match value:
        case [str(), dict()]:
            return True
    return False


def record_of(value: Any) -> dict[str, Any]:
    """The pair as one record."""
    text, annotation = value
    return {**annotation, "text": text}
