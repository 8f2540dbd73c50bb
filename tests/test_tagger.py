"""Texts to entities: exact offsets, windows that lose nothing, and answers independent of other texts."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import processors

from lightner.evaluation.scoring import predict
from lightner.model.backbone import Backbone, load
from lightner.model.merging import likeliest, merge
from lightner.model.prompts import Prompt
from lightner.model.untuned import label_prompt
from lightner.store import artifact
from lightner.store.artifact import PromptArtifact
from lightner.store.loading import prompt_for
from lightner.tagger import (
    WINDOW_OVERLAP,
    Row,
    ScoredSpans,
    Tagger,
    WindowedText,
    finish,
    infer,
    prepare,
    tag_texts,
    tag_words,
)
from lightner.types import DISTRIBUTION, EMBEDDED, MOST_WORDS, Entity, InputError, LabelSet, Reach, Sentence, Span
from lightner.words import split_words, windows
from tests.support.mixed import SENTENCES, domains, double_backbone, mixed_rows, random_prompt
from tests.support.tiny import tiny_artifact, tiny_backbone, tiny_guidance, tiny_tokenizer

LONG = " ".join(("ada lives in rome , and emil in oslo .", "the group likes soup of paris on monday !") * 14)


def prompt_of(backbone: Backbone) -> Prompt:
    return random_prompt(LabelSet.of(["person", "place"]), tiny_guidance(backbone, seed=3), seed=3)


def assert_exact(text: str, entities: list[Entity], labels: LabelSet) -> None:
    words = split_words(text)
    starts, ends = {word.start for word in words}, {word.end for word in words}
    behind = 0
    for entity in entities:
        assert text[entity.start : entity.end] == entity.text != ""
        assert entity.start in starts
        assert entity.end in ends
        assert entity.start >= behind
        assert entity.label in labels.names
        assert 0 < entity.score <= 1
        behind = entity.end


def close(found: list[ScoredSpans], expected: list[ScoredSpans]) -> None:
    assert [[span for span, _ in one] for one in found] == [[span for span, _ in one] for one in expected]
    for mine, its in zip(found, expected, strict=True):
        assert [score for _, score in mine] == pytest.approx([score for _, score in its], rel=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        "Ada lives in Paris.",
        "  two  spaces\tand\na line, then soup!  ",
        "emoji 🙂👩‍👩‍👧 and \u0301 marks, na\u0308\u00efve caf\u00e9",
        "\u6771\u4eac\u306bAda\u304c\u3044\u308b",
        "zero\u200bwidth \u200d joiner \x07 control \ufffe",
        LONG,
    ],
    ids=["plain", "spaces", "emoji", "no spaces between words", "invisible", "long"],
)
def test_each_entitys_text_is_the_text_at_its_offsets(text: str) -> None:
    backbone = double_backbone(1)
    prompts = domains(backbone)
    found = tag_texts(backbone, [(prompt, text) for prompt in prompts])
    for prompt, tagged in zip(prompts, found, strict=True):
        assert_exact(text, tagged.entities, prompt.labels)
    assert sum(len(tagged.entities) for tagged in found) > 0


@pytest.mark.parametrize("given", [("ada", "lives", "in", "New York", "!"), (), ("ada", "lives", "in", "rome") * 60])
def test_given_words_are_read_unchanged_and_answered_in_words_too(given: tuple[str, ...]) -> None:
    backbone = double_backbone(1)
    prompts = domains(backbone)
    found = tag_texts(backbone, [(prompt, given) for prompt in prompts])
    spans = tag_words(backbone, [(prompt, given) for prompt in prompts])
    text = " ".join(given)
    for tagged, expected in zip(found, spans, strict=True):
        assert [(Span(e.start_word or 0, e.end_word or 0, e.label), e.score) for e in tagged.entities] == expected
        for entity in tagged.entities:
            words = given[entity.start_word : entity.end_word]
            assert text[entity.start : entity.end] == entity.text == " ".join(words)
        assert tagged.windows == max(1, len(windows(len(given) + given.count("New York"), MOST_WORDS, WINDOW_OVERLAP)))
    assert bool(given) == any(spans)


@pytest.mark.parametrize("text", ["", " ", "\n\t \u2003", "\u200b"])
def test_a_text_without_words_has_no_entities(text: str) -> None:
    backbone = double_backbone(1)
    prompt = prompt_of(backbone)
    tagged = tag_texts(backbone, [(prompt, text), (prompt, "ada"), (prompt, text)])
    assert [(one.entities, one.windows) for one in (tagged[0], tagged[2])] == [((), 1), ((), 1)]
    assert tagged[1] == tag_texts(backbone, [(prompt, "ada")])[0]
    assert tag_texts(backbone, []) == []
    assert Tagger(backbone, prompt).tag([]) == []


def test_words_that_overflow_the_encoder_are_shortened_and_stay_words() -> None:
    backbone = double_backbone(1)
    prompt = prompt_of(backbone)
    blobs = ("a1" * 45, "z9x" * 30, "q" * 99)
    words = tuple(word for n in range(20) for word in (blobs[n % 3], "ada"))
    work = prepare(backbone, [Row(prompt, words)])
    (ids,), (first,) = work.batch.input_ids.tolist(), work.batch.word_first.tolist()
    tokenizer = backbone.tokenizer
    assert len(ids) <= backbone.max_pieces
    assert len(first) == len(words)
    assert [ids[0], ids[-1]] == [tokenizer.bos_token_id, tokenizer.eos_token_id]
    assert tokenizer.convert_ids_to_tokens([ids[n] for n in first]) == [w if w == "ada" else w[0] for w in words]
    sizes = [after - before for before, after in zip(first, [*first[1:], len(ids) - 1], strict=True)]
    assert set(sizes) == {1, 5}
    text = " ".join(words)
    assert_exact(text, tag_texts(backbone, [(prompt, text)])[0].entities, prompt.labels)


def test_a_tokenizers_special_tokens_stay_when_words_are_shortened() -> None:
    plain = tiny_backbone()
    tokenizer = tiny_tokenizer()
    tokens = [("<s>", tokenizer.bos_token_id), ("</s>", tokenizer.eos_token_id)]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s> <s>", special_tokens=tokens
    )
    backbone = replace(plain, tokenizer=tokenizer)
    work = prepare(backbone, [Row(prompt_of(plain), ("ada", *["q7" * 45] * 3))])
    (ids,) = work.batch.input_ids.tolist()
    assert len(ids) <= backbone.max_pieces
    assert ids[-2:] == [tokenizer.eos_token_id, tokenizer.bos_token_id]
    assert tokenizer.eos_token_id not in ids[:-2]


def test_a_row_of_more_words_than_the_encoder_has_positions_is_refused() -> None:
    backbone = tiny_backbone()
    with pytest.raises(InputError, match="found 127 words, expected at most 126"):
        prepare(backbone, [Row(prompt_of(backbone), ("ada",) * 127)])


@pytest.mark.parametrize("count", [119, 120, 121, 150, 209, 210, 211, 300])
def test_a_long_text_is_its_windows_merged(count: int) -> None:
    backbone = double_backbone(2)
    prompt = prompt_of(backbone)
    words = tuple(split.text for split in split_words(LONG))[:count]
    ranges = windows(len(words), MOST_WORDS, WINDOW_OVERLAP)
    alone = []
    for start, end in ranges:
        work = prepare(backbone, [Row(prompt, words[start:end])])
        alone += finish(work, infer(backbone, work))
    close(tag_words(backbone, [(prompt, words)]), [merge(ranges, alone)])
    assert len(ranges) == 1 + max(0, math.ceil((count - MOST_WORDS) / (MOST_WORDS - WINDOW_OVERLAP)))
    tagged = tag_texts(backbone, [(prompt, " ".join(words))])[0]
    assert tagged.windows == len(ranges)
    assert_exact(" ".join(words), tagged.entities, prompt.labels)


@st.composite
def annotated(draw: st.DrawFn) -> tuple[int, tuple[Span, ...]]:
    """A text's word count and entities of at most half an overlap, some of them at the borders of windows."""
    count = draw(st.integers(1, 400))
    borders = sorted({edge for window in windows(count, MOST_WORDS, WINDOW_OVERLAP) for edge in window})
    near = st.builds(lambda edge, shift: max(0, edge + shift), st.sampled_from(borders), st.integers(-40, 20))
    spans: list[Span] = []
    for start in sorted(draw(st.lists(st.one_of(near, st.integers(0, count - 1)), max_size=40))):
        size = draw(st.integers(1, WINDOW_OVERLAP // 2))
        if start + size <= count and (not spans or spans[-1].end <= start):
            spans.append(Span(start, start + size, draw(st.sampled_from(["a", "b"]))))
    return count, tuple(spans)


@settings(deadline=None, max_examples=300)
@given(annotated())
def test_no_entity_is_lost_or_doubled_at_the_borders_of_windows(text: tuple[int, tuple[Span, ...]]) -> None:
    count, gold = text
    ranges = windows(count, MOST_WORDS, WINDOW_OVERLAP)
    chance = torch.Generator().manual_seed(count)
    found: list[ScoredSpans] = []
    for start, end in ranges:
        seen: ScoredSpans = []
        for span in gold:
            low, high = max(span.start, start), min(span.end, end)
            if low < high:  # a window that sees only a part of an entity reports that part, as a model would
                score = 0.1 + 0.8 * float(torch.rand((), generator=chance))
                seen.append((Span(low - start, high - start, span.label), score))
        found.append(seen)
    assert tuple(span for span, _ in merge(ranges, found)) == gold


def test_where_windows_disagree_across_the_middle_the_likelier_entity_stays() -> None:
    ranges = ((0, 120), (90, 210))
    inside: list[ScoredSpans] = [[(Span(100, 110, "a"), 0.6)], [(Span(106 - 90, 110 - 90, "b"), 0.9)]]
    assert merge(ranges, inside) == [(Span(106, 110, "b"), 0.9)]
    # The first window would leave its find to the second, and the second its own to the first.
    across: list[ScoredSpans] = [[(Span(106, 110, "a"), 0.6)], [(Span(104 - 90, 110 - 90, "a"), 0.5)]]
    assert merge(ranges, across) == [(Span(104, 110, "a"), 0.5)]


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(1, 20), st.integers(1, 9)), max_size=40))
def test_the_likeliest_of_overlapping_entities_stays_as_in_a_comparison_of_all_pairs(
    drawn: list[tuple[int, int, int]],
) -> None:
    spans = [(Span(start, start + length, "a"), tenths / 10) for start, length, tenths in drawn]
    chosen: ScoredSpans = []
    for span, score in sorted(spans, key=lambda pair: (-pair[1], pair[0])):
        if all(span.end <= other.start or other.end <= span.start for other, _ in chosen):
            chosen.append((span, score))
    assert likeliest(spans) == sorted(chosen)


