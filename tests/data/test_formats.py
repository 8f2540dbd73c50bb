"""Reading columns of every scheme, messages about bad lines, and writing files that read back the same."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lightner.data.formats import labels_of, read, write_conll, write_jsonl
from lightner.types import InputError, Sentence, Span

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy

ADA = Sentence(("Ada", "Byron", "met", "Mary"), (Span(0, 2, "PER"), Span(3, 4, "PER")))
NEIGHBOURS = Sentence(("Rome", "Paris", "Ada"), (Span(0, 1, "LOC"), Span(1, 2, "LOC"), Span(2, 3, "PER")))
PLAIN = Sentence(("it", "rains"))
File = Callable[..., Path]


@pytest.fixture
def file(tmp_path: Path) -> File:
    """Writes content to a file whose name says nothing of its format, and gives its path."""

    def put(content: str | bytes, name: str = "sample.txt") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return put


def columns(*sentences: tuple[Sentence, str]) -> str:
    """Word and tag lines; each sentence's tags are given as one string."""
    blocks = [zip(sentence.words, tags.split(), strict=True) for sentence, tags in sentences]
    return "\n".join("".join(f"{word} {tag}\n" for word, tag in block) for block in blocks)


@pytest.mark.parametrize(
    ("ada", "neighbours"),
    [
        pytest.param("B-PER I-PER O B-PER", "B-LOC B-LOC B-PER", id="IOB2"),
        pytest.param("I-PER I-PER O I-PER", "I-LOC B-LOC I-PER", id="IOB1"),
        pytest.param("B-PER E-PER O S-PER", "S-LOC S-LOC S-PER", id="BIOES"),
        pytest.param("B-PER L-PER O U-PER", "U-LOC U-LOC U-PER", id="BILOU"),
        pytest.param("B-PER E-PER O W-PER", "W-LOC W-LOC W-PER", id="BMEWO"),
    ],
)
def test_every_scheme_reads_as_the_same_sentences(file: File, ada: str, neighbours: str) -> None:
    text = columns((ADA, ada), (PLAIN, "O O"), (NEIGHBOURS, neighbours))
    assert read(file(text)) == (ADA, PLAIN, NEIGHBOURS)
    records = [(ADA, ada), (PLAIN, "O O"), (NEIGHBOURS, neighbours)]
    lines = [json.dumps({"tokens": each.words, "ner_tags": tags.split()}) for each, tags in records]
    assert read(file("\n".join(lines))) == (ADA, PLAIN, NEIGHBOURS)


@pytest.mark.parametrize("tags", ["B-X I-X E-X S-Y", "B-X I-X L-X U-Y", "B-X M-X E-X S-Y", "B-X M-X E-X W-Y"])
def test_words_inside_an_entity_of_a_closed_scheme_belong_to_it(file: File, tags: str) -> None:
    sentence = Sentence(("a", "b", "c", "d"), (Span(0, 3, "X"), Span(3, 4, "Y")))
    assert read(file(columns((sentence, tags)))) == (sentence,)


def test_in_io_neighbours_of_one_label_are_one_entity_and_a_new_label_begins_another(file: File) -> None:
    assert read(file("a I-X\nb I-X\nc I-Y\n")) == (Sentence(("a", "b", "c"), (Span(0, 2, "X"), Span(2, 3, "Y"))),)


def test_the_scheme_comes_from_the_tags_and_not_from_the_file_name(file: File) -> None:
    assert read(file("a I-X\nb B-X\n", "bioes.iob2")) == read(file("a B-X\nb B-X\n", "iob1.bio"))


def test_columns_stand_apart_by_spaces_or_tabs_and_the_last_is_the_tag(file: File) -> None:
    expected = (Sentence(("EU", "rejects"), (Span(0, 1, "ORG"),)),)
    for text in (
        "EU NNP B-NP B-ORG\nrejects VBZ B-VP O\n",
        "EU\t\tB-ORG \nrejects\t_\tO\n",
        "EU   B-ORG\nrejects\tO",
    ):
        assert read(file(text)) == expected


