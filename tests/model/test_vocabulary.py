"""What of texts is in a backbone's vocabulary."""

from __future__ import annotations

from lightner.model.batching import encode
from lightner.model.vocabulary import coverage
from tests.support.tiny import tiny_backbone


def test_counts_are_those_of_reading_the_texts() -> None:
    tokenizer = tiny_backbone().tokenizer
    texts = [("ada", "saw", "東", "京"), ("東", "\x00", "soup", "rome7"), ("東",)]
    found = coverage(tokenizer, texts)
    pieces = [piece for example in encode(tokenizer, texts) for piece in example.pieces[1:-1]]
    assert (found.pieces, found.unknown) == (len(pieces), pieces.count(tokenizer.unk_token_id))
    assert found.words == ("東", "\x00", "京")
    assert found.share == found.unknown / found.pieces


def test_no_texts_have_no_unknown_share() -> None:
    assert coverage(tiny_backbone().tokenizer, []).share == 0
