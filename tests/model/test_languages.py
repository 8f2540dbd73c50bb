"""Multilingual backbones: texts are marked with their language, and words written without spaces can be told apart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import MBart50Tokenizer, MBartTokenizer

import lightner
from lightner.jobs.command import backbone_name
from lightner.model.backbone import Backbone, load
from lightner.model.batching import encode
from lightner.model.label_states import label_states
from lightner.model.languages import languages_of, special_tokens, split_language
from lightner.model.verbalizer import label_pieces
from lightner.model.vocabulary import coverage
from lightner.store import artifact as artifacts
from lightner.store.card import Card
from lightner.store.loading import artifact_of
from lightner.tagger import Tagger
from lightner.tuning.rules import plan
from lightner.tuning.training import fit, folded_tensors
from lightner.types import InputError, LabelSet, Sentence, Span
from lightner.words import split_words
from tests.support import multilingual
from tests.support.tiny import save, tiny_backbone

LABELS = LabelSet.of(["人", "地点", "食物"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("mbart")
    multilingual.save(path)
    return str(path)


def ids(backbone: Backbone, *tokens: str) -> list[int]:
    return [backbone.tokenizer.convert_tokens_to_ids(token) for token in tokens]


def tokens(backbone: Backbone, text: str) -> list[str]:
    [example] = encode(backbone.tokenizer, [[word.text for word in split_words(text)]])
    found: list[str] = backbone.tokenizer.convert_ids_to_tokens(list(example.pieces))
    return found


def test_the_language_of_a_name_comes_after_its_last_colon(folder: str, tmp_path: Path) -> None:
    assert split_language("facebook/mbart-large-50:zh_CN") == ("facebook/mbart-large-50", "zh_CN")
    assert split_language("facebook/bart-base") == ("facebook/bart-base", None)
    assert split_language(f"{folder}:ja_XX") == (folder, "ja_XX")
    (tmp_path / "a:b").mkdir()
    assert split_language(str(tmp_path / "a:b")) == (str(tmp_path / "a:b"), None)


def test_workers_get_the_absolute_folder_with_its_language(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(folder).parent)
    assert backbone_name(f"{Path(folder).name}:zh_CN") == f"{folder}:zh_CN"
    assert backbone_name(Path(folder).name) == folder
    assert backbone_name("facebook/mbart-large-50:zh_CN") == "facebook/mbart-large-50:zh_CN"
    assert backbone_name(None) is None


def test_texts_end_with_the_token_of_the_language_and_the_decoder_begins_with_it(folder: str) -> None:
    for language in ("zh_CN", "ja_XX"):
        backbone = load(f"{folder}:{language}")
        assert backbone.name == f"{folder}:{language}"
        assert special_tokens(backbone.tokenizer) == ([], ids(backbone, "</s>", language))
        assert [backbone.model.config.decoder_start_token_id] == ids(backbone, language)


def test_without_a_language_it_is_that_of_the_tokenizer(folder: str) -> None:
    default, english = load(folder), load(f"{folder}:en_XX")
    assert special_tokens(default.tokenizer) == ([], ids(default, "</s>", "en_XX"))
    assert [default.model.config.decoder_start_token_id] == ids(default, "en_XX")
    assert english.fingerprint == default.fingerprint
    assert load(f"{folder}:zh_CN").fingerprint != default.fingerprint


def test_a_tokenizer_saved_with_a_language_keeps_it(folder: str, tmp_path: Path) -> None:
    chosen = load(f"{folder}:ja_XX")
    multilingual.save(tmp_path)
    chosen.tokenizer.save_pretrained(tmp_path)
    assert load(str(tmp_path)).fingerprint == chosen.fingerprint


def test_a_start_of_the_decoder_that_is_no_language_stays(tmp_path: Path) -> None:
    multilingual.save(tmp_path, kind=MBart50Tokenizer)
    backbone = load(f"{tmp_path}:zh_CN")
    assert special_tokens(backbone.tokenizer) == (ids(backbone, "zh_CN"), ids(backbone, "</s>"))
    assert backbone.model.config.decoder_start_token_id == backbone.tokenizer.eos_token_id


def test_an_unknown_language_is_refused_with_those_that_there_are(folder: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found language 'zh', expected one of \['ar_AR', .*'en_XX', .*'zh_CN'\]"):
        load(f"{folder}:zh")
    tiny = tiny_backbone()
    save(tiny, tmp_path)
    with pytest.raises(InputError, match="found language 'zh_CN', expected none: its tokenizer marks no languages"):
        load(f"{tmp_path}:zh_CN")


def test_a_model_that_does_not_say_where_its_decoder_begins_is_refused(tmp_path: Path) -> None:
    tiny = tiny_backbone()
    save(tiny, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "decoder_start_token_id": None}))
    with pytest.raises(InputError, match="found no decoder_start_token_id in the model's settings"):
        load(str(tmp_path))


def test_words_written_without_spaces_have_a_sub_word_of_their_own(folder: str) -> None:
    backbone = load(f"{folder}:zh_CN")
    assert tokens(backbone, "我在北京。") == ["我", "在", "北", "京", "。", "</s>", "zh_CN"]
    assert tokens(backbone, "タワーに ada") == ["タ", "ワ", "ー", "に", "\u2581ada", "</s>", "zh_CN"]
    assert tokens(backbone, "ada zz") == ["\u2581ada", "\u2581", "z", "z", "</s>", "zh_CN"]
    [example] = encode(backbone.tokenizer, [["北京", "ada", "我"]])
    assert [backbone.tokenizer.convert_ids_to_tokens(example.pieces[at]) for at in example.word_first] == [
        "北", "\u2581ada", "我",
    ]  # fmt: skip
    assert coverage(backbone.tokenizer, [("我", "在", "龘")]).words == ("龘",)
    assert coverage(backbone.tokenizer, [("我", "在")]).pieces == 2


def test_label_words_are_read_as_texts_of_the_language(folder: str) -> None:
    backbone = load(f"{folder}:zh_CN")
    pieces = label_pieces(backbone.tokenizer, LabelSet.of(["面包", "北"]))
    assert [[backbone.tokenizer.convert_ids_to_tokens(each) for each in row] for row in pieces.ids.tolist()] == [
        ["北", "<unk>"], ["面", "包"],
    ]  # fmt: skip
    found = label_states(backbone, pieces)
    text = torch.tensor([[*ids(backbone, "面", "包"), *special_tokens(backbone.tokenizer)[1]]])
    with torch.no_grad():
        hidden = backbone.model.get_encoder()(input_ids=text).last_hidden_state[0, :2]
    torch.testing.assert_close(found.pieces[1], (hidden + backbone.embedding[text[0, :2]]) / 2)


SENTENCES = (
    ("我住在北京。", ("我", "人"), ("北京", "地点")),
    ("他去上海", ("他", "人"), ("上海", "地点")),
    ("她喜欢面包和汤", ("她", "人"), ("面包", "食物"), ("汤", "食物")),
    ("你吃汤！", ("你", "人"), ("汤", "食物")),
    ("东京是上海的", ("东京", "地点"), ("上海", "地点")),
    ("喜欢的面包", ("面包", "食物")),
)


def labelled(text: str, *found: tuple[str, str]) -> Sentence:
    words = split_words(text)
    starts = {word.start: number for number, word in enumerate(words)}
    spans = [Span(starts[text.index(part)], starts[text.index(part)] + len(part), label) for part, label in found]
    return Sentence(tuple(word.text for word in words), tuple(spans), text=text)


@pytest.mark.parametrize("kind", [MBartTokenizer, MBart50Tokenizer])
def test_chinese_is_learned_and_found_again_with_exact_offsets(
    kind: type[MBartTokenizer] | type[MBart50Tokenizer], tmp_path: Path
) -> None:
    multilingual.save(tmp_path / "base", kind=kind)
    backbone = load(f"{tmp_path / 'base'}:zh_CN")
    train = [labelled(*each) for each in SENTENCES]
    chosen = plan(train, prompt_length=4, learning_rate=5e-2)
    tuned = fit(backbone, LABELS, train, (), replace(chosen, batch_size=6, steps=80, rounds=1, dropout=0.0))
    card = Card("places", LABELS.names, LABELS.words, backbone.name, backbone.fingerprint,
                tuned.prompt.fold().length, tuned.prompt.fold().slots)  # fmt: skip
    artifacts.save(artifact_of(card, folded_tensors(tuned)), tmp_path / "prompt")
    tagger = Tagger.load(tmp_path / "prompt", backbone=backbone.name)
    for (text, *expected), found in zip(SENTENCES, tagger.tag([text for text, *_ in SENTENCES]), strict=True):
        assert [(entity.text, entity.label) for entity in found] == expected, text
        assert [text[entity.start : entity.end] for entity in found] == [entity.text for entity in found]
    [given] = tagger.tag([("他", "去", "上海")])  # words of several characters stay as they are given
    assert [(each.text, each.label, each.start_word, each.end_word) for each in given] == [
        ("他", "人", 0, 1), ("上海", "地点", 2, 3),
    ]  # fmt: skip
    with pytest.raises(InputError, match=f"expected '{backbone.name}'"):
        lightner.load(tmp_path / "prompt", backbone=f"{tmp_path / 'base'}:ja_XX")


def test_only_multilingual_tokenizers_have_languages(folder: str) -> None:
    assert languages_of(tiny_backbone().tokenizer) == {}
    backbone = load(f"{folder}:ja_XX")
    known = languages_of(backbone.tokenizer)
    assert [known[code] for code in ("en_XX", "ja_XX", "zh_CN")] == ids(backbone, "en_XX", "ja_XX", "zh_CN")