def test_only_space_and_tab_part_columns(file: File) -> None:
    assert read(file("10\u00a0km B-X\n\u3000 O\n\x85 O\nNew York\tB-X-y z\n")) == (
        Sentence(("10\u00a0km", "\u3000", "\x85", "New York"), (Span(0, 1, "X"), Span(3, 4, "X-y z"))),
    )


def test_line_ends_byte_order_mark_and_missing_last_newline_do_not_matter(file: File) -> None:
    expected = (Sentence(("EU",), (Span(0, 1, "ORG"),)), PLAIN)
    for content in (
        b"EU B-ORG\n\nit O\nrains O",
        b"\xef\xbb\xbfEU B-ORG\r\n\r\n\r\nit O\r\nrains O\r\n\r\n",
        b"\n \t\nEU B-ORG\n\nit O\nrains O\n\n",
    ):
        assert read(file(content)) == expected


def test_document_marks_end_a_sentence_and_are_skipped(file: File) -> None:
    text = "-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\n-DOCSTART-\nit PRP I-NP O\nrains V I-VP O\n"
    assert read(file(text)) == (Sentence(("EU",), (Span(0, 1, "ORG"),)), PLAIN)


def test_comments_before_a_sentence_are_skipped_where_they_have_no_tag_column(file: File) -> None:
    expected = (Sentence(("#", "fun"), (Span(1, 2, "X"),)), PLAIN)
    spaces = "# sent_id = 1\n# text = # fun\n# O\nfun B-X\n\n# sent_id = 2\nit O\nrains O\n"
    tabs = "# id 12f\tdomain=x\n# text = vitamin O\n#\tO\nfun\tB-X\n\n# sent_id = 2\nit\tO\nrains\tO\n"
    assert read(file(spaces)) == expected
    assert read(file(tabs)) == expected


def test_a_comment_that_ends_like_a_tag_is_recognised_by_its_number_of_columns(file: File) -> None:
    text = "# text = vitamins B and O\nvitamins B-X\nare O\n\n#x=1 O\nis O\n"
    assert [sentence.words for sentence in read(file(text))] == [("vitamins", "are"), ("#x=1", "is")]


def test_a_comment_within_a_sentence_is_a_bad_line(file: File) -> None:
    with pytest.raises(InputError, match=r"sample.txt:2: found 4 columns .*, expected 2, as in line 1"):
        read(file("it O\n# sent_id = 2\nrains O\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("it O\n\nEU\n", "3: found one column 'EU', expected 2, as in line 1"),
        ("it O\n\u00a0\nrains O\n", "2: found one column '\\xa0', expected 2, as in line 1"),
        ("it\nrains\n", "1: found one column, expected a word and a tag"),
        ("it O\n\tO\n\nrains O\n", "2: found nothing in column 1 before 'O', expected a word"),
        ("it O\nUN B-X\nEU NNP\n", "3: found tag 'NNP', expected O, or B-, I-"),
        ("EU B_ORG\n", "1: found tag 'B_ORG', expected O"),
        ("EU B-\n", "1: found tag 'B-', expected O"),
        ("EU o\n", "1: found tag 'o', expected O"),
        ("EU PER-B\n", "1: found tag 'PER-B', expected O"),
        ("a S-X\nb I-X\n", "2: found 'I-X' outside an entity, expected 'B-X' to begin it or 'S-X' for one word"),
        ("a U-X\nb L-X\n", "2: found 'L-X' outside an entity, expected 'B-X' to begin it or 'U-X' for one word"),
        ("a B-X\nb O\nc S-X\n", "2: found 'O' after 'B-X', expected 'I-X' or 'E-X'"),
        ("a B-X\nb E-Y\n", "2: found 'E-Y' after 'B-X', expected 'I-X' or 'E-X'"),
        ("a B-X\nb S-X\n", "2: found 'S-X' after 'B-X', expected 'I-X' or 'E-X'"),
        ("a S-X\n\nb B-X\nc I-X\n\nd O\n", "4: found the end of the sentence after 'I-X', expected 'I-X' or 'E-X'"),
        ("a E-X\nb U-X\n", "2: found tag 'U-X', expected a tag of BIOES or BMES or BMEWO"),
        ("-DOCSTART- O\n\n", " found no words, expected lines of a word and a tag"),
    ],
)
def test_a_bad_line_is_named_with_found_and_expected_values(file: File, text: str, message: str) -> None:
    path = file(text)
    with pytest.raises(InputError, match=re.escape(f"{path}:{message}")):
        read(path)


