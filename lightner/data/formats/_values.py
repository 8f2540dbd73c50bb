"""JSON values: how messages show them, and checks of their types."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lightner.data.formats._findings import FormatError

_SURROGATE = re.compile("[\ud800-\udfff]")
_MOST = 60


def quote(value: object) -> str:
    """`value` on one line, shortened if it is long."""
    shown = ascii(value) if isinstance(value, str) and _SURROGATE.search(value) else repr(value)
    return shown if len(shown) <= _MOST else f"{shown[: _MOST - 3]}..."


def string(value: object, where: str) -> str:
    """`value`, if it is text. Raises FormatError."""
    if not isinstance(value, str):
        hint = ", the name of a class rather than its number" if isinstance(value, int) else ""
        raise FormatError(where, f"found {quote(value)}, expected a string{hint}", kind="values that are not strings")
    if _SURROGATE.search(value):
        raise FormatError(where, f"found a lone surrogate in {quote(value)}, expected text", kind="lone surrogates")
    return value


def strings(value: object, where: str) -> tuple[str, ...]:
    """`value`, if it is a list of texts. Raises FormatError."""
    if not isinstance(value, list):
        raise FormatError(where, f"found {quote(value)}, expected a list of strings", kind="values that are not lists")
    return tuple(string(item, f"{where}[{index}]") for index, item in enumerate(value))


def is_strings(value: object) -> bool:
    """Whether `value` is a list of strings, possibly empty."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def is_whole(value: object) -> bool:
    """Whether `value` is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def blank(words: Sequence[str]) -> str | None:
    """The first blank word, if any."""
    return next((word for word in words if not word.strip(" \t\r\n")), None)
