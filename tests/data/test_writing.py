"""Every format that is written: what it holds is read back, and the tools that it is for read it themselves."""

from __future__ import annotations

import json
import random
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightner.data.formats import read_corpus, write_jsonl
from lightner.data.formats.documents import Document
from lightner.data.formats.writing import FORMATS, format_by_name, text_of, write
from lightner.types import InputError, Sentence, Span
from tests.support.labelled import text_documents, word_documents

calm = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
COLUMNS = [form for form in FORMATS if form.startswith("conll")]
OF_TEXTS = [form for form in FORMATS if form not in (*COLUMNS, "gliner", "brat", "datasets")]
SUFFIXES = {"brat": ".ann", "datasets": ""}

TEXT = "In  Oslo,\tAda 😀 met Bob\u2028Ray.\nBye"
WORDS = ["In", "Oslo", ",", "Ada", "😀", "met", "Bob", "Ray", ".", "Bye"]
SPANS = (Span(1, 2, "LOC"), Span(3, 4, "PER"), Span(6, 8, "PER"))
ADA = Document.of(Sentence(tuple(WORDS), SPANS, "", TEXT))


@pytest.fixture
def spacy() -> Any:
    """The package; an extra, so that it may be missing."""
    pytest.importorskip("spacy.tokens", reason="spaCy is not installed (pip install 'lightner-ray[spacy]')")
    return pytest.importorskip("spacy")


def round_trip(folder: Path, documents: Sequence[Document], form: str) -> list[Document]:
    if form == "spacy":
        pytest.importorskip("spacy", reason="spaCy is not installed (pip install 'lightner-ray[spacy]')")
    path = folder / f"file{SUFFIXES.get(form, '.x')}"
    if path.is_dir():
        shutil.rmtree(path)
    write(path, documents, form)
    return [Document.of(sentence) for sentence in read_corpus(path).sentences]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("round")


@pytest.mark.parametrize("form", OF_TEXTS)
@calm
@given(documents=st.lists(text_documents(), min_size=1, max_size=3))
def test_formats_of_texts_hold_texts_and_spans(folder: Path, form: str, documents: list[Document]) -> None:
    back = round_trip(folder, documents, form)
    assert [(each.text, each.words, each.spans) for each in back] == [
        (each.text, each.words, each.spans) for each in documents
    ]


@pytest.mark.parametrize("form", ["jsonl", "prodigy"])
@calm
@given(documents=st.lists(text_documents(scored=True), min_size=1, max_size=3))
def test_some_hold_scores_too(folder: Path, form: str, documents: list[Document]) -> None:
    assert [each.spans for each in round_trip(folder, documents, form)] == [each.spans for each in documents]


@pytest.mark.parametrize("form", ["jsonl", "gliner", "spacy", *COLUMNS])
@calm
@given(documents=st.lists(word_documents(), min_size=1, max_size=3))
def test_formats_of_words_hold_words_as_someone_split_them(folder: Path, form: str, documents: list[Document]) -> None:
    assert [each.sentence for each in round_trip(folder, documents, form)] == [each.sentence for each in documents]


@settings(calm, max_examples=20)
@given(documents=st.lists(word_documents() | text_documents(), min_size=1, max_size=3))
def test_a_folder_of_datasets_holds_words_and_texts(folder: Path, documents: list[Document]) -> None:
    back = round_trip(folder, documents, "datasets")
    assert [(each.sentence, each.text) for each in back] == [(each.sentence, each.text) for each in documents]


@calm
@given(documents=st.lists(text_documents(more=""), min_size=1, max_size=3))
def test_brat_holds_texts_of_one_line(folder: Path, documents: list[Document]) -> None:
    back = round_trip(folder, documents, "brat")
    assert [(each.text.rstrip("\n"), each.spans) for each in back] == [(each.text, each.spans) for each in documents]


@pytest.mark.parametrize("form", OF_TEXTS)
@calm
@given(documents=st.lists(text_documents(nested=True), min_size=1, max_size=3))
def test_formats_of_texts_hold_spans_within_one_another(folder: Path, form: str, documents: list[Document]) -> None:
    back = round_trip(folder, documents, form)
    assert [(each.text, each.sentence) for each in back] == [(each.text, each.sentence) for each in documents]


@calm
@given(documents=st.lists(text_documents(more="", nested=True), min_size=1, max_size=3))
def test_brat_holds_spans_within_one_another(folder: Path, documents: list[Document]) -> None:
    assert [each.spans for each in round_trip(folder, documents, "brat")] == [each.spans for each in documents]


@pytest.mark.parametrize("form", ["jsonl", "gliner", "spacy"])
@calm
@given(documents=st.lists(word_documents(nested=True), min_size=1, max_size=3))
def test_formats_of_words_hold_spans_within_one_another(folder: Path, form: str, documents: list[Document]) -> None:
    assert [each.sentence for each in round_trip(folder, documents, form)] == [each.sentence for each in documents]


NESTED = (Span(0, 7, "address"), Span(0, 3, "street"), Span(4, 7, "city"), Span(4, 5, "county"), Span(4, 5, "name"))
HOME = Document.of(Sentence(("9", "Mill", "Lane", ",", "Derby", "(", "UK"), NESTED, "", "9 Mill Lane, Derby (UK"))


