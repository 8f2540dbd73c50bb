"""Pretraining: what is mixed, what is minimised, and the warm start from BERT weights."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel

from lightner.data.formats import write_conll
from lightner.model import embedded
from lightner.model.backbone import Backbone, prepare
from lightner.model.decoding import Decoded, greedy
from lightner.model.forward import Encoded
from lightner.model.pointers import encode_spans
from lightner.model.prompts import NO_GUIDANCE, Guidance
from lightner.pretraining import convert, loop, mixture, objective
from lightner.pretraining.loop import Report, Settings, pretrain, rate_share, zero_shot_f1
from lightner.tuning.checkpoints import TENSORS
from lightner.tuning.training import Saver
from lightner.types import InputError, LabelSet, Sentence, Span
from tests.support.tiny import tiny_backbone


def sentence(number: int, *, label: str = "PER") -> Sentence:
    return Sentence(("Ana", "met", f"Bob{number}", "in", "Oslo", "."), (Span(0, 1, label), Span(4, 5, "LOC")))


def source(name: str = "news") -> mixture.Source:
    filled = tuple(sentence(number) for number in range(20))
    return mixture.Source(name, filled, (Sentence(("nothing", "here")),), ("LOC", "PER"))


def draws(count: int, seed: int = 0) -> list[mixture.Draw]:
    recipe = mixture.Recipe(batch_size=6, weak_share=0.0)
    none: list[list[tuple[str, ...]]] = []
    stream = mixture.draws([source()], iter(none), None, recipe, random.Random(seed))  # type: ignore[arg-type]
    return list(islice(stream, count))


def test_sets_are_read_by_directory_and_those_left_out_are_not(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_conll(tmp_path / name / "train.conll", [sentence(1), sentence(1), Sentence(("empty",))])
    [found] = mixture.load_sources(tmp_path, leave_out=["two"])
    assert (found.name, len(found.filled), len(found.empty), found.labels) == ("one", 1, 1, ("LOC", "PER"))


def test_no_set_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=str(tmp_path)):
        mixture.load_sources(tmp_path)


def test_every_span_of_a_draw_carries_a_label_of_its_set_and_keeps_its_words() -> None:
    for draw in draws(30):
        for drawn in draw.sentences:
            assert {span.label for span in drawn.spans} <= set(draw.labels.names)
            assert {drawn.words[span.start].title() for span in drawn.spans} <= {"Ana", "Oslo"}


def test_draws_rename_and_drop_labels_but_the_same_seed_draws_the_same() -> None:
    names = {name for draw in draws(40) for name in draw.labels.names}
    assert {"person", "location"} < names
    assert any(len(draw.labels) == 1 for draw in draws(40))
    assert draws(5, seed=3) == draws(5, seed=3)
    assert draws(5, seed=3) != draws(5, seed=4)


def test_some_batches_come_in_lower_case_whole() -> None:
    cases = [{word == word.lower() for each in draw.sentences for word in each.words} for draw in draws(60)]
    assert cases.count({True}) > 5
    assert cases.count({True, False}) > 30


def test_the_rate_warms_up_stays_and_falls_only_at_the_end() -> None:
    settings = Settings(steps=1000, warm_up=100)
    assert rate_share(settings, 50) == 0.5
    assert {rate_share(settings, step) for step in range(100, 501)} == {1.0}
    assert rate_share(settings, 751) == pytest.approx(0.5)
    assert rate_share(settings, 1000) == pytest.approx(1 / 500)
    longer = Settings(steps=2000, warm_up=100)
    assert [rate_share(longer, step) for step in (20, 300, 500)] == [rate_share(settings, s) for s in (20, 300, 500)]


def test_a_checkpoint_of_our_own_is_a_start_with_its_default_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bert_folder(tmp_path)
    monkeypatch.setattr(convert, "MINILM_SHA256", embedded.sha256(folder / "model.safetensors"))
    first = convert.start(folder, decoder_layers=1)
    assert first.default == NO_GUIDANCE
    base = prepare("first", first.model, first.tokenizer)
    default = objective.Pretrainer(base, []).default()
    embedded.save(tmp_path / "made", first.model, first.tokenizer, default, "A card.\n")
    again = convert.start(tmp_path / "made", decoder_layers=5)
    assert again.model.config.decoder_layers == 1
    assert again.tokenizer.get_vocab() == first.tokenizer.get_vocab()
    begun = objective.Pretrainer(prepare("again", again.model, again.tokenizer, default=again.default), ["news"])
    for name, tensor in begun.default().tensors().items():
        assert torch.equal(tensor, default.tensors()[name].half().float()), name
        assert torch.equal(begun.prompts["news"]().tensors()[name], tensor), name


def test_groups_of_raw_sentences_are_of_about_one_length_and_lose_none() -> None:
    words = [tuple("w" * length) for length in range(1, 49)]
    groups = list(islice(mixture.alike(iter(words * 2), size=6, rng=random.Random(0)), 8))
    assert sorted(map(len, (each for group in groups for each in group))) == sorted(map(len, words))
    assert all(len(group[-1]) - len(group[0]) <= 6 for group in groups)


def run(
    settings: Settings, report: Callable[[Report, Saver | None], None], *, resume: Path | None = None
) -> objective.Pretrainer:
    torch.manual_seed(0)
    pretrainer = objective.Pretrainer(tiny_backbone(), ["news"])
    pretrain(
        pretrainer,
        lambda step: iter(draws(60, seed=step)),
        settings,
        wrap=lambda module: module,
        rank=0,
        resume=resume,
        evaluate=lambda: 0.5,
        report=report,
    )
    return pretrainer


def test_the_loss_falls_and_backbone_and_prompts_learn() -> None:
    reports: list[Report] = []
    before = tiny_backbone().model.state_dict()
    made = run(Settings(steps=40, rate=3e-3, report_every=20, evaluate_every=20), lambda line, _: reports.append(line))
    after = made.backbone.model.state_dict()
    assert reports[1].loss < reports[0].loss
    assert [line.step for line in reports] == [20, 40]
    learned = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.startswith("encoder.layers") for name in learned)
    assert any(name.startswith("decoder.layers") for name in learned)
    assert "shared.weight" not in learned


def test_a_run_goes_on_with_the_weights_and_the_moments_of_its_state(tmp_path: Path) -> None:
    reports: list[tuple[int, float | None]] = []

    def keep(line: Report, save: Saver | None) -> None:
        reports.append((line.step, line.zero_shot_f1))
        assert save is not None
        save(tmp_path / str(line.step))

    run(Settings(steps=20, rate=3e-3), keep)
    # A step at no rate: whatever differs afterwards was not taken up.
    again = run(Settings(steps=21, rate=0.0), keep, resume=tmp_path / "20")
    assert reports == [(20, 0.5), (21, 0.5)]
    state, later = (load_file(tmp_path / step / TENSORS) for step in ("20", "21"))
    names = [name for name, parameter in again.named_parameters() if parameter.requires_grad]
    assert {f"weight.{name}" for name in names} == {name for name in state if name.startswith("weight.")}
    for name in names:
        assert torch.equal(again.get_parameter(name), state[f"weight.{name}"]), name
    # AdamW counts the steps of each parameter; some have no part in every draw.
    steps = {name: float(tensor) for name, tensor in state.items() if name.endswith(".step")}
    assert max(steps.values()) == 20
    assert {float(later[name]) - count for name, count in steps.items()} <= {0, 1}


@pytest.mark.parametrize(("answered", "f1"), [(3, 1.0), (1, 0.5), (0, 0.0)])
def test_zero_shot_f1_compares_what_is_decoded_with_the_gold_spans(
    monkeypatch: pytest.MonkeyPatch, answered: int, f1: float
) -> None:
    """The first sentences are answered rightly, the others not at all."""
    labels = LabelSet.of(["PER", "LOC"])
    other = Sentence(("Oslo", "or", "Rome"), (Span(0, 1, "LOC"), Span(2, 3, "LOC")))
    sentences = [sentence(1), sentence(2), other]
    told = iter([each.spans if number < answered else () for number, each in enumerate(sentences)])

    def decoded(backbone: Backbone, encoded: Encoded, guidance: Guidance) -> list[Decoded]:
        rows = len(greedy(backbone, encoded, guidance))
        found = [encode_spans(next(told), labels.names, encoded.space)[:-1] for _ in range(rows)]
        return [Decoded(ids, (0.0,) * len(ids)) for ids in found]

    monkeypatch.setattr(loop, "greedy", decoded)
    pretrainer = objective.Pretrainer(tiny_backbone(), [])
    assert zero_shot_f1(pretrainer, sentences, labels, batch_size=2) == f1


def test_the_warm_start_computes_what_bert_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bert_folder(tmp_path)
    monkeypatch.setattr(convert, "MINILM_SHA256", embedded.sha256(folder / "model.safetensors"))
    model, tokenizer = convert.from_minilm(folder, decoder_layers=1)
    bert = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    ids = tokenizer(["a b c a"], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        theirs = bert(input_ids=ids).last_hidden_state
        ours = model.eval().get_encoder()(input_ids=ids).last_hidden_state
    torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=0)
    state = model.state_dict()
    cross, own = "decoder.layers.0.encoder_attn.k_proj.weight", "decoder.layers.0.self_attn.k_proj.weight"
    assert torch.equal(state[cross], state[own])
    assert torch.equal(state[own], bert.encoder.layer[1].attention.self.key.weight)


def test_other_weights_than_minilm_are_refused_by_hash(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model\.safetensors with sha256 .* expected 53aa51"):
        convert.from_minilm(bert_folder(tmp_path), decoder_layers=1)


def bert_folder(folder: Path) -> Path:
    config = BertConfig(
        vocab_size=12, hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16,
    )  # fmt: skip
    torch.manual_seed(0)
    model = BertModel(config, add_pooling_layer=False)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "model.safetensors")
    config.save_pretrained(folder)
    words = ["[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
