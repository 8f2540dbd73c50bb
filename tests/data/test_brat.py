"""Reading BRAT's standoff: entities in a file next to the text; each line of the text is a sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lightner.data.formats import Columns, parse_repairs, read, read_corpus
from lightner.types import InputError, Sentence, Span

TEXT = "Rosa Sol left Cork.\n\nIt rained\nin Old\nPort."
ANNOTATION = """T1\tPER 0 8\tRosa Sol
T2\tLOC 14 18\tCork
R1\tleft Arg1:T1 Arg2:T2
E1\tMove:T2 Who:T1
A1\tNegation E1
*\tEquiv T1 T2
N1\tReference T1 Wikipedia:1\tRosa
#1\tAnnotatorNotes T2\tunsure
T3\tLOC 34 42\tOld Port
"""
EXPECTED = (
    Sentence(("Rosa", "Sol", "left", "Cork", "."), (Span(0, 2, "PER"), Span(3, 4, "LOC"))),
    Sentence(("It", "rained")),
    Sentence(("in", "Old", "Port", "."), (Span(1, 3, "LOC"),)),
)


def standoff(folder: Path, text: str = TEXT, annotation: str = ANNOTATION, name: str = "doc") -> Path:
    (folder / f"{name}.txt").write_bytes(text.encode())
    (path := folder / f"{name}.ann").write_bytes(annotation.encode())
    return path


def test_lines_are_sentences_unless_an_entity_joins_them(tmp_path: Path) -> None:
    path = standoff(tmp_path)
    assert read(path) == read(path.with_suffix(".txt")) == EXPECTED
    assert [sentence.place.removeprefix(str(tmp_path)) for sentence in read(path)] == [
        "/doc.txt:1", "/doc.txt:3", "/doc.txt:4"
    ]  # fmt: skip


def test_a_folder_is_read_by_name(tmp_path: Path) -> None:
    standoff(tmp_path, "it rains", "", name="b")
    standoff(tmp_path, name="a")
    assert read(tmp_path) == (*EXPECTED, Sentence(("it", "rains")))


def test_offsets_count_both_characters_of_a_line_end(tmp_path: Path) -> None:
    path = standoff(tmp_path, "it rains\r\nin Cork\r\n", "T1\tLOC 13 17\tCork\r\n")
    assert read(path)[1] == Sentence(("in", "Cork"), (Span(1, 2, "LOC"),))


def test_a_text_file_without_annotations_is_read_as_columns(tmp_path: Path) -> None:
    (path := tmp_path / "doc.txt").write_text("Rosa B-PER\n")
    assert read(path) == (Sentence(("Rosa",), (Span(0, 1, "PER"),)),)


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        (
            "T1\tPER 0 4;9 13\tRosa left",
            "doc.ann:1: found offsets '0 4;9 13' of an entity in several parts, expected one",
        ),
        ("T1\tPER 0 4\tLena", "doc.ann:1: found [0, 4) 'Rosa', expected the text stated, 'Lena'"),
        ("T1\tPER 90 94\tRosa", "doc.ann:1: found [90, 94), expected 0 <= start < end <= "),
        ("T3\tLOC 38 41\tPor", "doc.ann:1: found [38, 41) 'Por', which cuts the word 'Port' at 41, expected"),
        (
            "\nT1 PER 0 4 Rosa",
            "doc.ann:2: found 'T1 PER 0 4 Rosa', expected an entity 'T1<tab>LABEL start end<tab>text'",
        ),
        ("X1\tPER 0 4\tRosa", "doc.ann:1: found 'X1\\\\tPER 0 4\\\\tRosa', expected an entity"),
    ],
)
def test_bad_annotations_are_named(tmp_path: Path, annotation: str, said: str) -> None:
    path = standoff(tmp_path, annotation=annotation)
    with pytest.raises(InputError, match=re.escape(said.replace("\\\\", "\\"))):
        read(path)


def test_an_entity_in_several_parts_may_be_left_out(tmp_path: Path) -> None:
    path = standoff(tmp_path, annotation=ANNOTATION + "T4\tPER 0 4;9 13\tRosa left\n")
    corpus = read_corpus(path, repairs=parse_repairs("drop-span"))
    assert corpus.sentences == EXPECTED
    assert [(note.kind, note.count) for note in corpus.notes] == [("spans left out (entities in several parts)", 1)]


def test_a_missing_text_and_columns_are_refused(tmp_path: Path) -> None:
    path = standoff(tmp_path)
    with pytest.raises(InputError, match=r"doc.ann: columns: found .* expected none"):
        read(path, columns=Columns(word=1))
    path.with_suffix(".txt").unlink()
    with pytest.raises(InputError, match=r"doc\.txt: found 'No such file or directory', expected a readable file"):
        read(path)