@pytest.mark.parametrize("form", [*COLUMNS, "datasets"])
def test_formats_of_tags_refuse_spans_within_one_another(tmp_path: Path, form: str) -> None:
    with pytest.raises(
        InputError, match=r"which overlap, expected spans that share no word, since tags hold no others"
    ):
        write(tmp_path / "file.x", [HOME], form)
    assert not (tmp_path / "file.x").exists()


def test_crossing_spans_are_written_by_no_format_of_words(tmp_path: Path) -> None:
    crossed = Sentence(("a", "b", "c"), (Span(0, 2, "X"), Span(1, 3, "Y")))
    with pytest.raises(InputError, match="expected spans that share no word, or lie within one another"):
        write_jsonl(tmp_path / "a.jsonl", [crossed])


def test_spacy_reads_nested_spans_as_its_group_of_spans(tmp_path: Path, spacy: Any) -> None:
    write(tmp_path / "train.spacy", [HOME, ADA], "spacy")
    nlp = spacy.blank("en")
    nested, flat = spacy.tokens.DocBin().from_disk(tmp_path / "train.spacy").get_docs(nlp.vocab)
    from_json = spacy.tokens.Doc(nlp.vocab).from_json(
        json.loads(text_of([HOME], "spacy-jsonl", name="f").splitlines()[0])
    )
    for doc in (nested, from_json):
        found = [(each.start_char, each.end_char, each.label_) for each in doc.spans["sc"]]
        assert sorted(found) == sorted((mark.start, mark.end, mark.label) for mark in HOME.marks)
        assert doc.ents == ()
    assert len(flat.ents) == 3


def test_tags_are_those_of_the_scheme() -> None:
    these = [Document.of(Sentence(("a", "b", "c", "d"), (Span(0, 3, "X"), Span(3, 4, "X"))))]
    tags = {
        form: [line.split("\t")[1] for line in text_of(these, form, name="f").splitlines()]
        for form in ("conll", "conll-iob1", "conll-bioes", "conll-bilou")
    }
    assert tags == {
        "conll": ["B-X", "I-X", "I-X", "B-X"],
        "conll-iob1": ["I-X", "I-X", "I-X", "B-X"],
        "conll-bioes": ["B-X", "I-X", "E-X", "S-X"],
        "conll-bilou": ["B-X", "I-X", "L-X", "U-X"],
    }


def test_spacy_reads_its_binary_files(tmp_path: Path, spacy: Any) -> None:
    write(tmp_path / "train.spacy", [ADA], "spacy")
    [doc] = spacy.tokens.DocBin().from_disk(tmp_path / "train.spacy").get_docs(spacy.blank("en").vocab)
    assert doc.text == TEXT
    assert [token.text for token in doc if not token.is_space] == WORDS
    assert [(each.text, each.label_) for each in doc.ents] == [("Oslo", "LOC"), ("Ada", "PER"), ("Bob\u2028Ray", "PER")]
    assert all(token.ent_iob for token in doc)  # 0 would say: not annotated


def test_what_spacy_writes_is_read(tmp_path: Path, spacy: Any) -> None:
    nlp = spacy.blank("en")
    doc = nlp("Ada  met Mr. Bob\n in Oslo.")
    doc.set_ents([doc.char_span(0, 3, "PER"), doc.char_span(9, 16, "PER")], default="outside")
    grouped = nlp("Ada met Bob")
    grouped.spans["sc"] = [grouped.char_span(8, 11, "PER")]
    spacy.tokens.DocBin(docs=[doc, nlp("not annotated"), grouped, nlp("  ")]).to_disk(tmp_path / "any.name")
    corpus = read_corpus(tmp_path / "any.name")
    assert corpus.sentences == (
        Sentence(("Ada", "met", "Mr.", "Bob", "in", "Oslo", "."), (Span(0, 1, "PER"), Span(2, 4, "PER"))),
        Sentence(("Ada", "met", "Bob"), (Span(2, 3, "PER"),)),
    )
    assert corpus.kind == "spaCy's DocBin"
    assert [(note.kind[:16], note.count) for note in corpus.notes] == [("records left out", 1), ("blank texts left", 1)]


def test_what_spacy_annotates_half_is_a_fault(tmp_path: Path, spacy: Any) -> None:
    half, twice = spacy.blank("en")("Ada met Bob"), spacy.blank("en")("Ada met Bob")
    half.set_ents([half.char_span(0, 3, "PER")], default="missing")
    twice.spans.update({"a": [twice.char_span(0, 3, "PER")], "b": [twice.char_span(4, 7, "PER")]})
    spacy.tokens.DocBin(docs=[half, twice]).to_disk(tmp_path / "half.spacy")
    with pytest.raises(InputError, match="found faults of 2 kinds") as raised:
        read_corpus(tmp_path / "half.spacy")
    assert "document 0: found 2 of 3 tokens without annotation" in str(raised.value)
    assert "document 1: found spans['a'] and spans['b'], which disagree" in str(raised.value)


