"""Reading JSON Lines: every shape of record, and messages about bad ones."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lightner.data.formats import read
from lightner.types import InputError, Sentence, Span

File = Callable[..., Path]
PLAIN = Sentence(("it", "rains"))
TEXT = "Ada lives in New York."
SPANNED = Sentence(("Ada", "lives", "in", "New", "York", "."), (Span(0, 1, "PER"), Span(3, 5, "LOC")))


@pytest.fixture
def file(tmp_path: Path) -> File:
    """Writes text to a file, by default of a name that says nothing of its format, and gives its path."""

    def put(content: str, name: str = "sample.txt") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode())
        return path

    return put


@pytest.mark.parametrize(
    "annotation",
    [
        pytest.param({"id": 7, "label": [[0, 3, "PER"], [13, 21, "LOC"]], "Comments": []}, id="doccano"),
        pytest.param({"labels": [[13, 21, "LOC"], [0, 3, "PER"]]}, id="labels"),
        pytest.param({"entities": [[0, 3, "PER"], [13, 21, "LOC"]]}, id="spaCy, training data"),
        pytest.param(
            {
                "ents": [{"start": 0, "end": 3, "label": "PER"}, {"start": 13, "end": 21, "label": "LOC"}],
                "tokens": [{"id": 0, "start": 0, "end": 3}],
            },
            id="spaCy, Doc.to_json",
        ),
        pytest.param(
            {"entities": [{"start": 0, "end": 3, "label": "PER"}, {"label": "LOC", "end": 21, "start": 13, "id": 4}]},
            id="objects",
        ),
        pytest.param(
            {
                "entities": [
                    {"id": 1, "start_offset": 0, "end_offset": 3, "label": "PER"},
                    {"id": 2, "start_offset": 13, "end_offset": 21, "label": "LOC"},
                ],
                "relations": [],
            },
            id="doccano with relations",
        ),
        pytest.param(
            {
                "tokens": [{"text": "Ada", "start": 0, "end": 3, "id": 0}],
                "spans": [
                    {"start": 0, "end": 3, "label": "PER", "token_start": 0},
                    {"start": 13, "end": 21, "label": "LOC"},
                ],
                "label": "NER",
                "answer": "accept",
            },
            id="Prodigy",
        ),
    ],
)
def test_character_spans_read_as_spans_of_words(file: File, annotation: dict[str, object]) -> None:
    lines = [json.dumps({"text": TEXT} | annotation), "", json.dumps({"text": "it rains", "label": []})]
    assert read(file("\r\n".join(lines))) == (SPANNED, PLAIN)


def test_offsets_count_characters_and_not_bytes(file: File) -> None:
    line = json.dumps({"text": "\U0001f600 Zoë in 北京", "label": [[2, 5, "PER"], [9, 11, "LOC"]]}, ensure_ascii=False)
    expected = Sentence(("\U0001f600", "Zoë", "in", "北", "京"), (Span(1, 2, "PER"), Span(3, 5, "LOC")))
    assert read(file(line)) == (expected,)


def test_white_space_at_the_ends_of_a_span_is_not_part_of_it(file: File) -> None:
    assert read(file(json.dumps({"text": " Ada  met", "label": [[0, 6, "PER"]]}))) == (
        Sentence(("Ada", "met"), (Span(0, 1, "PER"),)),
    )


def test_lines_of_different_shape_keep_their_order(file: File) -> None:
    tagged = json.dumps({"tokens": ["it", "rains"], "ner_tags": ["O", "O"]})
    spanned = json.dumps({"text": TEXT, "label": [[0, 3, "PER"], [13, 21, "LOC"]]})
    assert read(file(f"{tagged}\n{spanned}\n{tagged}\n")) == (PLAIN, SPANNED, PLAIN)


def test_records_that_an_annotator_did_not_accept_are_left_out_and_counted(
    file: File, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [
        json.dumps({"text": "it rains", "spans": [], "answer": answer}) for answer in ("reject", "accept", "ignore")
    ]
    assert read(file("\n".join(lines))) == (PLAIN,)
    said = "records left out that are not annotated, or whose answer is not 'accept': 2, first at"
    assert said in caplog.text


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"text": TEXT, "label": [[0, 99, "X"]]}, "2: label[0]: found [0, 99), expected 0 <= start < end <= 22"),
        ({"text": TEXT, "label": [[-1, 3, "X"]]}, "2: label[0]: found [-1, 3), expected 0 <= start"),
        ({"text": TEXT, "label": [[3, 3, "X"]]}, "2: label[0]: found [3, 3), expected 0 <= start < end"),
        (
            {"text": TEXT, "spans": [{"start": 13, "end": 20, "label": "X"}]},
            "2: spans[0]: found [13, 20) 'New Yor', which cuts the word 'York' at 20, expected a word boundary: "
            "the nearest is 21",
        ),
        (
            {"text": TEXT, "entities": [[0, 3, "PER"], [5, 9, "X"]]},
            "2: entities[1]: found [5, 9) 'ives', which cuts the word 'lives' at 5, expected a word boundary: "
            "the nearest is 4",
        ),
        ({"text": TEXT, "label": [[3, 4, "X"]]}, "2: label[0]: found [3, 4) ' ', expected at least one word"),
        (
            {"text": TEXT, "label": [[17, 22, "CITY"], [13, 21, "LOC"]]},
            "2: found LOC 'New York' (words [3, 5)) and CITY 'York .' (words [4, 6)), which overlap",
        ),
        ({"text": TEXT, "label": [[0, 3]]}, "2: label[0]: found [0, 3], expected [start, end, label]"),
        ({"text": TEXT, "label": [[0, 3, ""]]}, "2: label[0]: found [0, 3, ''], expected [start, end, label]"),
        ({"text": TEXT, "label": [[0, True, "X"]]}, "2: label[0]: found [0, True, 'X'], expected"),
        ({"text": TEXT, "label": [[0.0, 3, "X"]]}, "2: label[0]: found [0.0, 3, 'X'], expected"),
        ({"text": TEXT, "label": ["PER"]}, "2: label[0]: found 'PER', expected [start, end, label]"),
        ({"text": TEXT, "spans": [{"start": 0, "label": "X"}]}, "found keys ['label', 'start'], expected also ['end']"),
        (
            {"text": TEXT, "label": [], "spans": [[0, 3, "X"]]},
            "2: found 'label' and 'spans', which disagree",
        ),
        ({"text": TEXT}, "2: found keys ['text'], expected 'tokens' and 'ner_tags', or 'text' and a list 'label' or"),
        ({"text": TEXT, "label": "PER"}, "2: found keys ['label', 'text'], expected"),
        ({"tokens": ["a"]}, "2: found keys ['tokens'], expected 'tokens' and 'ner_tags'"),
        ({"text": 3, "label": []}, "2: text: found 3, expected a string"),
        ({"text": " \u200b", "label": [[0, 1, "X"]]}, "2: label[0]: found [0, 1) ' ', expected at least one word"),
        ({"text": "a \ud800", "label": []}, "2: text: found a lone surrogate in 'a \\ud800', expected text"),
        (
            {"tokens": ["a", " "], "ner_tags": ["O", "B-X"]},
            "2: ner_tags[1]: found the blank word ' ' with the tag 'B-X'",
        ),
        ({"tokens": ["a", "b"], "ner_tags": ["O"]}, "2: found 2 tokens and 1 ner_tags, expected one tag per token"),
        ({"tokens": ["a"], "ner_tags": [3]}, "2: ner_tags[0]: found 3, expected a string, the name of a class"),
        ({"tokens": "a b", "ner_tags": ["O"]}, "2: tokens: found 'a b', expected a list of strings"),
        ({"tokens": ["a", "b"], "ner_tags": ["B-Y", "X"]}, "2: ner_tags[1]: found tag 'X', expected O, or B-"),
        ([1, 2], "2: found [1, 2], expected a JSON object"),
    ],
)
def test_a_bad_record_is_named_with_found_and_expected_values(file: File, record: object, message: str) -> None:
    path = file("\n".join([json.dumps({"text": "it rains", "label": []}), json.dumps(record)]))
    with pytest.raises(InputError, match=re.escape(message)) as raised:
        read(path)
    assert str(raised.value).startswith(f"{path}:2: ")


@pytest.mark.parametrize("line", ['{"text": "a",', "[" * 100_000, '{"text": ' + "9" * 5000 + "}", "it O"])
def test_a_line_that_is_not_json_is_named_where_the_suffix_promises_json(file: File, line: str) -> None:
    path = file('{"text": "a", "label": []}\n' + line, "a.jsonl")
    with pytest.raises(InputError, match=re.escape(f"{path}:2: found ")):
        read(path)


def test_a_tag_that_a_scheme_forbids_is_named_with_its_record_and_index(file: File) -> None:
    rows = [{"tokens": ["a"], "ner_tags": ["S-X"]}, {"tokens": ["a", "b"], "ner_tags": ["O", "I-X"]}]
    path = file("\n".join(map(json.dumps, rows)))
    with pytest.raises(InputError, match=re.escape(f"{path}:2: ner_tags[1]: found 'I-X' outside an entity")):
        read(path)
