"""CSV tables with one sentence per row, whose cells hold lists as JSON, Python or numpy writes them.

`datasets` and pandas write columns of lists like this.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import re
from collections.abc import Mapping
from typing import Any

from lightner.data.formats._findings import Findings, FormatError
from lightner.data.formats._json import Record
from lightner.data.formats._layers import SPANS, TAGS, TEXTS, WORDS
from lightner.types import InputError

_STRING = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_OF_NUMPY = re.compile(rf"\[\s*{_STRING}(?:\s+{_STRING})*\s*\]")  # no commas: Python would join the strings

_REST = "..."  # the key of cells that the header does not name


def is_table(text: str) -> bool:
    """Whether a text is such a table: its header names words or a text and their annotation, and a list follows."""
    names = set(text.partition("\n")[0].rstrip("\r").split(","))
    if not (names & {*WORDS, *TEXTS} and names & {*TAGS, *SPANS}):
        return False
    try:
        first = next(csv.DictReader(io.StringIO(text)), {})
    except csv.Error:
        return False
    return any(_is_list(first.get(name)) for name in (*TAGS, *SPANS))


def records_of(text: str, name: str, findings: Findings) -> list[Record]:
    """The rows of the file called `name`, their lists read. A list that cannot be read is a fault."""
    rows = csv.DictReader(io.StringIO(text), restkey=_REST)
    records: list[Record] = []
    line = 2
    try:
        for row in rows:
            place, line = f"{name}:{line}", rows.line_num + 1
            try:
                records.append((_record(row, place), place))
            except FormatError as fault:
                findings.refuse([fault])
    except csv.Error as error:
        raise InputError(f"{name}:{line}: found a row that cannot be read ({error}), expected CSV") from error
    return records


def _record(row: Mapping[str, Any], place: str) -> dict[str, Any]:
    """A row with its lists read. Raises FormatError."""
    if _REST in row:
        said = f"found {len(row[_REST])} more cells than the header names, expected as many"
        raise FormatError(place, said, kind="rows with more cells than the header")
    return {key: _value(cell, f"{place}: {key}") for key, cell in row.items()}


def _is_list(cell: object) -> bool:
    return isinstance(cell, str) and cell.startswith("[") and cell.endswith("]")


def _value(cell: Any, place: str) -> Any:
    """The list in a cell, or the cell as it is. Raises FormatError."""
    if not _is_list(cell):
        return cell
    if _OF_NUMPY.fullmatch(cell):
        return [ast.literal_eval(each) for each in re.findall(_STRING, cell)]
    for read in (json.loads, ast.literal_eval):
        try:
            return read(cell)
        except (ValueError, SyntaxError, RecursionError):
            continue
    said = f"found {cell!r:.60}, expected a list as JSON, Python or numpy writes it, all of it"
    raise FormatError(place, said, kind="lists that cannot be read")
