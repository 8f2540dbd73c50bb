"""Texts to entities: exact offsets, long texts, and answers independent of other texts."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas
import pytest
from tokenizers import processors

from lightner.model.backbone import load
from lightner.model.merging import merge
from lightner.model.untuned import label_prompt
from lightner.store import artifact
from lightner.store.artifact import PromptArtifact
from lightner.store.loading import prompt_for
from lightner.tagger import WINDOW_OVERLAP, Row, ScoredSpans, Tagger, finish, infer, prepare, tag_texts, tag_words
from lightner.types import DISTRIBUTION, EMBEDDED, MOST_WORDS, Entity, InputError, LabelSet, Span
from lightner.words import split_words, windows
from tests.support.mixed import SENTENCES, domains, double_backbone, mixed_rows, prompt_of
from tests.support.tiny import save, tiny_artifact, tiny_backbone, tiny_tokenizer

LONG = " ".join(("ada lives in rome , and emil in oslo .", "the group likes soup of paris on monday !") * 14)


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
    save(plain, tmp_path / "backbone")
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


def test_a_tagger_of_label_names_needs_no_tuning(tmp_path: Path) -> None:
    tiny = tiny_backbone()
    save(tiny, tmp_path)
    texts = [" ".join(words) for words in SENTENCES]
    tagger = Tagger.from_labels(["person", "place"], backbone=str(tmp_path))
    expected = tag_texts(tiny, [(label_prompt(tiny, LabelSet.of(["person", "place"])), text) for text in texts])
    assert tagger.tag(texts) == [list(tagged.entities) for tagged in expected]
    assert sum(map(len, tagger.tag(texts))) > 0
    described = Tagger.from_labels({"person": "who lives in a city", "place": ["city"]}, backbone=str(tmp_path))
    assert described.prompt.labels.words == (("who", "lives", "in", "a", "city"), ("city",))
    with pytest.raises(InputError, match="found the name ' place'"):
        Tagger.from_labels(["person", " place"], backbone=str(tmp_path / "is not looked at"))
