"""The reader of CoNLL rows: the same sentences for tuning and annotation, from any sentence on."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lightner.data.formats import read
from lightner.data.formats.conll_layout import layout_of
from lightner.data.formats.conll_rows import Layout, blocks
from lightner.jobs.rows import CONLL, RowFormat, format_of, read_rows
from lightner.types import InputError

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy

LINES = st.sampled_from(
    [
        "", "  ", "a\tO", "a O", "Ada\tB-PER", "b\tI-PER", "#\tO", "#x=1\tO", "# id = 1", "# text = a O", "#\thttp://x\t[1]",
        "##PMID:7", "-DOCSTART-\tO", "-DOCSTART- -X- O O", "-\tO", "\ufeff", "\ufeffa\tO", '"\tO', "1\ta\tO", "a\tb\tO",
    ]
)  # fmt: skip


def annotated(content: str) -> list[tuple[str, ...]]:
    """The words of the rows of a file, as annotation reads them."""
    stream = io.BytesIO(content.encode())
    form = format_of(stream, "f", CONLL)
    return [row.words for row in read_rows(stream, "f", form)]


@calm
@given(st.lists(LINES, max_size=12), st.sampled_from(["\n", "\r\n", "\r"]))
@example(["# text = a O", "", "a O"], "\n")
@example(["# 1 =", "", "a O"], "\n")
def test_tuning_and_annotation_read_the_same_sentences(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], end: str
) -> None:
    content = end.join([*lines, "zoe\tB-PER", ""])
    path = tmp_path_factory.getbasetemp() / "same.conll"
    path.write_bytes(content.encode())
    try:
        tuned = [sentence.words for sentence in read(path)]
    except InputError as error:
        if "column" not in str(error):
            return  # of tags, which annotation does not read
        with pytest.raises(InputError, match="column"):
            annotated(content)
        return
    assert annotated(content) == tuned


@calm
@given(st.lists(LINES, max_size=12), st.sampled_from(["\n", "\r"]))
def test_reading_may_resume_after_every_row(lines: list[str], end: str) -> None:
    content = end.join([*lines, "zoe\tB-PER"]).encode()
    form = format_of(io.BytesIO(content), "f", CONLL)
    form = RowFormat.from_dict(json.loads(json.dumps(form.as_dict())))
    try:
        rows = list(read_rows(io.BytesIO(content), "f", form))
    except InputError:
        return
    for index, row in enumerate(rows):
        rest = list(read_rows(io.BytesIO(content[row.end :]), "f", form, line=row.next_line))
        assert [(r.line, r.words) for r in rest] == [(r.line, r.words) for r in rows[index + 1 :]]


def test_a_part_of_a_file_is_read_as_the_whole_of_it_is() -> None:
    """The second part alone looks like a file of two columns whose words are numbers."""
    content = b"1\tAda\tB-PER\n2\tran\tO\n\n1\t7\tO\n2\t8\tO\n"
    form = format_of(io.BytesIO(content), "f", CONLL)
    first, second = read_rows(io.BytesIO(content), "f", form)
    part = content[first.end :]
    assert [row.words for row in read_rows(io.BytesIO(part), "f", form)] == [second.words] == [("7", "8")]
    assert second.line == first.next_line == 4


def test_sentences_without_blank_lines_between_them_may_be_resumed_at() -> None:
    content = b"Sentence #,Word,Tag\nSentence: 1,Ada,B-PER\n,ran,O\nSentence: 2,Bob,B-PER\n,sat,O\n"
    form = format_of(io.BytesIO(content), "f", CONLL)
    first, second = read_rows(io.BytesIO(content), "f", form)
    assert (first.words, second.words) == (("Ada", "ran"), ("Bob", "sat"))
    assert content[first.end :].startswith(b"Sentence: 2")
    resumed = list(read_rows(io.BytesIO(content[first.end :]), "f", form, line=first.next_line))
    assert [(row.line, row.words) for row in resumed] == [(4, ("Bob", "sat"))]


def test_a_layout_survives_json() -> None:
    lines = ["token\ttag", "Ada\tperson", "ran\tO", "", "it\tO", "sat\tO"]
    layout = layout_of(lines, "f")
    assert layout.header == ("token", "tag")
    assert layout.labels == ("person",)
    assert Layout.from_dict(json.loads(json.dumps(layout.as_dict()))) == layout


def test_long_files_are_laid_out_as_short_ones_are(tmp_path: Path) -> None:
    """The fast count of many rows equals a count row by row."""
    rows = ["1\tAda\t_\tB-PER", "2\tran\t_\tO", "", "# id = 7", '1\t"\t_\tO', "2\t-\t_\tO", ""]
    few, many = layout_of(rows, "f"), layout_of(rows * 9000, "f")
    assert few == many
    assert (many.word, many.tags, many.numbers) == (1, (3,), 0)
    read_all = list(blocks(((number, 0, line) for number, line in enumerate(rows * 9000, start=1)), many, "f", tag=3))
    assert len(read_all) == 18000
    assert not any(block.faults for block in read_all)


def test_a_late_column_of_labels_is_seen_in_a_long_file() -> None:
    """All rows, not only the first ones, decide on the meaning of a column."""
    outside = ["it\tPRP\tO", "ran\tVBD\tO", ""]
    layout = layout_of([*outside * 9000, "Ada\tNNP\tB-PER", ""], "f")
    assert layout.tags == (2,)