def test_a_book_of_entities_is_merged_in_a_moment() -> None:
    ranges = windows(90_000, 120, 30)
    found: list[ScoredSpans] = [
        [(Span(at, at + 2, "a"), 1 / (1 + at)) for at in range(0, end - begin - 2, 4)] for begin, end in ranges
    ]
    began = time.process_time()
    assert len(merge(ranges, found)) > 20_000
    assert time.process_time() - began < 10  # it was minutes


def test_order_batch_size_and_other_texts_change_nothing() -> None:
    backbone = double_backbone(3)
    rows = [(row.prompt, row.words) for row in mixed_rows(backbone)]
    rows.insert(3, (rows[0][0], ()))
    rows.insert(5, (rows[1][0], tuple(word.text for word in split_words(LONG))))
    expected = [tag_words(backbone, [row])[0] for row in rows]
    assert sum(map(len, expected)) > 10
    for size in (1, 4, 32):
        close(tag_words(backbone, rows, batch_size=size), expected)
    close(tag_words(backbone, rows[::-1], batch_size=3)[::-1], expected)


def test_a_tagger_answers_as_its_parts_do() -> None:
    backbone = double_backbone(4)
    prompt = prompt_of(backbone)
    texts = [" ".join(words) for words in SENTENCES]
    found = Tagger(backbone, prompt).tag(texts)
    work = prepare(backbone, [Row(prompt, tuple(word.text for word in split_words(text))) for text in texts])
    for text, entities, spans in zip(texts, found, finish(work, infer(backbone, work)), strict=True):
        words = split_words(text)
        expected = [(words[span.start].start, words[span.end - 1].end, span.label) for span, _ in spans]
        assert [(entity.start, entity.end, entity.label) for entity in entities] == expected