@pytest.mark.usefixtures("spacy")
def test_compressed_data_of_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    (path := tmp_path / "x.spacy").write_bytes(zlib.compress(b"something else"))
    with pytest.raises(InputError, match=r"x.spacy: found compressed data that spaCy cannot read .* expected a DocBin"):
        read_corpus(path)


@pytest.mark.usefixtures("spacy")
def test_damaged_files_of_spacy_are_refused_or_read(tmp_path: Path) -> None:
    write(path := tmp_path / "x.spacy", [ADA], "spacy")
    whole, chance, refused = zlib.decompress(path.read_bytes()), random.Random(0), 0
    for _ in range(150):
        damaged = bytearray(whole)
        for place in chance.sample(range(len(whole)), chance.choice([1, 2, 5])):
            damaged[place] = chance.choice([0, 127, 128, 255])
        path.write_bytes(zlib.compress(damaged))
        try:
            read_corpus(path)
        except InputError as error:
            refused += str(error).startswith(f"{path}:")
    assert refused > 50


def test_spacy_takes_lines_of_json(spacy: Any) -> None:
    record = json.loads(text_of([ADA], "spacy-jsonl", name="f"))
    doc = spacy.tokens.Doc(spacy.blank("en").vocab).from_json(record, validate=True)
    assert doc.text == TEXT
    assert [(each.text, each.label_) for each in doc.ents] == [("Oslo", "LOC"), ("Ada", "PER"), ("Bob\u2028Ray", "PER")]


def test_datasets_reads_its_folders_and_tables_with_names_of_classes(tmp_path: Path) -> None:
    import datasets

    write(tmp_path / "saved", [ADA], "datasets")
    write(tmp_path / "table.parquet", [ADA], "datasets")
    for table in (
        datasets.load_from_disk(str(tmp_path / "saved")),
        datasets.Dataset.from_parquet(str(tmp_path / "table.parquet"), cache_dir=str(tmp_path / "cache")),
    ):
        names = table.features["ner_tags"].feature
        tags = [names.int2str(tag) for tag in table[0]["ner_tags"]]
        assert " ".join(tags) == "O B-LOC O B-PER O O B-PER I-PER O O"
        assert (table[0]["tokens"], table[0]["text"]) == (WORDS, TEXT)


def test_label_studio_counts_its_own_units() -> None:
    [task] = json.loads(text_of([ADA], "label_studio", name="f"))
    units = TEXT.encode("utf-16-le")
    values = [each["value"] for each in task["annotations"][0]["result"]]
    assert [units[2 * each["start"] : 2 * each["end"]].decode("utf-16-le") for each in values] == [
        "Oslo", "Ada", "Bob\u2028Ray",
    ]  # fmt: skip


def test_label_studios_converter_reads_its_tasks(tmp_path: Path) -> None:
    """Its own words end at white space; its own code finds the labels at the offsets."""
    converter = pytest.importorskip("label_studio_converter", reason="label-studio-converter is not installed")
    tags = '<Labels name="label" toName="text"><Label value="LOC"/><Label value="PER"/></Labels>'
    (tmp_path / "out").mkdir()
    write(tmp_path / "tasks.json", [ADA], "label_studio")
    made = converter.Converter(f'<View>{tags}<Text name="text" value="$text"/></View>', str(tmp_path))
    made.convert(str(tmp_path / "tasks.json"), str(tmp_path / "out"), "CONLL2003", is_dir=False)
    lines = (tmp_path / "out" / "result.conll").read_text(encoding="utf-8").splitlines()
    tagged = [(line.split(" ")[0], line.split(" ")[-1]) for line in lines if line.endswith(("-LOC", "-PER"))]
    assert tagged == [("Oslo", "B-LOC"), ("Ada", "B-PER"), ("Bob", "B-PER"), ("Ray.", "I-PER")]


@pytest.mark.parametrize(
    ("form", "sentence", "said"),
    [
        ("brat", Sentence(("a",), (Span(0, 1, "movie title"),)), "found label 'movie title', expected one without"),
        ("conll", Sentence(("a\tb",)), "found word 'a\\tb', expected one that a column can hold"),
        ("gliner", Sentence(("a", " ")), "found the blank word ' ', expected words"),
        ("jsonl", Sentence(()), "found no words, expected words"),
        ("spacy", Sentence(("a",), (Span(0, 1, " X"),)), "found label ' X', expected one without white space"),
        ("doccano", Sentence(("a\ud800",)), "found the lone surrogate"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_and_nothing_is_written(
    tmp_path: Path, form: str, sentence: Sentence, said: str
) -> None:
    with pytest.raises(InputError) as raised:
        write(tmp_path / f"f{SUFFIXES.get(form, '.x')}", [Document.of(sentence)], form)
    assert said in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_the_suffix_says_the_format_or_the_message_names_those_that_do() -> None:
    assert [format_by_name(Path(name)) for name in ("a.bioes", "a.SPACY", "a.parquet")] == [
        "conll-bioes", "spacy", "datasets",
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"a.json: found suffix '.json', expected one of .conll, .*, or --to"):
        format_by_name(Path("a.json"))
