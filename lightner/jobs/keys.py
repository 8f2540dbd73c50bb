"""Keys for finding stored results and states again: hashes of explicit JSON. Knows neither Ray nor models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

from lightner.store.card import JSON
from lightner.types import Sentence


def key_of(description: Mapping[str, JSON]) -> str:
    """The sha256 of a description, whatever the order of its names.

    A description holds all that determines the stored result, and a `version`, which grows when its meaning changes.
    Floats are written so that they read back as the same number.
    """
    text = json.dumps(description, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def described(sentences: Iterable[Sentence]) -> list[JSON]:
    """Words and spans of sentences, in order, and the raw text of those that have one: it decides how they are read."""
    return [
        [list(each.words), [[span.start, span.end, span.label] for span in each.spans], *filter(None, [each.text])]
        for each in sentences
    ]