def test_a_tagger_takes_strings_and_lists_of_words_from_any_iterable() -> None:
    backbone = double_backbone(4)
    tagger = Tagger(backbone, prompt_of(backbone))
    words = ["ada", "lives", "in", "new york"]
    series = pandas.Series(["mary of rome", words, "emil"], index=[3, 2, 1])
    found = tagger.tag(series)
    assert found == tagger.tag(each for each in series)
    for text, entities in zip(("mary of rome", tuple(words), "emil"), found, strict=True):
        expected = tag_texts(backbone, [(tagger.prompt, text)])[0].entities
        assert [replace(each, score=0) for each in entities] == [replace(each, score=0) for each in expected]
    assert any(found)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ("ada lives", "texts: found the string 'ada lives', expected a list of texts"),
        (pandas.DataFrame({"text": ["ada"]}), "texts: found a DataFrame, expected a list of texts"),
        (["ada", math.nan], r"texts\[1\]: found nan \(float\), expected a string or a list of words"),
    ],
)
def test_a_tagger_names_a_value_that_is_not_a_text_and_its_place(texts: Any, said: str) -> None:
    backbone = tiny_backbone()
    with pytest.raises(InputError, match=said):
        Tagger(backbone, prompt_of(backbone)).tag(texts)


def test_a_loaded_tagger_answers_as_the_prompt_that_was_saved(tmp_path: Path) -> None:
    plain = tiny_backbone()
    plain.model.save_pretrained(tmp_path / "backbone")
    plain.tokenizer.save_pretrained(tmp_path / "backbone")
    backbone = load(str(tmp_path / "backbone"))
    assert backbone.fingerprint == plain.fingerprint
    saved = tiny_artifact(backbone)
    artifact.save(saved, tmp_path / "prompt")
    loaded = Tagger.load(tmp_path / "prompt", backbone=str(tmp_path / "backbone"))
    assert loaded.tag([LONG, "ada"]) == Tagger(backbone, prompt_for(saved, backbone)).tag([LONG, "ada"])
    assert any(loaded.tag([LONG, "ada"]))
    artifact.save(tiny_artifact(tiny_backbone(1)), tmp_path / "other")
    with pytest.raises(InputError, match=rf"found backbone .*{plain.fingerprint}.*expected 'tiny-bart-1'"):
        Tagger.load(tmp_path / "other", backbone=str(tmp_path / "backbone"))


