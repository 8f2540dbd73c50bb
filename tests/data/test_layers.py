"""Records with several annotations: fields that are used, skipped, or refused with file, record and field."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lightner.data.formats import Columns, Corpus, Repair, parse_columns, read_corpus
from lightner.types import InputError, Sentence, Span

TEXT = "Lena moved to Cork"
LENA = Sentence(("Lena", "moved", "to", "Cork"), (Span(0, 1, "PER"), Span(3, 4, "LOC")))
SPANS = [{"start": 0, "end": 4, "label": "PER"}, {"start": 14, "end": 18, "label": "LOC"}]
WORDS = ["Lena", "moved", "to", "Cork"]
TAGS = ["B-PER", "O", "O", "B-LOC"]


@pytest.fixture
def records(tmp_path: Path) -> Any:
    def put(*found: object, columns: Columns | None = None, repairs: frozenset[Repair] = frozenset()) -> Corpus:
        path = tmp_path / "sample.jsonl"
        path.write_text("\n".join(map(json.dumps, found)), "utf-8")
        return read_corpus(path, columns=columns, repairs=repairs)

    return put


@pytest.mark.parametrize(
    "record",
    [
        {"tokens": WORDS, "ner_tags": TAGS},
        {"words": WORDS, "labels": TAGS},
        {"tokens": WORDS, "tags": TAGS, "pos_tags": ["NNP"] * 4, "chunk_tags": ["B-NP", "B-VP", "O", "O"]},
        {"words": WORDS, "ner": TAGS, "id": "7", "langs": ["en"] * 4},
        {"tokens": WORDS, "ner_tags": ["PER", "O", "O", "LOC"]},
        {"text": TEXT, "tokens": WORDS, "ner_tags": TAGS, "entities": SPANS},
        {"text": TEXT, "tokens": WORDS, "ner_tags": ["S-PER", "O", "O", "S-LOC"], "spans": SPANS},
        {"text": TEXT, "label": [[0, 4, "PER"], [14, 18, "LOC"]], "entities": SPANS},
        {"text": TEXT, "entities": SPANS, "labels": ["PER", "LOC"]},
        {"text": TEXT, "entities": {"start": [0, 14], "end": [4, 18], "label": ["PER", "LOC"]}},
        {"data": TEXT, "label": [[0, 4, "PER"], [14, 18, "LOC"]], "metadata": [["from", 1]]},
        {"sentence": TEXT, "entities": [[0, 4, "PER", "Lena"], [14, 18, "LOC", "Cork"]]},
        {"content": TEXT, "spans": [{"begin": 0, "end": 4, "type": "PER"}, {"start": 14, "end": 18, "tag": "LOC"}]},
        {"text": TEXT, "spans": SPANS, "relations": [{"head": 0, "child": 3, "label": "to", "head_span": SPANS[0]}]},
        {"text": TEXT, "ents": SPANS, "sents": [{"start": 0, "end": 18}], "tokens": [{"start": 0, "end": 4}]},
        {"text": TEXT, "ents": [], "spans": {"sc": SPANS}},
        {"text": TEXT, "ents": SPANS, "spans": {"sc": SPANS, "empty": []}},
        {"text": TEXT, "spans": SPANS, "answer": "accept", "_view_id": "ner", "_spans": [[0, 3, "X"]]},
        {"text": TEXT, "entities": SPANS, "answer": "Cork"},
    ],
    ids=lambda record: " ".join(record),
)  # fmt: skip
def test_known_fields_are_used_and_unrelated_ones_are_skipped(records: Any, record: dict[str, Any]) -> None:
    plain = {"tokens": ["it", "rains"], "ner_tags": ["O", "O"]}
    assert records(plain, record).sentences == (Sentence(("it", "rains")), LENA)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"text": TEXT, "entities": SPANS, "drugs": SPANS}, "labels or offsets in the field 'drugs'"),
        ({"text": TEXT, "entities": [], "gold": {"a": [[0, 4, "PER"]]}}, "labels or offsets in the field 'gold'"),
        (
            {"text": TEXT, "entities": [], "spans": {"sc": SPANS}},
            "'entities' and 'spans.sc', which disagree",
        ),
        (
            {"text": TEXT, "ents": SPANS, "spans": {"sc": SPANS[:1]}},
            "'ents' and 'spans.sc', which disagree",
        ),
        ({"tokens": WORDS, "ner_tags": TAGS, "fine_tags": TAGS}, "labels or offsets in the field 'fine_tags'"),
        (
            {"tokens": WORDS, "ner_tags": TAGS, "fine": ["man", "O", "O", "city"]},
            "labels or offsets in the field 'fine'",
        ),
        ({"tokens": WORDS, "ner_tags": TAGS, "tags": ["O"] * 4}, "'ner_tags' and 'tags', which disagree"),
        (
            {"tokens": WORDS, "ner_tags": ["O"] * 4, "text": TEXT, "entities": SPANS},
            "'ner_tags' and 'entities', which disagree",
        ),
        ({"tokens": WORDS, "ner_tags": TAGS, "text": TEXT, "spans": []}, "'ner_tags' and 'spans', which disagree"),
        (
            {"tokens": WORDS, "ner_tags": TAGS, "entities": SPANS},
            "'ner_tags' and 'entities', which disagree",
        ),
        ({"tokens": WORDS, "entities": [{"start": 0, "end": 1, "type": "PER"}]}, "found keys ['entities', 'tokens']"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_possible_annotation_that_is_not_understood_is_refused(records: Any, record: object, said: str) -> None:
    with pytest.raises(
        InputError, match=r"sample\.jsonl:2: found .*" + re.escape(said.removeprefix("found "))
    ) as raised:
        records({"text": "it rains", "entities": []}, record)
    assert "--columns" in str(raised.value) or "expected 'tokens'" in str(raised.value)


def test_the_fields_that_count_may_be_named(records: Any) -> None:
    both = {
        "tokens": WORDS,
        "ner_tags": TAGS,
        "fine_ner_tags": ["B-man", "O", "O", "B-city"],
        "text": TEXT,
        "gold": SPANS,
    }
    assert records(both, columns=parse_columns("word=tokens,tag=ner_tags")).sentences == (LENA,)
    fine = records(both, columns=Columns(tag="fine_ner_tags")).sentences[0]
    assert [span.label for span in fine.spans] == ["man", "city"]
    assert records(both, columns=parse_columns("text=text,spans=gold")).sentences == (LENA,)
    with pytest.raises(InputError, match=r"sample.jsonl:1: found keys .* expected 'body', which --columns names"):
        records(both, columns=Columns(text="body", spans="gold"))
    with pytest.raises(InputError, match="columns: found the number of a column, expected names of fields"):
        records(both, columns=Columns(word=1))


def test_blank_texts_and_blank_words_are_left_out_and_counted(records: Any) -> None:
    corpus = records(
        {"text": TEXT, "spans": SPANS},
        {"text": " ", "spans": []},
        {"tokens": [], "ner_tags": []},
        {"tokens": ["Lena", " ", "Sol", "\n"], "ner_tags": ["B-PER", "I-PER", "I-PER", "O"]},
    )
    assert corpus.sentences == (LENA, Sentence(("Lena", "Sol"), (Span(0, 2, "PER"),)))
    assert {note.kind: note.count for note in corpus.notes} == {"blank texts left out": 2, "blank words left out": 2}


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"text": "\n", "spans": SPANS[:1]}, "spans[0]: found [0, 4), expected 0 <= start < end <= 1"),
        ({"tokens": ["a", " "], "ner_tags": ["O", "B-X"]}, "ner_tags[1]: found the blank word ' ' with the tag 'B-X'"),
        ({"tokens": ["a", " "], "ner_tags": ["O", "I-X"]}, "ner_tags[1]: found the blank word ' ' with the tag 'I-X'"),
    ],
)
def test_blanks_that_are_labelled_are_refused(records: Any, record: object, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(f":1: {said}")):
        records(record)


class TestProdigy:
    def test_a_rejected_span_is_left_out(self, records: Any) -> None:
        spans = [{**SPANS[0], "answer": "accept"}, {**SPANS[1], "answer": "reject"}]
        corpus = records({"text": TEXT, "spans": spans, "answer": "accept"})
        assert corpus.sentences[0].spans == (Span(0, 1, "PER"),)
        [note] = corpus.notes
        assert (note.kind, note.count) == ("spans that an annotator rejected, left out", 1)
        assert note.first.endswith("sample.jsonl:1: spans[1]")

    def test_a_span_that_nobody_decided_on_is_refused_or_left_out(self, records: Any) -> None:
        record = {"text": TEXT, "spans": [SPANS[0], {**SPANS[1], "answer": "ignore"}]}
        with pytest.raises(
            InputError, match=r"spans\[1\]: found a span whose 'answer' is 'ignore'.*--repair drop-span"
        ):
            records(record)
        assert records(record, repairs=frozenset({Repair.DROP_SPAN})).sentences[0].spans == (Span(0, 1, "PER"),)

    def test_an_accepted_record_without_spans_is_a_sentence_without_entities(self, records: Any) -> None:
        corpus = records({"text": TEXT, "spans": SPANS, "answer": "accept"}, {"text": "it rains", "answer": "accept"})
        assert corpus.sentences == (LENA, Sentence(("it", "rains")))
        assert corpus.notes[0].kind == "accepted records without spans (read as sentences without entities)"
        with pytest.raises(InputError, match=r"sample.jsonl:2: found keys \['text'\]"):
            records({"text": TEXT, "spans": SPANS}, {"text": "it rains"})


class TestSpacyTrainingFiles:
    def document(self, *tags: str) -> dict[str, Any]:
        tokens = [{"id": at, "orth": word, "ner": tag} for at, (word, tag) in enumerate(zip(WORDS, tags, strict=True))]
        return {"id": 0, "paragraphs": [{"raw": TEXT, "sentences": [{"tokens": tokens, "brackets": []}], "cats": []}]}

    def test_sentences_of_paragraphs_are_read(self, records: Any) -> None:
        corpus = records(self.document("U-PER", "O", "O", "U-LOC"))
        assert corpus.sentences == (LENA,)
        assert corpus.sentences[0].place.endswith("sample.jsonl:1: paragraphs[0].sentences[0]")

    def test_a_tag_that_is_missing_is_refused(self, records: Any) -> None:
        with pytest.raises(InputError, match=r"sentences\[0\].tokens\[1\].ner: found '-', expected a tag"):
            records(self.document("U-PER", "-", "O", "U-LOC"))
