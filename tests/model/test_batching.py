"""Sentences to tensors: every word has a pointer, whatever its characters."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from lightner.model.batching import Example, by_length, collate, encode
from lightner.types import InputError
from tests.support.tiny import tiny_tokenizer


def byte_level() -> PreTrainedTokenizerFast:
    """Bytes as BART has them, without merges."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({piece: n for n, piece in enumerate(pieces)}, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def cleaning() -> PreTrainedTokenizerFast:
    """The tiny tokenizer with BERT's normaliser, which removes control characters and lone marks completely."""
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=True)
    return tokenizer


TOKENIZERS = {"tiny": tiny_tokenizer(), "cleaning": cleaning(), "byte-level": byte_level()}
WORDS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6),
    st.sampled_from(["ada", "\x07", "\u200b", "\u0301", "\ufeff", " ", "\u3000", "</s>", "<pad>", "<s>", "\U0001f642"]),
)


@pytest.mark.parametrize("name", sorted(TOKENIZERS))
@settings(deadline=None, max_examples=100)
@given(sentences=st.lists(st.lists(WORDS, min_size=1, max_size=6), min_size=1, max_size=3))
def test_every_word_has_its_own_first_piece(name: str, sentences: list[list[str]]) -> None:
    for words, example in zip(sentences, encode(TOKENIZERS[name], sentences), strict=True):
        first = example.word_first
        assert len(first) == len(words)
        assert list(first) == sorted(set(first))
        assert first[0] >= 1
        assert first[-1] < len(example.pieces) - 1
        assert (example.pieces[0], example.pieces[-1]) == (0, 2)


def test_a_word_that_the_tokenizer_removes_becomes_the_unknown_token() -> None:
    tokenizer = TOKENIZERS["cleaning"]
    assert tokenizer.tokenize("\x07") == []
    (example,) = encode(tokenizer, [["ada", "\x07", "paris", "\u0301"]])
    assert tokenizer.convert_ids_to_tokens(list(example.pieces)) == ["<s>", "ada", "<unk>", "paris", "<unk>", "</s>"]
    assert example.word_first == (1, 2, 3, 4)


def test_a_sentence_does_not_depend_on_the_others() -> None:
    sentences = [["ada"], ["xylophonist", "in", "\x07"], ["soup", "!"]]
    for tokenizer in TOKENIZERS.values():
        assert encode(tokenizer, sentences) == [encode(tokenizer, [words])[0] for words in sentences]


def test_no_sentences_give_no_examples_and_no_words_are_refused() -> None:
    assert encode(TOKENIZERS["tiny"], []) == []
    with pytest.raises(InputError, match="sentence 1: found no words, expected at least one"):
        encode(TOKENIZERS["tiny"], [["ada"], []])


def test_a_batch_is_padded_on_the_right() -> None:
    batch = collate([Example((0, 4, 5, 2), (1, 2)), Example((0, 6, 2), (1,))], pad=1)
    assert batch.size == 2
    assert batch.input_ids.tolist() == [[0, 4, 5, 2], [0, 6, 2, 1]]
    assert batch.attention_mask.tolist() == [[True] * 4, [True, True, True, False]]
    assert batch.word_first.tolist() == [[1, 2], [1, 0]]
    assert batch.word_count.tolist() == [2, 1]


@settings(deadline=None, max_examples=200)
@given(lengths=st.lists(st.integers(1, 200), min_size=1, max_size=7))
def test_rows_by_length_are_all_rows_in_the_cheapest_groups(lengths: list[int]) -> None:
    def cost(groups: list[tuple[int, int]]) -> int:
        return sum(50 + (end - begin) * max(lengths[begin:end]) for begin, end in groups)

    costs = []
    for cuts in product([False, True], repeat=len(lengths) - 1):
        places = [0, *(place for place, cut in enumerate(cuts, start=1) if cut), len(lengths)]
        costs.append(cost(list(pairwise(places))))
    groups = by_length(lengths)
    assert [row for begin, end in groups for row in range(begin, end)] == list(range(len(lengths)))
    assert cost(groups) == min(costs)


def test_rows_of_about_one_length_stay_together() -> None:
    assert by_length([18, 20, 22, 24]) == [(0, 4)]
    assert by_length([18, 20, 22, 120]) == [(0, 3), (3, 4)]
