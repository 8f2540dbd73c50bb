"""JSON schemas made strict, and their errors as key and message."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

_OPEN = "x-kubernetes-preserve-unknown-fields"


def strict(schema: Any) -> Any:
    """A copy in which objects with named properties take no others, and Kubernetes' own keywords are expanded."""
    made = copy.deepcopy(schema)
    _close(made)
    return made


def faults(schema: Any, document: Any, under: str = "") -> Iterator[tuple[str, str]]:
    """The keys that break the schema, and how; each is prefixed with `under`."""
    for error in Draft202012Validator(schema).iter_errors(document):
        yield from _told(_deepest(error), under)


def _close(node: Any) -> None:
    if isinstance(node, list):
        for each in node:
            _close(each)
    if not isinstance(node, dict):
        return
    named = isinstance(node.get("properties"), dict)
    if named and not node.get(_OPEN) and "additionalProperties" not in node:
        node["additionalProperties"] = False
        node["patternProperties"] = {"^x-": {}}
    if node.pop("x-kubernetes-int-or-string", False):
        node.pop("type", None)
        node["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    for name, child in node.items():
        if name == "properties" and named:
            for each in child.values():
                _close(each)
        elif name not in ("enum", "default", "example"):
            _close(child)


def _deepest(error: ValidationError) -> ValidationError:
    """Of the alternatives of `anyOf`, the error of the one that matched furthest."""
    while error.context:
        error = max(error.context, key=lambda each: (len(each.absolute_path), each.validator != "type"))
    return error


def _told(error: ValidationError, under: str) -> Iterator[tuple[str, str]]:
    path = [part for part in (under, *map(str, error.absolute_path)) if part]
    if error.validator != "additionalProperties":
        found = repr(error.instance) if len(repr(error.instance)) < 80 else type(error.instance).__name__
        message = error.message if len(error.message) < 200 else f"{found} breaks {error.validator}"
        yield ".".join(path) or "whole file", message
        return
    known = error.schema.get("properties", {})
    for name in sorted(set(error.instance) - set(known)):
        if not name.startswith("x-"):
            yield ".".join([*path, str(name)]), f"unknown key, expected one of {sorted(known)}"
