"""JSON files in practice: arrays, pretty printing, joined files, pairs, other tools' files; and files without text."""

from __future__ import annotations

import gzip
import json
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lightner.data.formats import read, read_corpus
from lightner.types import InputError, Sentence, Span

File = Callable[..., Path]
RECORD = {"text": "Rosa sang", "entities": [[0, 4, "PER"]]}
ROSA = Sentence(("Rosa", "sang"), (Span(0, 1, "PER"),))
PAIR = ["Rosa sang", {"entities": [[0, 4, "PER"]], "cats": {}}]


@pytest.fixture
def file(tmp_path: Path) -> File:
    def put(content: str | bytes, name: str = "sample.jsonl") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return put


@pytest.mark.parametrize("name", ["sample.jsonl", "sample.json", "sample.txt"])
@pytest.mark.parametrize(
    ("content", "places"),
    [
        pytest.param(json.dumps(RECORD) + "\n" + json.dumps(RECORD), [":1", ":2"], id="lines"),
        pytest.param(json.dumps([RECORD, RECORD]), [": record 0", ": record 1"], id="an array"),
        pytest.param(json.dumps([RECORD, RECORD], indent=2), [": record 0", ": record 1"], id="a pretty array"),
        pytest.param(
            json.dumps(RECORD, indent=2) + "\n" + json.dumps(RECORD, indent=2), [":1", ":11"], id="pretty objects"
        ),
        pytest.param(json.dumps(PAIR) + "\n" + json.dumps(PAIR), [":1", ":2"], id="pairs"),
        pytest.param(json.dumps([PAIR, PAIR], indent=1), [": record 0", ": record 1"], id="an array of pairs"),
        pytest.param(json.dumps([RECORD]) + "\n" + json.dumps([RECORD]), [":1: record 0", ":2: record 0"], id="arrays"),
        pytest.param(
            json.dumps({"version": 1, "data": [RECORD, RECORD]}), [": data[0]", ": data[1]"], id="an object of one"
        ),
        pytest.param(json.dumps(RECORD) + "\n\ufeff" + json.dumps(RECORD) + "\n", [":1", ":2"], id="joined files"),
    ],
)
def test_records_are_found_however_the_file_is_laid_out(file: File, content: str, places: list[str], name: str) -> None:
    path = file(content, name)
    found = read(path)
    assert found == (ROSA, ROSA)
    assert [sentence.place.removeprefix(str(path)) for sentence in found] == places


def test_all_lines_with_invalid_json_are_counted(file: File) -> None:
    path = file("\n".join([json.dumps(RECORD), "{'text': 1}", json.dumps(RECORD), "[1,"]))
    with pytest.raises(InputError, match=re.escape(f"{path}:2: found 'Expecting property name") + ".*2 such places"):
        read(path)


def test_a_file_of_ner_annotator_is_read_and_its_untouched_texts_are_counted(file: File) -> None:
    path = file(
        json.dumps(
            {"classes": ["PER"], "annotations": [["Rosa sang\r", PAIR[1]], None, ["it rains", {"entities": []}]]}
        )
    )
    corpus = read_corpus(path)
    assert corpus.sentences == (ROSA, Sentence(("it", "rains")))
    assert [(note.count, note.first) for note in corpus.notes] == [(1, f"{path}: annotations[1]")]


def test_records_of_dataturks_include_the_last_character(file: File) -> None:
    points = [{"start": 0, "end": 3, "text": "Rosa"}]
    labelled = {"content": "Rosa sang", "annotation": [{"label": ["PER"], "points": points}], "extras": None}
    untouched = {"content": "it rains", "annotation": None}
    corpus = read_corpus(file("\n".join(map(json.dumps, [labelled, untouched, {"content": "it", "annotation": []}]))))
    assert corpus.sentences == (ROSA, Sentence(("it",)))
    assert [note.count for note in corpus.notes] == [1]
    for annotation, said in (
        ([{"label": [], "points": points}], "annotation[0]: found {'label': []"),
        ([{"label": ["X"], "points": [{"start": 0}]}], "annotation[0]: found {'start': 0}, expected whole numbers"),
        (
            [{"label": ["X"], "points": [{**points[0], "text": "Lena"}]}],
            "found [0, 4) 'Rosa', expected the text stated",
        ),
        ("Rosa", "annotation: found 'Rosa', expected a list"),
    ):
        with pytest.raises(InputError, match=re.escape(said)):
            read(file(json.dumps({"content": "Rosa sang", "annotation": annotation})))


class TestGliner:
    def test_the_last_word_of_a_span_is_in_it(self, file: File) -> None:
        record = {"tokenized_text": ["Old", "Port", "Press", ",", "1901"], "ner": [[0, 2, "firm"], [4, 4, "year"]]}
        found = read(file(json.dumps([record, {"tokenized_text": ["no"], "ner": []}]), "sample.json"))
        assert found == (
            Sentence(("Old", "Port", "Press", ",", "1901"), (Span(0, 3, "firm"), Span(4, 5, "year"))),
            Sentence(("no",)),
        )

    @pytest.mark.parametrize(
        ("spans", "said"),
        [
            ([[0, 3, "X"]], "ner[0]: found words 0 to 3, expected 0 <= first <= last < 3, the number of words"),
            ([[0, "X"]], "ner[0]: found [0, 'X'], expected [first, last, label]"),
            ([[0, 1, "X"], [1, 2, "Y"]], "found X 'a b' (words [0, 2)) and Y 'b c' (words [1, 3)), which overlap"),
            (None, "ner: found None, expected a list of [first, last, label]"),
        ],
    )
    def test_bad_spans_are_refused(self, file: File, spans: Any, said: str) -> None:
        path = file(json.dumps({"tokenized_text": ["a", "b", "c"], "ner": spans}))
        with pytest.raises(InputError, match=re.escape(f"{path}:1: {said}")):
            read(path)


class TestNoText:
    def test_a_git_lfs_pointer_is_refused_by_name(self, file: File) -> None:
        pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
        for name in ("train.conll", "train.jsonl"):
            with pytest.raises(InputError, match=rf"{name}: found a pointer of Git LFS to a file that was not fetched"):
                read(file(pointer, name))

    def test_archives_are_refused_by_name(self, tmp_path: Path) -> None:
        (inner := tmp_path / "a.conll").write_text("a O\n")
        with zipfile.ZipFile(tmp_path / "train.conll", "w") as archive:
            archive.write(inner)
        with tarfile.open(tmp_path / "train.jsonl", "w") as archive:
            archive.add(inner)
        (tmp_path / "train.txt").write_bytes(gzip.compress(b"a O\n"))
        for name, what in (("train.conll", "zip"), ("train.jsonl", "tar"), ("train.txt", "gzip")):
            with pytest.raises(InputError, match=f"{name}: found a {what} archive, expected a text file of labelled"):
                read(tmp_path / name)

    def test_a_web_page_is_refused(self, file: File) -> None:
        with pytest.raises(InputError, match="found a web page, perhaps from a failed download"):
            read(file("<!DOCTYPE html>\n<html></html>", "train.conll"))
