"""Columns of CoNLL files: decided once for a file by content, reported, overridable; odd lines of real files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lightner.data.formats import Columns, parse_columns, read, read_corpus
from lightner.types import InputError, Sentence, Span

File = Callable[..., Path]
MINA = Sentence(("Mina", "Sol", "left", "Porto"), (Span(0, 2, "PER"), Span(3, 4, "LOC")))
RAIN = Sentence(("it", "rains"))
TAGS = {MINA: ["B-PER", "I-PER", "O", "B-LOC"], RAIN: ["O", "O"]}


@pytest.fixture
def file(tmp_path: Path) -> File:
    def put(content: str, name: str = "sample.tsv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode())
        return path

    return put


def rows(template: str, blank: str = "") -> str:
    """Both sentences in rows of a template with `{i}` and `{s}` (numbers of word and sentence), `{w}` and `{t}`."""
    blocks = []
    for number, (sentence, tags) in enumerate(TAGS.items(), start=1):
        lines = [
            template.format(i=index, s=number, w=word, t=tag, p="NNP" if tag != "O" else "VBZ", r=index % 3)
            for index, (word, tag) in enumerate(zip(sentence.words, tags, strict=True), start=1)
        ]
        blocks.append("\n".join(lines))
    return f"\n{blank}\n".join(blocks) + "\n"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        pytest.param("{w}\t{t}", "word 1, tag 2 of 2", id="WNUT"),
        pytest.param("{w} {p} B-NP {t}", "word 1, tag 4 of 4", id="CoNLL-2003, a chunk a word"),
        pytest.param("{w} {p} O {t}", "word 1, tag 4 of 4", id="CoNLL-2003, no chunk"),
        pytest.param("{w} lemma{r} {p} I-NC {t}", "word 1, tag 5 of 5", id="CoNLL-2003 in German"),
        pytest.param("{w} _ _ {t}", "word 1, tag 4 of 4", id="MultiCoNER"),
        pytest.param("{i}\t{w}\t{t}\tO", "word 2, tag 3 of 4", id="GermEval"),
        pytest.param("{i}\t{w}\t{t}\t-\tann", "word 2, tag 3 of 5", id="Universal NER"),
        pytest.param("{i}\t{w}\t{w}\t{p}\t_\t_\t{r}\tdep\t_\t_\t{t}", "word 2, tag 11 of 11", id="like CoNLL-U"),
        pytest.param("{s}\t{w}\t{t}", "word 2, tag 3 of 3", id="sentence number first"),
        pytest.param("doc{s}\t{i}\t{w}\t{t}", "word 3, tag 4 of 4", id="document and word number first"),
        pytest.param("{t}\t{w}", "word 2, tag 1 of 2", id="tag first"),
        pytest.param("{w}\t{r}{i}\t{i}{r}\t{t}", "word 1, tag 4 of 4", id="offsets between"),
        pytest.param("{w}\t{t}\t{w}", "word 1, tag 2 of 3", id="tag not last"),
        pytest.param("{w},{t}", "word 1, tag 2 of 2, separated by ','", id="commas"),
        pytest.param("{w}, {t}", "word 1, tag 2 of 2, separated by ','", id="commas and spaces"),
        pytest.param("{s};{w};{p};{t}", "word 2, tag 4 of 4, separated by ';'", id="semicolons"),
        pytest.param('"{w}"\t"{t}"', "word 1, tag 2 of 2, quoted", id="all quoted"),
    ],
)
def test_words_and_tags_are_found_by_content_and_said(file: File, template: str, said: str) -> None:
    corpus = read_corpus(file(rows(template)))
    assert corpus.sentences == (MINA, RAIN)
    assert corpus.columns == said
    assert corpus.notes == ()


def test_the_decision_is_for_the_whole_file_and_not_for_its_first_sentence(file: File) -> None:
    """In the first sentence alone the second column looks as if it held no tags."""
    assert read(file("O O\n\nMina B-PER\nleft O\n")) == (
        Sentence(("O",)),
        Sentence(("Mina", "left"), (Span(0, 1, "PER"),)),
    )


def test_words_that_are_numbers_or_all_alike_are_still_words(file: File) -> None:
    assert [each.words for each in read(file("7 O\n12 B-X\n\n3 O\n4 O\n"))] == [("7", "12"), ("3", "4")]
    assert [each.words for each in read(file("1\t1984\tO\n2\t1985\tB-X\n"))] == [("1984", "1985")]
    assert [each.words for each in read(file("no O\nno B-X\n"))] == [("no", "no")]


def test_multiword_lines_and_empty_nodes_of_conll_u_are_not_words(file: File) -> None:
    text = "1-2\tdámelo\t_\n1\tdá\tO\n2\tmelo\tO\n2.1\tnull\t_\n3\tMina\tB-PER\n\n1\tya\tO\n"
    assert [each.words for each in read(file(text))] == [("dá", "melo", "Mina"), ("ya",)]
    with pytest.raises(InputError, match=r"sample.tsv:1: found number '1-2' with a tag, expected a whole number"):
        read(file(text.replace("dámelo\t_", "dámelo\tB-PER")))


class TestLayers:
    def test_the_outer_one_of_nested_layers_is_read_and_inner_entities_are_counted(self, file: File) -> None:
        text = "1\tPort\tB-ORG\tB-LOC\n2\tof\tI-ORG\tO\n3\tGijón\tI-ORG\tB-LOC\n4\tgrew\tO\tO\n"
        corpus = read_corpus(file(text))
        assert corpus.sentences[0].spans == (Span(0, 3, "ORG"),)
        [note] = corpus.notes
        assert (note.count, note.first) == (2, f"{file(text)}:1")
        assert "nested entities left out (column 4; --columns tag=4" in note.kind
        assert read(file(text), columns=Columns(tag=4))[0].spans == (Span(0, 1, "LOC"), Span(2, 3, "LOC"))

    def test_equal_or_empty_layers_need_no_decision(self, file: File) -> None:
        assert read(file("Mina\tB-PER\tB-PER\nleft\tO\tO\n"))[0].spans == (Span(0, 1, "PER"),)
        assert read(file("Mina\tO\tB-PER\nleft\tO\tO\n"))[0].spans == (Span(0, 1, "PER"),)

    def test_layers_none_of_which_is_the_outer_one_are_refused_with_their_columns_and_the_option(
        self, file: File
    ) -> None:
        path = file("Mina\tB-PER\tB-artist\nleft\tO\tO\nPorto\tB-LOC\tB-city\n")
        with pytest.raises(InputError) as raised:
            read(path)
        assert str(raised.value) == (
            f"{path}: found entity tags in columns 2 (LOC, PER) and 3 (artist, city), expected one such column: "
            "name it by --columns word=1,tag=2"
        )
        assert read(path, columns=parse_columns("word=1,tag=3"))[0].spans[0].label == "artist"

    def test_gold_and_predicted_tags_are_refused(self, file: File) -> None:
        with pytest.raises(InputError, match=r"columns 2 \(LOC, PER\) and 3 \(LOC, ORG\)"):
            read(file("Mina B-PER B-LOC\nleft O O\nPorto B-LOC O\nBank O B-ORG\n"))


class TestGivenColumns:
    def test_columns_are_parsed_once(self) -> None:
        assert parse_columns("word=2, tag=ner") == Columns(word=2, tag="ner")

    @pytest.mark.parametrize("text", ["", "2", "word=", "word=0", "words=1", "word=1,word=2", "=3"])
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(InputError, match=r"columns: found .* expected NAME=COLUMN pairs such as word=1,tag=4"):
            parse_columns(text)

    def test_columns_that_a_file_lacks_are_refused(self, file: File) -> None:
        path = file(rows("{w}\t{t}"))
        with pytest.raises(InputError, match="columns: found column 3, expected at most 2"):
            read(path, columns=Columns(tag=3))
        with pytest.raises(InputError, match="columns: found 'ner' and no header row with it"):
            read(path, columns=Columns(tag="ner"))

    def test_columns_may_be_named_as_the_header_names_them(self, file: File) -> None:
        path = file("gold\tguess\tform\nB-PER\tO\tMina\nO\tB-X\tleft\n")
        found = read_corpus(path, columns=Columns(word="form", tag="gold"))
        assert found.sentences == (Sentence(("Mina", "left"), (Span(0, 1, "PER"),)),)
        assert found.columns == "word 3, tag 1 of 3, with a header row"


class TestOddLines:
    def test_a_line_of_another_width_is_named_and_all_are_counted(self, file: File) -> None:
        path = file("Mina NNP B-PER\nleft VBD\nPorto NNP B-LOC\n\nit PRP O\nrains O\nnow RB O\n")
        with pytest.raises(InputError) as raised:
            read(path)
        assert str(raised.value) == (
            f"{path}:2: found 2 columns ('left VBD'), expected 3, as in line 1 "
            "(2 such places: lines with another number of columns); to read the rest: --repair drop-sentence"
        )

    def test_a_tab_within_a_word_is_not_a_column(self, file: File) -> None:
        with pytest.raises(
            InputError, match=r"sample.tsv:3: found 3 columns .'New York B-LOC'., expected 2, as in line 1"
        ):
            read(file("in\tO\nold\tO\nNew\tYork\tB-LOC\n"))

    @pytest.mark.parametrize("between", ["\ufeff", "\ufeff\n", "\n\ufeff", "\n\ufeff\n"])
    def test_a_byte_order_mark_parts_joined_files(self, file: File, between: str) -> None:
        text = f"Mina\tB-PER\nleft\tO\n{between}Porto\tB-LOC\nburns\tO\n"
        assert [each.words for each in read(file(text))] == [("Mina", "left"), ("Porto", "burns")]

    def test_a_header_row_names_columns_also_where_joined_files_repeat_it(self, file: File) -> None:
        text = "Word\tPOS\tNER\nMina\tNNP\tB-PER\n\nWord\tPOS\tNER\nit\tPRP\tO\n"
        corpus = read_corpus(file(text))
        assert [each.words for each in corpus.sentences] == [("Mina",), ("it",)]
        assert corpus.columns == "word 1, tag 3 of 3, with a header row"
        assert corpus.sentences[1].place.endswith("sample.tsv:5")

    @pytest.mark.parametrize("header", ["TOKEN\tNE-COARSE", "Form\tEntity Type", "word\tner_label"])
    def test_a_header_may_call_the_tags_what_it_likes(self, file: File, header: str) -> None:
        assert [each.words for each in read(file(f"{header}\nMina\tB-PER\nleft\tO\n"))] == [("Mina", "left")]
        with pytest.raises(InputError, match=r"sample.tsv:1: found tag 'PER', expected O, or B-"):
            read(file("Mina\tPER\nleft\tO\nSol\tB-PER\n"))

    def test_words_with_names_of_columns_are_not_a_header(self, file: File) -> None:
        assert [each.words for each in read(file("word\tO\ntag\tB-X\n"))] == [("word", "tag")]

    def test_comments_may_have_tabs_and_as_many_columns_as_rows(self, file: File) -> None:
        text = "#\thttp://news.example/7\t[2020-01-02]\n1\tMina\tB-PER\n2\tleft\tO\n\n#\tx\t[y]\n1\tit\tO\n"
        assert [each.words for each in read(file(text))] == [("Mina", "left"), ("it",)]
        assert [each.words for each in read(file("###MEDLINE:95\n\nIL-2 B-DNA\n# O\n\n# B-X\n"))] == [
            ("IL-2", "#"), ("#",)
        ]  # fmt: skip

    def test_rows_with_an_empty_word_end_sentences_in_files_without_blank_lines(self, file: File) -> None:
        for text in ("-DOCSTART-,O\n,O\nMina,B-PER\n,O\nit,O\n", "Mina\tB-PER\n\tO\nit\tO\n"):
            assert [each.words for each in read(file(text))] == [("Mina",), ("it",)]
        with pytest.raises(
            InputError, match=r"sample.tsv:2: found nothing in column 1 before 'B-PER', expected a word"
        ):
            read(file("Mina\tB-PER\n\tB-PER\nit\tO\n"))


class TestSentencesByNumbers:
    def test_sentence_numbers_part_sentences_without_blank_lines(self, file: File) -> None:
        for text in (
            "1\tMina\tB-PER\n1\tleft\tO\n2\tit\tO\n2\train\tO\n3\tyes\tO\n",
            "sentence_id,words,labels\n0,Mina,B-PER\n0,left,O\n1,it,O\n1,rain,O\n4,yes,O\n",
            "Sentence #,Word,POS,Tag\nSentence: 1,Mina,NNP,B-PER\n,left,VBD,O\nSentence: 2,it,PRP,O\n,rain,VB,O\n"
            "Sentence: 3,yes,UH,O\n",
            ",sentence_id,words,labels\n0,0,Mina,B-PER\n1,0,left,O\n2,1,it,O\n3,1,rain,O\n4,2,yes,O\n",
        ):
            found = read(file(text))
            assert [each.words for each in found] == [("Mina", "left"), ("it", "rain"), ("yes",)]
            assert found[0].spans == (Span(0, 1, "PER"),)

    def test_word_numbers_that_begin_anew_part_sentences(self, file: File) -> None:
        text = "1\tMina\tB-PER\n2\tleft\tO\n1\tit\tO\n2\train\tO\n"
        assert [each.words for each in read(file(text))] == [("Mina", "left"), ("it", "rain")]

    def test_numbers_of_lines_part_nothing(self, file: File) -> None:
        text = "0,Mina,B-PER\n1,left,O\n2,Porto,B-LOC\n"
        assert [each.words for each in read(file(text))] == [("Mina", "left", "Porto")]


class TestQuotes:
    def test_columns_that_pandas_quoted_are_unquoted(self, file: File) -> None:
        text = 'Mina\tB-PER\n""""\tO\n"5"" pipe"\tB-X\nnull\tO\n\t\nit\tO\n'
        assert [each.words for each in read(file(text))] == [("Mina", '"', '5" pipe', "null"), ("it",)]

    def test_quotation_marks_that_are_words_stay(self, file: File) -> None:
        for words in (['"', "a", '"'], ['""', "a"], ['"a"', "b"], ['""""', '"'], ['"""', "a"]):
            text = "".join(f"{word}\tO\n" for word in words)
            assert [list(each.words) for each in read(file(text))] == [words]

    def test_commas_and_quotes_within_quoted_columns_are_words(self, file: File) -> None:
        text = 'Mina,B-PER\n",",O\n"""",O\n"New York, NY",B-LOC\n'
        assert [each.words for each in read(file(text))] == [("Mina", ",", '"', "New York, NY")]

    def test_words_with_commas_are_not_columns(self, file: File) -> None:
        assert [each.words for each in read(file("1,000 O\n, O\nO,B-X B-X\n"))] == [("1,000", ",", "O,B-X")]