@pytest.mark.parametrize("name", ["a.conll", "a.jsonl"])
@pytest.mark.parametrize("content", [b"", b"\n \r\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(file: File, content: bytes, name: str) -> None:
    with pytest.raises(InputError, match=f"{name}: found an empty file, expected sentences"):
        read(file(content, name))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("it O\ncaf\u00e9 O\n".encode("latin-1"), ":2: found byte 0xe9 at byte 4 of the line, expected UTF-8"),
        (b"\xef\xbb\xbf\xff O\n", ":1: found byte 0xff at byte 1 of the line, expected UTF-8"),
        ("it O\n".encode("utf-16"), "(the file begins like UTF-16), expected UTF-8"),
    ],
)
def test_a_file_that_is_not_utf8_is_refused_with_line_and_byte(file: File, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        read(file(content))


def test_a_path_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"missing\.conll: found 'No such file or directory', expected a readable file"
    ):
        read(tmp_path / "missing.conll")
    with pytest.raises(InputError, match=r"found a folder that `datasets` cannot read .* expected one of save_to_disk"):
        read(tmp_path)


def test_a_word_that_looks_like_json_is_still_a_word(file: File) -> None:
    assert read(file("{ O\n} O\n")) == (Sentence(("{", "}")),)
    assert read(file('{"a":1} O\n')) == (Sentence(('{"a":1}',)),)


def test_labels_are_distinct_and_sorted() -> None:
    assert labels_of([NEIGHBOURS, PLAIN, ADA]) == ("LOC", "PER")
    assert labels_of([]) == ()


@st.composite
def sentences(draw: st.DrawFn) -> Sentence:
    """Flat sentences of any words and labels; many look like tags, comments, marks or JSON."""
    odd = st.sampled_from(
        ["#", "# a = b", "-DOCSTART-", "{", '{"a": 1}', "O", "B-X", "\ufeffa", "\u2028", "\x1c", "\r", "a\tb", " ", ""]
    )
    words = draw(st.lists(st.text(min_size=1, max_size=4) | odd, max_size=6))
    cuts = draw(st.lists(st.integers(0, len(words)), unique=True).map(sorted))
    labels = st.sampled_from(["X", "Y", "a-b.c", "d e"]) | st.text(max_size=3)
    pairs = [pair for pair in pairwise(cuts) if draw(st.booleans())]
    return Sentence(tuple(words), tuple(Span(start, end, draw(labels)) for start, end in pairs))


def round_trip(
    write: Callable[[Path, Iterable[Sentence]], None], path: Path, these: list[Sentence]
) -> tuple[Sentence, ...] | None:
    """Write and read back; None if the writer refuses."""
    path.unlink(missing_ok=True)
    try:
        write(path, these)
    except InputError:
        assert not path.exists()
        return None
    return read(path)


