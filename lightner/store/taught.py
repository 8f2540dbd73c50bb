"""The labels that are taught in a domain: names, words that say what they mean, and colours. Knows no store."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lightner.labels import label_set
from lightner.types import InputError, LabelSet

FORMAT_VERSION = 1
_COLOUR = re.compile(r"#[0-9a-f]{6}")


@dataclass(frozen=True, slots=True)
class Label:
    """A label's name, what it means (a description, its words, or None where the name says enough), and its colour."""

    name: str
    words: str | tuple[str, ...] | None = None
    colour: str | None = None


@dataclass(frozen=True, slots=True)
class Taught:
    """The labels of a domain in the order of the person who gave them, and who did so and when (ISO 8601, UTC).

    Revision 0 was never stored. Raises InputError for labels that no domain can have.
    """

    labels: tuple[Label, ...]
    revision: int = 0
    who: str | None = None
    when: str | None = None

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise InputError(f"labels: found a name twice in {list(self.names)}, expected distinct names")
        for each in self.labels:
            if each.colour is not None and not _COLOUR.fullmatch(each.colour):
                raise InputError(f"label {each.name!r}: found colour {each.colour!r:.40}, expected one as '#aa3377'")
        if self.labels:
            self.label_set()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.labels)

    def label_set(self) -> LabelSet:
        """The labels as a prompt takes them. Raises InputError for none."""
        return label_set({each.name: each.words for each in self.labels})


def to_json(taught: Taught) -> bytes:
    """The object of a domain's labels."""
    labels = [{"name": each.name, "words": each.words, "colour": each.colour} for each in taught.labels]
    record = {"format_version": FORMAT_VERSION, "revision": taught.revision, "who": taught.who, "when": taught.when}
    return json.dumps({**record, "labels": labels}, ensure_ascii=False).encode()


def from_record(found: Mapping[str, Any], *, where: str) -> Taught:
    """The inverse of `to_json`, after JSON was read. InputError names `where` if it is anything else."""
    try:
        if found["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format version {found['format_version']!r}")
        labels = tuple(_label(row) for row in found["labels"])
        return Taught(labels, int(found["revision"]), found["who"], found["when"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{where}: found no labels ({error}), expected them as this package writes them") from error


def _label(row: Mapping[str, Any]) -> Label:
    words = row["words"]
    return Label(str(row["name"]), tuple(words) if isinstance(words, list) else words, row["colour"])
