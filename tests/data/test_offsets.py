"""Offsets of spans: their unit, the text that a span states, duplicate spans and spans that cut a word; repairs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lightner.data.formats import Corpus, Repair, parse_repairs, read_corpus
from lightner.types import InputError, Sentence, Span

Marks = list[Any]


@pytest.fixture
def texts(tmp_path: Path) -> Any:
    """Reads texts, each with its spans: `[start, end, label]` or with the text stated."""

    def put(*pairs: tuple[str, Marks], repairs: frozenset[Repair] = frozenset()) -> Corpus:
        path = tmp_path / "sample.jsonl"
        lines = [json.dumps({"text": text, "entities": marks}, ensure_ascii=False) for text, marks in pairs]
        path.write_text("\n".join(lines), "utf-8")
        return read_corpus(path, repairs=repairs)

    return put


class TestUnits:
    def test_offsets_that_fit_only_as_utf_16_units_are_read_so_and_counted(self, texts: Any) -> None:
        corpus = texts(
            ("🎈🎈 Rosa flew", [[5, 9, "PER", "Rosa"]]),
            ("🎈 Rosa", [[3, 7, "PER"]]),
            ("Rosa", [[0, 4, "PER"]]),
            ("see 🎈", [[0, 3, "X"]]),
        )
        assert [each.spans for each in corpus.sentences] == [
            (Span(2, 3, "PER"),), (Span(1, 2, "PER"),), (Span(0, 1, "PER"),), (Span(0, 1, "X"),)
        ]  # fmt: skip
        [note] = corpus.notes
        assert (note.kind, note.count) == ("spans whose offsets count UTF-16 units", 2)
        assert note.first.endswith("sample.jsonl:1: entities[0]")

    def test_where_each_character_is_a_word_the_text_stated_decides(self, texts: Any) -> None:
        assert texts(("😀王芳在上海", [[2, 4, "PER", "王芳"]])).sentences[0].spans == (Span(1, 3, "PER"),)
        assert texts(("😀王芳在上海", [[1, 3, "PER", "王芳"]])).sentences[0].spans == (Span(1, 3, "PER"),)
        assert texts(("😀王芳在上海", [[1, 3, "PER"]])).sentences[0].spans == (Span(1, 3, "PER"),)

    def test_a_file_counts_one_thing_only(self, texts: Any) -> None:
        with pytest.raises(InputError, match=re.escape("sample.jsonl:1: entities[0]: found [3, 7) 'osa ', expected")):
            texts(("🎈 Rosa sang", [[3, 7, "PER", "Olga"]]), ("🎈 Rosa sang", [[3, 7, "PER", "Rosa"]]))
        corpus = texts(("🎈 Rosa sang", [[2, 6, "PER", "Rosa"]]), ("🎈 Rosa", [[3, 7, "PER", "Rosa"]]))
        assert corpus.notes[0].kind == "spans moved to the text that they state, which they overlap"

    def test_ends_may_be_the_last_character_where_all_spans_state_their_text(self, texts: Any) -> None:
        corpus = texts(("Rosa met Lu", [[0, 3, "PER", "Rosa"], [9, 10, "PER", "Lu"]]), ("O Rosa", [[0, 0, "X", "O"]]))
        assert [each.spans for each in corpus.sentences] == [(Span(0, 1, "PER"), Span(2, 3, "PER")), (Span(0, 1, "X"),)]
        assert corpus.notes[0].kind == "spans whose end is their last character"
        with pytest.raises(InputError, match="which cuts the word 'Rosa' at 3"):
            texts(("Rosa met Lu", [[0, 3, "PER"]]))


class TestStatedText:
    def test_another_text_than_the_one_stated_is_refused(self, texts: Any) -> None:
        with pytest.raises(InputError, match=re.escape("found [0, 4) 'Rosa', expected the text stated, 'Lena'")):
            texts(("Rosa saw Lena", [[0, 4, "PER", "Lena"]]))
        mark = {"start": 0, "end": 4, "text": "Rosie", "label": "PER"}
        with pytest.raises(InputError, match="expected the text stated, 'Rosie'"):
            texts(("Rosa saw Lena", [mark]))

    def test_white_space_makes_no_difference(self, texts: Any) -> None:
        assert texts(("Rosa \nSol sang", [[0, 10, "PER", "Rosa Sol"]])).sentences[0].spans == (Span(0, 2, "PER"),)

    def test_a_span_that_is_off_by_a_character_moves_to_the_text_that_it_states(self, texts: Any) -> None:
        corpus = texts(("we saw Rosa", [[6, 10, "PER", "Rosa"]]))
        assert corpus.sentences[0].spans == (Span(2, 3, "PER"),)
        assert corpus.notes[0].kind == "spans moved to the text that they state, which they overlap"
        with pytest.raises(InputError, match="expected the text stated, 'aa'"):
            texts(("xaaa y", [[1, 4, "X", "aa"]]))


def test_the_same_span_twice_is_one(texts: Any) -> None:
    corpus = texts(("Rosa sang", [[0, 4, "PER"], [0, 4, "PER"]]))
    assert corpus.sentences == (Sentence(("Rosa", "sang"), (Span(0, 1, "PER"),)),)
    assert [(note.kind, note.count) for note in corpus.notes] == [("spans that are given twice", 1)]
    both = texts(("Rosa sang", [[0, 4, "PER"], [0, 4, "ART"]]))
    assert both.sentences[0].spans == (Span(0, 1, "ART"), Span(0, 1, "PER"))


class TestRepairs:
    CUT = (("two e-readers", [[4, 12, "X"]]), ("it rains", []), ("three GPUs here", [[6, 9, "Y"], [11, 15, "Z"]]))

    def test_all_faults_are_counted_by_kind_and_the_options_are_named(self, texts: Any, tmp_path: Path) -> None:
        with pytest.raises(InputError) as raised:
            texts(*self.CUT, ("a b c", [[0, 3, "X"], [2, 5, "Y"]]), ("a", [[0, 9, "X"]]))
        path = tmp_path / "sample.jsonl"
        assert str(raised.value).splitlines() == [
            "found faults of 3 kinds:",
            f"- {path}:1: entities[0]: found [4, 12) 'e-reader', which cuts the word 'readers' at 12, expected a word "
            "boundary: the nearest is 13 (2 such places: spans that cut a word); to read the rest: --repair "
            "grow-to-word or drop-span or drop-sentence",
            f"- {path}:4: found X 'a b' (words [0, 2)) and Y 'b c' (words [1, 3)), which overlap, expected spans that "
            "share no word, or lie within one another; to read the rest: --repair keep-longest or drop-sentence",
            f"- {path}:5: entities[0]: found [0, 9), expected 0 <= start < end <= 1, the text's length; to read the "
            "rest: --repair drop-span or drop-sentence",
        ]

    @pytest.mark.parametrize(
        ("repair", "spans", "kind", "count"),
        [
            ("grow-to-word", [(Span(1, 4, "X"),), (), (Span(1, 2, "Y"), Span(2, 3, "Z"))], "grown to it", 2),
            ("drop-span", [(), (), (Span(2, 3, "Z"),)], "spans left out (spans that cut a word)", 2),
            ("drop-sentence", [()], "sentences with a fault left out (drop-sentence)", 2),
        ],
    )
    def test_a_repair_that_is_named_is_made_and_counted(
        self, texts: Any, repair: str, spans: list[Any], kind: str, count: int
    ) -> None:
        corpus = texts(*self.CUT, repairs=parse_repairs(repair))
        assert [each.spans for each in corpus.sentences] == spans
        [note] = corpus.notes
        assert kind in note.kind
        assert note.count == count
        assert note.first.rpartition("sample.jsonl:")[2].startswith("1")
        assert corpus.as_dict() == {
            "columns": None,
            "repairs": [repair],
            "notes": [{"kind": note.kind, "count": count, "first": note.first}],
        }

    def test_the_longest_of_overlapping_spans_is_kept(self, texts: Any) -> None:
        marks = [[0, 1, "A"], [0, 5, "B"], [4, 7, "C"], [6, 9, "D"]]
        corpus = texts(("a b c d e", marks), repairs=parse_repairs("keep-longest"))
        assert corpus.sentences[0].spans == (Span(0, 3, "B"), Span(3, 5, "D"))
        assert corpus.notes[0].count == 2

    def test_tags_that_a_scheme_forbids_are_read_as_conlleval_reads_them(self, tmp_path: Path) -> None:
        (path := tmp_path / "a.conll").write_text("a I-X\nb E-X\nc B-Y\nd O\ne E-X\nf I-X\ng S-X\nh I-Y\n\nz S-X\n")
        with pytest.raises(InputError, match=r"a.conll:1: found 'I-X' outside an entity.*--repair tags-as-conlleval"):
            read_corpus(path)
        corpus = read_corpus(path, repairs=parse_repairs("tags-as-conlleval"))
        assert corpus.sentences[0].spans == (
            Span(0, 2, "X"), Span(2, 3, "Y"), Span(4, 5, "X"), Span(5, 6, "X"), Span(6, 7, "X"), Span(7, 8, "Y")
        )  # fmt: skip
        assert corpus.notes[0].count == 1

    def test_lines_of_another_width_may_be_left_out_with_their_sentence(self, tmp_path: Path) -> None:
        (path := tmp_path / "a.conll").write_text("a B-X\n\nb O\nc\nd O\n\ne O\n")
        corpus = read_corpus(path, repairs=parse_repairs("drop-sentence"))
        assert [each.words for each in corpus.sentences] == [("a",), ("e",)]
        assert [(note.count, note.first) for note in corpus.notes] == [(1, f"{path}:4")]

    def test_repairs_are_parsed_once(self) -> None:
        assert parse_repairs("grow-to-word, drop-span") == {Repair.GROW_TO_WORD, Repair.DROP_SPAN}
        assert parse_repairs(["keep-longest", "drop-span"]) == {Repair.KEEP_LONGEST, Repair.DROP_SPAN}
        with pytest.raises(InputError, match="repair: found 'magic', expected some of"):
            parse_repairs("drop-span,magic")


def test_white_space_around_a_label_is_trimmed_and_counted(texts: Any) -> None:
    corpus = texts(("Rosa met Lu", [[0, 4, " PER"], [9, 11, "PER\n"]]), ("Lu", [[0, 2, "PER"]]))
    assert {span.label for sentence in corpus.sentences for span in sentence.spans} == {"PER"}
    assert [(note.kind, note.count) for note in corpus.notes] == [("labels with white space around them, trimmed", 2)]
    with pytest.raises(InputError, match=r"sample\.jsonl:1.*found a label of white space alone, expected a name"):
        texts(("Rosa met Lu", [[0, 4, "  "]]))
