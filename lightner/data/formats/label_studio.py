"""Label Studio's tasks: `JSON`, `JSON-MIN` and the exports before version 1 are read, `JSON` is written.

Label Studio counts offsets in UTF-16 units (its issue 1347); the text that it states for each span decides.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from lightner.data.formats._findings import Findings, FormatError
from lightner.data.formats._spans import MOVED, Mark, Marked, nearby
from lightner.data.formats.documents import Document
from lightner.data.formats.options import Repair

LABELS = "labels"
"""The type of results that label plain text, and their key for the labels."""
_ONE_OF = {"choices": "choices", "taxonomy": "taxonomy"}
"""Types of results that give the class of a region, with their key for the classes."""
_MADE = ("annotations", "completions")  # `completions` before version 1
_OF_EXPORT = frozenset((
    "id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement", "inner_id", "project",
    "total_annotations", "cancelled_annotations", "total_predictions", "file_upload", "created_username", "updated_by",
))  # fmt: skip
"""Fields of `JSON-MIN` that are not the task's own."""
_KIND = "tasks of Label Studio that cannot be understood"


class Found(Protocol):
    """A labelled span in characters, and its score where a model found it."""

    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def score(self) -> float | None: ...


def is_task(record: Mapping[str, Any]) -> bool:
    """Whether a record is a task of the `JSON` export, or an annotation of `JSON-MIN`."""
    return _is_whole(record) or ("annotation_id" in record and "annotator" in record)


def marked_of(record: Mapping[str, Any], place: str, findings: Findings) -> Marked | None:
    """The text of a task and its labelled spans in characters; None for an unannotated task.

    Of several annotations, the one marked as ground truth counts; without one they must agree. A class chosen for a
    region is its label if it has no other. Results about the whole text, and relations, are ignored; a region of any
    other type is refused. Raises FormatError.
    """
    if not _is_whole(record):
        values = _minimal(record, place)
        text = _text({key: value for key, value in record.items() if key not in _OF_EXPORT}, values, place)
        return Marked(text, tuple(_marks(text, values, place=place, findings=findings)), place, True)
    made = [each for key in _MADE for each in record.get(key, ()) if isinstance(each, dict) and not _is_skipped(each)]
    if not made:
        return None
    if not isinstance(record["data"], dict):
        raise FormatError(place, f"found data {record['data']!r}, expected an object with the text", kind=_KIND)
    results = [_results(each, place, findings) for each in _deciding(made)]
    text = _text(record["data"], [value for values in results for value in values], place)
    found = [_marks(text, values, place=place, findings=findings) for values in results]
    if any(sorted(map(_plainly, each)) != sorted(map(_plainly, found[0])) for each in found):
        said = f"found {len(found)} annotations that differ, expected one, or one marked as ground truth"
        raise FormatError(place, said, kind="tasks with annotations that differ")
    return Marked(text, tuple(found[0]), place, True)


def marks_of(text: str, annotation: Mapping[str, Any], place: str) -> tuple[Mark, ...]:
    """The labelled spans, in characters, of one annotation of a text. Raises FormatError."""
    findings = Findings()
    return tuple(_marks(text, _results(annotation, place, findings), place=place, findings=findings))


def task_of(document: Document, number: int) -> dict[str, Any]:
    """A document as a task: with a prediction if a model found its spans, else with an annotation.

    `label` and `text` are the names in Label Studio's templates.
    """
    results = results_of(document.text, document.marks, from_name="label", to_name="text")
    data = {"text": document.text}
    if document.certainty is None:
        return {"id": number, "data": data, "annotations": [{"result": results}]}
    prediction = {"model_version": document.found_by, "score": document.certainty, "result": results}
    return {"data": data, "predictions": [prediction]}


def results_of(text: str, found: Iterable[Found], *, from_name: str, to_name: str) -> list[dict[str, Any]]:
    """Labelled spans as results of an annotation or a prediction, with offsets in UTF-16 units.

    `from_name` and `to_name` are names in the project's labelling interface, of the labels and of the text.
    """

    def units(characters: int) -> int:
        return len(text[:characters].encode("utf-16-le", "surrogatepass")) // 2

    return [
        {
            "id": f"e{place}",
            "from_name": from_name,
            "to_name": to_name,
            "type": LABELS,
            "value": {"start": units(each.start), "end": units(each.end), "text": each.text, LABELS: [each.label]},
            **({} if each.score is None else {"score": each.score}),
        }
        for place, each in enumerate(found)
    ]


def _is_whole(record: Mapping[str, Any]) -> bool:
    return "data" in record and any(isinstance(record.get(key), list) for key in _MADE)


def _is_skipped(annotation: Mapping[str, Any]) -> bool:
    return bool(annotation.get("was_cancelled") or annotation.get("skipped"))


