"""Letter case in an uncased tokenizer: marks after words; offsets and first sub-words unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lightner.model.batching import encode
from lightner.pretraining.case_marks import ALL_CAPITALS, CAPITALISED, with_case_marks

SPECIAL = ("[PAD]", "[unused0]", "[unused1]", "[UNK]")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.-"


def uncased(*, spare: bool = True) -> PreTrainedTokenizerFast:
    special = SPECIAL if spare else ("[PAD]", "[UNK]")
    pieces = dict.fromkeys([*special, "paris", "ibm", *LETTERS, *(f"##{letter}" for letter in LETTERS)])
    vocabulary = {piece: place for place, piece in enumerate(pieces)}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", pad_token="[PAD]", model_max_length=99)


def marks(word: str) -> str:
    tokenizer = with_case_marks(uncased())
    pieces = tokenizer.convert_ids_to_tokens(tokenizer([[word]], is_split_into_words=True)["input_ids"][0])
    assert set(pieces[:-1]).isdisjoint({CAPITALISED, ALL_CAPITALS})
    return pieces[-1] if pieces[-1] in (CAPITALISED, ALL_CAPITALS) else ""


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("paris", ""),
        ("Paris", CAPITALISED),
        ("I", CAPITALISED),
        ("Éa", CAPITALISED),
        ("McDonald", CAPITALISED),
        ("IBM", ALL_CAPITALS),
        ("U.S.", ALL_CAPITALS),
        ("F-16", ALL_CAPITALS),
        ("iPhone", ""),
        ("2Pac", ""),
        (".", ""),
        ("A" + 30 * "a", ""),
    ],
)
def test_a_mark_says_how_a_word_is_written(word: str, expected: str) -> None:
    assert marks(word) == expected


def test_words_without_capitals_are_read_as_before() -> None:
    words = [["paris", "and", "ibm", ".", "é-1"]]
    before, after = (t(words, is_split_into_words=True)["input_ids"] for t in (uncased(), with_case_marks(uncased())))
    assert before == after


def test_marks_belong_to_their_word_and_never_stand_first() -> None:
    tokenizer = with_case_marks(uncased())
    [example] = encode(tokenizer, [["Paris", "or", "IBM"]])
    first = tokenizer.convert_ids_to_tokens([example.pieces[place] for place in example.word_first])
    assert first == ["paris", "o", "ibm"]
    encoded = tokenizer([["Paris", "or", "IBM"]], is_split_into_words=True)
    assert encoded.word_ids(0) == [0, 0, 1, 1, 2, 2]


def test_the_vocabulary_keeps_its_size_and_ids() -> None:
    before, after = uncased().get_vocab(), with_case_marks(uncased()).get_vocab()
    assert (after[CAPITALISED], after[ALL_CAPITALS]) == (before["[unused0]"], before["[unused1]"])
    assert {token: place for token, place in after.items() if token not in (CAPITALISED, ALL_CAPITALS)} == {
        token: place for token, place in before.items() if not token.startswith("[unused")
    }


def test_marks_survive_saving_and_are_not_added_twice(tmp_path: Path) -> None:
    marked = with_case_marks(uncased())
    assert with_case_marks(marked) is marked
    marked.save_pretrained(tmp_path)
    again = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    words = [["Paris", "IBM", "paris"]]
    one, two = (t(words, is_split_into_words=True)["input_ids"] for t in (marked, again))
    assert one == two
    assert (again.pad_token, again.unk_token, again.model_max_length) == ("[PAD]", "[UNK]", 99)


def test_a_vocabulary_without_spare_entries_is_not_marked() -> None:
    with pytest.raises(AssertionError, match=r"no \['\[unused0\]', '\[unused1\]'\] to spare"):
        with_case_marks(uncased(spare=False))