def test_a_prompt_of_an_earlier_embedded_backbone_names_its_wheel_and_the_way_out() -> None:
    backbone, old = tiny_backbone(), tiny_artifact(tiny_backbone(1))
    card = replace(old.card, backbone_name=EMBEDDED, versions={DISTRIBUTION: "0.1.0"})
    said = r"expected 'embedded of lightner-ray 0.1.0' .*: tune the domain again, or give .*docs/upgrading\.md"
    with pytest.raises(InputError, match=said):
        prompt_for(PromptArtifact(card, old.tensors), backbone)


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


def test_a_tagger_of_label_names_needs_no_tuning(tmp_path: Path) -> None:
    tiny = tiny_backbone()
    tiny.model.save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    texts = [" ".join(words) for words in SENTENCES]
    tagger = Tagger.from_labels(["person", "place"], backbone=str(tmp_path))
    expected = tag_texts(tiny, [(label_prompt(tiny, LabelSet.of(["person", "place"])), text) for text in texts])
    assert tagger.tag(texts) == [list(tagged.entities) for tagged in expected]
    assert sum(map(len, tagger.tag(texts))) > 0
    described = Tagger.from_labels({"person": "who lives in a city", "place": ["city"]}, backbone=str(tmp_path))
    assert described.prompt.labels.words == (("who", "lives", "in", "a", "city"), ("city",))
    with pytest.raises(InputError, match="found the name ' place'"):
        Tagger.from_labels(["person", " place"], backbone=str(tmp_path / "is not looked at"))