def _deciding(made: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    return [each for each in made if each.get("ground_truth")] or made


def _results(annotation: Mapping[str, Any], place: str, findings: Findings) -> list[Any]:
    """The values of an annotation's results that label spans; a class chosen for a region becomes its label."""
    results = annotation.get("result")
    if not isinstance(results, list) or not all(isinstance(each, dict) for each in results):
        raise FormatError(place, f"found result {results!r:.80}, expected a list of objects", kind=_KIND)
    kinds = [str(each.get("type", LABELS)) for each in results]
    labelled = {each.get("id") for each, kind in zip(results, kinds, strict=True) if kind == LABELS} - {None}
    values = []
    for each, kind in zip(results, kinds, strict=True):
        value = each.get("value")
        if kind == LABELS:
            values.append(value)
        elif kind.endswith(LABELS) or (_is_region(value) and kind not in _ONE_OF and each.get("id") not in labelled):
            said = f"found a result of type {kind!r}, expected {LABELS!r}, those of plain text"
            raise FormatError(place, said, kind="regions of a type that is not read")
        elif _is_region(value) and each.get("id") in labelled:
            findings.note("further attributes of labelled regions, which are not read", place)
        elif _is_region(value):
            values.append({**value, LABELS: _chosen(value.get(_ONE_OF[kind]))})
    return values


def _chosen(names: object) -> list[object]:
    """A class as a list of one label; a path in a taxonomy is joined to one."""
    if not isinstance(names, list):
        return []
    return ["/".join(map(str, name)) if isinstance(name, list) else name for name in names]


def _minimal(record: Mapping[str, Any], place: str) -> list[Any]:
    """The values that `JSON-MIN` has under the name of the labelling tag; empty if nothing was labelled."""
    keys = [key for key, value in record.items() if isinstance(value, list) and any(map(_is_region, value))]
    if len(keys) > 1:
        said = f"found spans under {' and '.join(map(repr, keys))}, expected one of these keys"
        raise FormatError(place, said, kind=_KIND)
    values: list[Any] = record[keys[0]] if keys else []
    for value in values:
        other = next((key for key in _ONE_OF.values() if isinstance(value, dict) and key in value), None)
        if other is not None and LABELS not in value:
            values = [{**each, LABELS: _chosen(each.get(other))} if each is value else each for each in values]
    return values


def _is_region(value: object) -> bool:
    return isinstance(value, dict) and {"start", "end"} <= set(value)


def _text(data: Mapping[str, Any], values: Sequence[Any], place: str) -> str:
    """The text under `text`, or the only text, or the only one that contains what all spans state."""
    if isinstance(data.get("text"), str):
        return str(data["text"])
    texts = {key: each for key, each in data.items() if isinstance(each, str)}
    if len(texts) > 1 and values:
        texts = {key: each for key, each in texts.items() if all(_has(each, value) for value in values)}
    if "text" in data or len(texts) != 1:
        said = f"found data with the keys {sorted(data)}, expected a text under 'text', or one only"
        raise FormatError(place, said, kind=_KIND)
    return next(iter(texts.values()))


def _has(text: str, value: object) -> bool:
    match value:
        case {"start": int(start), "end": int(end), "text": str(stated)}:
            return any(_says(text[begin:until], stated) for begin, until in _readings(text, start, end))
    return False


def _marks(text: str, values: Sequence[Any], *, place: str, findings: Findings) -> list[Mark]:
    marks = []
    for index, value in enumerate(values):
        try:
            marks.append(_mark(text, value, place=f"{place}: {LABELS}[{index}]", findings=findings))
        except FormatError as fault:
            if not (Repair.DROP_SPAN in findings.repairs and Repair.DROP_SPAN in fault.repairs):
                raise
            findings.note(f"spans left out ({fault.kind})", fault.place)
    return marks


def _mark(text: str, value: object, *, place: str, findings: Findings) -> Mark:
    match value:
        case {"start": int(start), "end": int(end), "labels": [str(label)], **rest}:
            stated = rest.get("text")
            if not isinstance(stated, str):
                return Mark(*_unstated(text, start, end, place=place), label, None, place)
            return Mark(*_stated(text, start, end, stated=stated, place=place, findings=findings), label, None, place)
    said = f"found {json.dumps(value)}, expected whole numbers 'start' and 'end' and one label"
    raise FormatError(place, said, kind="spans that cannot be understood", repairs=[Repair.DROP_SPAN])


def _stated(text: str, start: int, end: int, *, stated: str, place: str, findings: Findings) -> tuple[int, int]:
    """Offsets in characters, given in UTF-16 units or in characters: whichever reading gives the stated text."""
    for begin, until in _readings(text, start, end):
        if _says(text[begin:until], stated):
            return begin, until
    if (moved := nearby(text, start, end, stated=stated)) is not None:
        findings.note(MOVED, place)
        return moved
    said = f"found [{start}, {end}) {text[start:end]!r}, expected the text stated, {stated!r}"
    raise FormatError(place, said, kind="spans that state another text", repairs=[Repair.DROP_SPAN])


def _unstated(text: str, start: int, end: int, *, place: str) -> tuple[int, int]:
    """Offsets in characters of a span that states no text. Raises FormatError if UTF-16 units would differ."""
    found = _readings(text, start, end)
    if len(found) > 1:
        said = "found offsets without their text in a text with characters beyond 16 bits, expected 'text'"
        raise FormatError(place, said, kind="spans with ambiguous offsets", repairs=[Repair.DROP_SPAN])
    return found[0]


def _readings(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Possible readings of the offsets in characters, the likeliest first."""
    units = text.encode("utf-16-le", "surrogatepass")
    if len(units) == 2 * len(text):  # both count alike
        return [(start, end)]
    before, until = (units[: 2 * at].decode("utf-16-le", "replace") for at in (start, end))
    return [(len(before), len(until)), (start, end)]


def _says(found: str, stated: str) -> bool:
    """Whether a text is the one stated: Label Studio writes a line break within a span as a backslash and an n."""
    return found in (stated, stated.replace("\\n", "\n"))


def _plainly(mark: Mark) -> tuple[int, int, str]:
    return mark.start, mark.end, mark.label
