"""What a prompt reads at once: sentences, windows of those that are longer, and given words."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from lightner.evaluation.scoring import predict
from lightner.tagger import ScoredSpans, WindowedText, tag_texts
from lightner.types import Reach, Sentence, Span
from lightner.words import split_words
from tests.support.mixed import double_backbone, prompt_of

SENTENCES_IN_ONE = "Ada lives in Rome. Emil likes soup! Mary came on Monday."


def read_in(text: str | tuple[str, ...], reach: Reach) -> list[str]:
    windowed = WindowedText.of(text, reach)
    return [" ".join(windowed.read[start:end]) for start, end in windowed.windows]


def test_a_prompt_that_learned_single_sentences_reads_single_sentences() -> None:
    alone = ["Ada lives in Rome .", "Emil likes soup !", "Mary came on Monday ."]
    assert read_in(SENTENCES_IN_ONE, Reach(40, 1)) == alone
    assert read_in(tuple(word.text for word in split_words(SENTENCES_IN_ONE)), Reach(40, 1)) == alone
    assert read_in(SENTENCES_IN_ONE, Reach(40, 2)) == [" ".join(alone[:2]), alone[2]]
    assert read_in(SENTENCES_IN_ONE, Reach(7, 2)) == alone
    assert read_in(SENTENCES_IN_ONE, Reach()) == [" ".join(alone)]


def test_a_sentence_longer_than_any_learned_one_is_read_in_windows_of_the_learned_length() -> None:
    windowed = WindowedText.of(f"Short one. {'word ' * 50}. End.", Reach(20, 1))
    assert windowed.windows[0] == (0, 3)
    assert windowed.windows[-1] == (54, 56)
    assert all(end - start <= 20 for start, end in windowed.windows)
    middle = windowed.windows[1:-1]
    assert (middle[0][0], middle[-1][1]) == (3, 54)
    assert all(later[0] < earlier[1] for earlier, later in pairwise(middle))


def test_windows_of_a_longer_sentence_have_the_usual_length_and_overlap_by_half() -> None:
    text = f"Short one. {'word ' * 50}. {'more ' * 15}."
    windowed = WindowedText.of(text, Reach(20, 1, 12))
    long, last = windowed.windows[1:-1], windowed.windows[-1]
    assert last == (54, 70), "no longer than what was learned, so it is read whole"
    assert {end - start for start, end in long} == {12}
    assert {later[0] - earlier[0] for earlier, later in pairwise(long[:-1])} == {6}
    assert (long[0][0], long[-1][1]) == (3, 54)


@pytest.mark.parametrize("together", [2, 4, 8])
def test_sentences_of_one_text_are_answered_as_each_alone(together: int) -> None:
    backbone = double_backbone(2)
    prompt = replace(prompt_of(backbone), reach=Reach(30, 1))
    sentences = [
        "Ada lives in Rome and Oslo.",
        "Emil likes the soup of Paris!",
        "Mary came on Monday.",
        "Who is Ada?",
    ] * 2
    alone = tag_texts(backbone, [(prompt, text) for text in sentences[:together]])
    text = " ".join(sentences[:together])
    [found] = tag_texts(backbone, [(prompt, text)])
    starts = [sum(len(each) + 1 for each in sentences[:n]) for n in range(together)]
    expected = [
        (start + e.start, start + e.end, e.label)
        for start, one in zip(starts, alone, strict=True)
        for e in one.entities
    ]
    assert [(entity.start, entity.end, entity.label) for entity in found.entities] == expected != []
    assert found.windows == together


def test_a_sentence_from_text_is_evaluated_as_its_text_is_read() -> None:
    backbone = double_backbone(1)
    text = "Ada opened notes.txt in Rome. Emil did not open 4.2.1 there."
    given = Sentence(tuple(word.text for word in split_words(text)), text=text)
    prompt = replace(prompt_of(backbone), reach=Reach(30, 1))
    [tagged] = tag_texts(backbone, [(prompt, text)])
    [found] = predict(backbone, prompt, [given])
    words = split_words(text)
    assert tagged.windows == 2
    assert [(words[s.start].start, words[s.end - 1].end) for s in found] == [(e.start, e.end) for e in tagged.entities]


def test_given_words_are_read_as_text_would_be_and_answered_whole() -> None:
    windowed = WindowedText.of(("the", "AX-13.3", "runs", "v2.0.1"), Reach())
    assert windowed.read == ("the", "AX", "-", "13", ".", "3", "runs", "v2", ".", "0", ".", "1")
    found: list[ScoredSpans] = [
        [(Span(1, 6, "device"), 0.9), (Span(7, 8, "version"), 0.5), (Span(9, 12, "version"), 0.7)]
    ]
    spans = windowed.spans(found)
    assert spans == [(Span(1, 2, "device"), 0.9), (Span(3, 4, "version"), 0.7)]
    entities = windowed.tagged(spans).entities
    assert [(e.start, e.end, e.text, e.start_word, e.end_word) for e in entities] == [
        (4, 11, "AX-13.3", 1, 2),
        (17, 23, "v2.0.1", 3, 4),
    ]
