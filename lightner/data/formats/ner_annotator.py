"""Files of ner-annotator: `{"classes": [name], "annotations": [pair or null]}`; null is an untouched text."""

from __future__ import annotations

from typing import Any

from lightner.data.formats._findings import Findings

_ITEMS = "annotations"


def is_file(value: object) -> bool:
    """Whether the only value of a JSON file has this form."""
    return isinstance(value, dict) and isinstance(value.get("classes"), list) and isinstance(value.get(_ITEMS), list)


def records_of(value: dict[str, Any], name: str, findings: Findings) -> list[tuple[Any, str]]:
    """Its pairs, each with its place in the file called `name`."""
    records = [(pair, f"{name}: {_ITEMS}[{index}]") for index, pair in enumerate(value[_ITEMS])]
    for pair, place in records:
        if pair is None:
            findings.note("unannotated texts left out", place)
    return [(pair, place) for pair, place in records if pair is not None]