@calm
@given(st.lists(sentences(), max_size=3))
@example([Sentence(("\ufeffa",))])
@example([Sentence(("a",)), Sentence(("\ufeffa",))])
@example([Sentence(("{", "}"))])
@example([Sentence(("{",), (Span(0, 1, "}"),))])
@example([Sentence(('""""',)), Sentence(('"a""b"', "c"))])
@example([Sentence(("O,", "B-X,"))])
@example([Sentence(("1", "2")), Sentence(("1", "2"))])
@example([Sentence(("O", "B-X"))])
def test_written_sentences_are_read_back_or_refused(
    tmp_path_factory: pytest.TempPathFactory, these: list[Sentence]
) -> None:
    path = tmp_path_factory.getbasetemp() / "round"
    plain = bool(these) and all(
        re.fullmatch(r"[^\s\ud800-\udfff]+", word) and word != "-DOCSTART-" for each in these for word in each.words
    )
    plain = plain and all(each.words for each in these)
    plain = plain and not any(word.startswith("\ufeff") for each in these for word in each.words[1:])
    plain = plain and all(re.fullmatch(r"[^\s\ud800-\udfff]+", label) for label in labels_of(these))
    for write in (write_conll, write_jsonl):
        back = round_trip(write, path, these)
        assert back == tuple(these) if plain else back in (None, tuple(these))


@pytest.mark.parametrize("write", [write_conll, write_jsonl])
@pytest.mark.parametrize(
    ("these", "message"),
    [
        ([], "found no sentences to write"),
        ([PLAIN, Sentence(())], "sentence 1: found no words"),
        ([Sentence(("a", " "))], "sentence 0: found .*' '"),
        ([Sentence(("a",), (Span(0, 1, ""),))], "sentence 0: found .*label"),
        ([Sentence(("a\ud800",))], "found the lone surrogate"),
        (
            [Sentence(("New", "York", "City"), (Span(0, 2, "LOC"), Span(1, 3, "X")))],
            "sentence 0: found LOC 'New York' .* and X 'York City'",
        ),
    ],
)
def test_sentences_that_a_format_cannot_hold_are_refused_and_the_old_file_stays(
    tmp_path: Path, write: Callable[[Path, list[Sentence]], None], these: list[Sentence], message: str
) -> None:
    path = tmp_path / "kept"
    write_conll(path, [ADA])
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: {message}"):
        write(path, these)
    assert read(path) == (ADA,)


@pytest.mark.parametrize("write", [write_conll, write_jsonl])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, list[Sentence]], None]
) -> None:
    path = tmp_path / "kept"
    write(path, [ADA])

    def full(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        write(path, [PLAIN])
    assert read(path) == (ADA,)
    assert os.listdir(tmp_path) == ["kept"]


@pytest.mark.parametrize("write", [write_conll, write_jsonl])
def test_a_reader_during_a_write_sees_the_whole_old_file(
    tmp_path: Path, write: Callable[[Path, list[Sentence]], None]
) -> None:
    path = tmp_path / "kept"
    write(path, [ADA])
    before = path.read_bytes()
    with path.open("rb") as reader:
        write(path, [PLAIN, NEIGHBOURS])
        assert reader.read() == before
    assert read(path) == (PLAIN, NEIGHBOURS)


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    with ThreadPoolExecutor() as readers:
        content = readers.submit(pipe.read_text)
        write_conll(pipe, [PLAIN])
        assert content.result(timeout=30) == "it\tO\nrains\tO\n"
    assert pipe.is_fifo()


def test_written_columns_are_iob2(tmp_path: Path) -> None:
    write_conll(tmp_path / "a", [NEIGHBOURS, PLAIN])
    assert (tmp_path / "a").read_bytes() == b"Rome\tB-LOC\nParis\tB-LOC\nAda\tB-PER\n\nit\tO\nrains\tO\n"


def test_real_files_read_and_survive_a_round_trip(tmp_path: Path) -> None:
    folder = os.environ.get("LIGHTNER_DATA")
    if not folder:
        pytest.skip("LIGHTNER_DATA names no folder with labelled files")
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix in (".conll", ".jsonl"))
    assert paths
    for path in paths:
        these = read(path)
        for write in (write_conll, write_jsonl):
            write(tmp_path / "copy", these)
            assert read(tmp_path / "copy") == these