class TestTags:
    def test_tags_without_a_prefix_are_labels(self, file: File) -> None:
        path = file("Mina\tperson\nSol\tperson\nleft\tO\nOld\tplace\nPorto\tplace\nMina\tperson\n\nit\tO\nrains\tO\n")
        corpus = read_corpus(path)
        assert corpus.sentences[0].spans == (Span(0, 2, "person"), Span(3, 5, "place"), Span(5, 6, "person"))
        [note] = corpus.notes
        assert (note.count, note.first) == (5, f"{path}:1")

    @pytest.mark.parametrize("tag", ["B_PER", "PER-B", "X-PER", "b-per", "7", "(PER*", "PER/I"])
    def test_tags_of_another_style_are_not_labels(self, file: File, tag: str) -> None:
        with pytest.raises(InputError, match=r"sample.tsv:1: found tag"):
            read(file(f"Mina\t{tag}\nleft\tO\n"))

    def test_in_iob2_an_entity_may_begin_with_i_and_that_is_counted(self, file: File) -> None:
        path = file("old O\nPort I-ORG\nBank I-ORG\nMina B-PER\nSol I-LOC\n\nBank I-ORG\n")
        corpus = read_corpus(path)
        assert [each.spans for each in corpus.sentences] == [
            (Span(1, 3, "ORG"), Span(3, 4, "PER"), Span(4, 5, "LOC")), (Span(0, 1, "ORG"),)
        ]  # fmt: skip
        [note] = corpus.notes
        assert (note.count, note.first) == (3, f"{path}:2")
        assert "begin with I- in a file where others begin with B-" in note.kind

    def test_iob1_is_read_without_a_note(self, file: File) -> None:
        corpus = read_corpus(file("Port I-LOC\nRome B-LOC\nMina I-PER\n"))
        assert corpus.sentences[0].spans == (Span(0, 1, "LOC"), Span(1, 2, "LOC"), Span(2, 3, "PER"))
        assert corpus.notes == ()


def test_a_sentence_knows_its_place(file: File) -> None:
    path = file("# id = 1\nMina B-PER\n\n\nit O\n")
    assert [sentence.place for sentence in read(path)] == [f"{path}:2", f"{path}:5"]
    assert read(path)[1] == Sentence(("it",))
