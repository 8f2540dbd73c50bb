"""Reading exports of Label Studio, and JSON files with a single array."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lightner.data.formats import read
from lightner.types import InputError, Sentence, Span

TEXT = "Ada lives in New York."
ADA, CITY = (0, 3, "Ada", "PER"), (13, 21, "New York", "LOC")
SPANNED = Sentence(("Ada", "lives", "in", "New", "York", "."), (Span(0, 1, "PER"), Span(3, 5, "LOC")))
PLAIN = Sentence(("it", "rains"))


def value(start: int, end: int, text: str | None, *labels: str) -> dict[str, Any]:
    return {"start": start, "end": end, "labels": list(labels), **({} if text is None else {"text": text})}


def annotation(*spans: tuple[Any, ...], **more: Any) -> dict[str, Any]:
    results: list[dict[str, Any]] = [
        {"id": f"r{number}", "from_name": "label", "to_name": "text", "type": "labels", "value": value(*span)}
        for number, span in enumerate(spans)
    ]
    choice = {"id": "c", "from_name": "mood", "to_name": "text", "type": "choices", "value": {"choices": ["good"]}}
    relation = {"from_id": "r0", "to_id": "r1", "type": "relation", "direction": "right"}
    return {"id": 9, "was_cancelled": False, "ground_truth": False, "result": [*results, choice, relation], **more}


def task(*annotations: dict[str, Any], **data: Any) -> dict[str, Any]:
    return {"id": 1, "annotations": list(annotations), "predictions": [], "data": data or {"text": TEXT}, "project": 3}


@pytest.fixture
def read_records(tmp_path: Path) -> Any:
    def put(*records: object, lines: bool = False) -> tuple[Sentence, ...]:
        path = tmp_path / "export.json"
        path.write_text("\n".join(map(json.dumps, records)) if lines else json.dumps(records, indent=1), "utf-8")
        return read(path)

    return put


@pytest.mark.parametrize("lines", [False, True])
def test_tasks_are_read_as_sentences_and_other_results_are_ignored(read_records: Any, lines: bool) -> None:
    assert read_records(task(annotation(ADA, CITY)), task(annotation(), text="it rains"), lines=lines) == (
        SPANNED,
        PLAIN,
    )


def test_the_only_text_is_the_one_whatever_its_name(read_records: Any) -> None:
    assert read_records(task(annotation(ADA, CITY), review=TEXT, stars=5)) == (SPANNED,)
    with pytest.raises(InputError, match=r"record 0: found data with the keys \['a', 'b'\], expected a text under"):
        read_records(task(annotation(), a="one", b="two"))


def test_annotations_of_json_min_are_separate_records(read_records: Any) -> None:
    common = {"id": 1, "annotator": 2, "annotation_id": 7, "created_at": "2026-11-27", "lead_time": 3.5}
    labelled = {"text": TEXT, "ner": [value(*ADA), value(*CITY)], **common}
    assert read_records(labelled, {"text": "it rains", **common}) == (SPANNED, PLAIN)
    with pytest.raises(InputError, match="record 0: found spans under 'ner' and 'pos', expected one of these keys"):
        read_records({**labelled, "pos": labelled["ner"]})


def test_labels_of_anything_but_plain_text_are_refused_and_not_lost(read_records: Any) -> None:
    html = {"start": "/p[1]/text()[1]", "end": "/p[1]/text()[1]", "startOffset": 0, "endOffset": 3}
    html["hypertextlabels"] = ["person"]
    result = {"id": "r0", "from_name": "ner", "to_name": "text", "type": "hypertextlabels", "value": html}
    with pytest.raises(InputError, match="record 0: found a result of type 'hypertextlabels', expected 'labels'"):
        read_records(task(annotation(result=[result])))
    minimal = {"text": TEXT, "id": 1, "annotator": 2, "annotation_id": 7}
    unlabelled = {"start": 0, "end": 3, "text": "Ada"}
    for spans in ([html], [unlabelled], [unlabelled, value(*CITY)]):
        with pytest.raises(InputError, match=r"record 0: labels\[0\]: found .* expected whole numbers"):
            read_records({**minimal, "ner": spans})


def test_tasks_that_nobody_has_annotated_are_left_out_and_counted(
    read_records: Any, caplog: pytest.LogCaptureFixture
) -> None:
    skipped = task(annotation(ADA, was_cancelled=True))
    assert read_records(task(), skipped, task(annotation(ADA, CITY), annotation(was_cancelled=True))) == (SPANNED,)
    assert "records left out that are not annotated, or whose answer is not 'accept': 2, first at" in caplog.text
    with pytest.raises(InputError, match="found no records to use"):
        read_records(task())


def test_among_several_annotations_the_ground_truth_counts_or_else_all_must_agree(read_records: Any) -> None:
    whole = annotation(ADA, CITY)
    assert read_records(task(annotation(ADA), annotation(ADA, CITY, ground_truth=True))) == (SPANNED,)
    assert read_records(task(whole, annotation(CITY, ADA))) == (SPANNED,)
    with pytest.raises(InputError, match="record 1: found 2 annotations that differ, expected one, or one marked as"):
        read_records(task(whole), task(whole, annotation(ADA)))


def test_the_stated_text_decides_between_utf_16_units_and_characters(read_records: Any) -> None:
    text = "\U0001f600 Zoë sah Zoë"
    expected = Sentence(("\U0001f600", "Zoë", "sah", "Zoë"), (Span(1, 2, "PER"),))
    assert read_records(task(annotation((3, 6, "Zoë", "PER")), text=text)) == (expected,)
    assert read_records(task(annotation((2, 5, "Zoë", "PER")), text=text)) == (expected,)
    with pytest.raises(InputError, match=r"labels\[0\]: found offsets without their text in a text with characters"):
        read_records(task(annotation((3, 6, None, "PER")), text=text))
    assert read_records(task(annotation((0, 3, None, "PER"), CITY))) == (SPANNED,)


def region(kind: str, key: str, names: object, identity: str = "q") -> dict[str, Any]:
    """A result that chooses a class for the region of `Ada`."""
    return {"id": identity, "type": kind, "value": {"start": 0, "end": 3, "text": "Ada", key: names}}


class TestRegionsOfOtherTypes:
    @pytest.mark.parametrize(
        ("result", "label"),
        [
            (region("choices", "choices", ["PER"]), "PER"),
            (region("taxonomy", "taxonomy", [["PER", "POET"]]), "PER/POET"),
        ],
    )
    def test_a_class_that_is_chosen_for_a_region_is_its_label(
        self, read_records: Any, result: dict[str, Any], label: str
    ) -> None:
        assert read_records(task(annotation(CITY, result=[result])))[0].spans == (Span(0, 1, label),)

    def test_attributes_of_a_labelled_region_are_counted_and_not_read(self, read_records: Any, caplog: Any) -> None:
        labelled = {"id": "q", "type": "labels", "value": value(*ADA)}
        more = [region("choices", "choices", ["alive"]), region("textarea", "text", ["she"])]
        assert read_records(task(annotation(result=[labelled, *more])))[0].spans == (Span(0, 1, "PER"),)
        assert "further attributes of labelled regions, which are not read: 2" in caplog.text

    @pytest.mark.parametrize(
        ("result", "said"),
        [
            (region("textarea", "text", ["she"]), "found a result of type 'textarea', expected 'labels'"),
            (region("choices", "choices", ["PER", "LOC"]), "expected whole numbers 'start' and 'end' and one label"),
            (region("taxonomy", "taxonomy", []), "expected whole numbers 'start' and 'end' and one label"),
        ],
    )
    def test_other_regions_are_refused_and_not_lost(self, read_records: Any, result: dict[str, Any], said: str) -> None:
        with pytest.raises(InputError, match=f"record 0: .*{re.escape(said)}"):
            read_records(task(annotation(result=[result])))


def test_exports_before_version_1_are_read(read_records: Any) -> None:
    old = {"id": 7, "data": {"text": TEXT}, "completions": [annotation(ADA, CITY)]}
    skipped = {"id": 8, "data": {"text": TEXT}, "completions": [{"skipped": True, "result": []}]}
    assert read_records(old, skipped) == (SPANNED,)


def test_the_text_that_agrees_with_the_spans_counts_among_several(read_records: Any) -> None:
    assert read_records(task(annotation(ADA, CITY), title="Ada", body=TEXT)) == (SPANNED,)
    minimal = {"id": 1, "Full_Text": TEXT, "ner": [value(*ADA), value(*CITY)], "annotator": 1, "annotation_id": 7}
    dates = {"created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-02T00:00:00Z", "lead_time": 2.5}
    assert read_records({**minimal, **dates}) == (SPANNED,)
    assert read_records({**minimal, **dates, "note": "seen"}) == (SPANNED,)
    with pytest.raises(InputError, match=r"record 0: found data with the keys \['body', 'title'\]"):
        read_records(task(annotation((0, 3, "Eve", "PER")), title="Ada", body=TEXT))


def test_a_line_break_within_a_span_may_be_stated_as_a_backslash_and_an_n(read_records: Any) -> None:
    expected = Sentence(("New", "York"), (Span(0, 2, "LOC"),))
    assert read_records(task(annotation((0, 8, "New\\nYork", "LOC")), text="New\nYork")) == (expected,)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (task(annotation((4, 7, "Ada", "PER"))), "labels[0]: found [4, 7) 'liv', expected the text stated, 'Ada'"),
        (
            task(annotation((0, 3, "Ada", "PER", "ORG"))),
            'labels[0]: found {"start": 0, "end": 3, "labels": ["PER", "ORG"]',
        ),
        (task(annotation((0, 3, "Ada"))), "expected whole numbers 'start' and 'end' and one label"),
        (task({"id": 1}), "found result None, expected a list of objects"),
        ({"annotations": [annotation()], "data": "text"}, "found data 'text', expected an object with the text"),
        (task(annotation((0, 99, None, "PER"))), "labels[0]: found [0, 99), expected 0 <= start < end <= 22"),
        (7, "found 7, expected a JSON object"),
    ],
)
def test_a_bad_task_is_named_with_found_and_expected_values(read_records: Any, record: object, message: str) -> None:
    with pytest.raises(InputError, match=r"export\.json: record 1: .*" + re.escape(message)):
        read_records(task(annotation(ADA)), record)


def test_an_array_of_other_records_reads_like_lines_of_them(read_records: Any) -> None:
    tagged = {"tokens": ["it", "rains"], "ner_tags": ["O", "O"]}
    assert read_records(tagged, {"text": TEXT, "label": [[0, 3, "PER"], [13, 21, "LOC"]]}) == (PLAIN, SPANNED)
    with pytest.raises(
        InputError, match=re.escape("export.json: record 1: ner_tags[1]: found tag 'X', expected O, or")
    ):
        read_records(tagged, {"tokens": ["a", "b"], "ner_tags": ["B-Y", "X"]})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"text": "a",\n "label": []},\n{]', "export.json:3: found 'Expecting property name"),
        ("[" * 100_000, "export.json: found JSON that cannot be read"),
        ("[]", "export.json: found no records to use"),
    ],
)
def test_an_invalid_json_array_is_named_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "export.json"
    path.write_text(content, "utf-8")
    with pytest.raises(InputError, match=re.escape(message)):
        read(path)
