"""Prompt tuning: trained and frozen parameters, and the same result however a run is interrupted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.multiprocessing
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel

from lightner.data.formats import read
from lightner.evaluation.scoring import evaluate
from lightner.model.backbone import Backbone
from lightner.model.batching import encode
from lightner.tagger import tag_texts
from lightner.tuning.training import PromptModel, Round, Saver, Worker, fit, folded_tensors, learned_reach
from lightner.types import InputError, LabelSet, Reach, Sentence, Span
from tests.support.eight import EIGHT, LABELS, SHORT, sentence
from tests.support.mixed import double_backbone
from tests.support.tiny import tiny_backbone

LONG = sentence(" ".join(["ada"] * 200))


@pytest.fixture
def in_float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def digest(backbone: Backbone) -> str:
    found = hashlib.sha256()
    for name, tensor in sorted(backbone.model.state_dict().items()):
        found.update(name.encode() + tensor.numpy().tobytes())
    return found.hexdigest()


def parameters(tuned: PromptModel) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in tuned.named_parameters()}


def assert_equal(first: PromptModel, second: PromptModel) -> None:
    left, right = parameters(first), parameters(second)
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_backbone_gets_no_gradient_and_stays_bit_for_bit(dropout: float) -> None:
    backbone = tiny_backbone()
    before = digest(backbone)
    fit(backbone, LABELS, EIGHT, EIGHT[:2], replace(SHORT, dropout=dropout))
    assert digest(backbone) == before
    for parameter in backbone.model.parameters():
        assert parameter.grad is None
        assert not parameter.requires_grad
    assert not any(module.training for module in backbone.model.modules())


@pytest.mark.parametrize("slots", [0, 3])
def test_exactly_the_prompt_and_the_label_weights_learn(slots: int) -> None:
    backbone = tiny_backbone()
    chosen = replace(SHORT, feed_forward_slots=slots)
    begin = parameters(PromptModel(backbone, LABELS, chosen))
    tuned = fit(backbone, LABELS, EIGHT, (), chosen)
    names = {"verbalizer.weights", "verbalizer.residual"}
    for site in ("encoder", "decoder", "cross"):
        project = [f"prompt.project.{site}.{layer}.{part}" for layer in (0, 2) for part in ("weight", "bias")]
        names |= {f"prompt.embedding.{site}", *project}
    if slots:
        names |= {f"prompt.{kind}.{stack}" for kind in ("slot_key", "slot_value") for stack in ("encoder", "decoder")}
    assert {name for name, parameter in tuned.named_parameters() if parameter.requires_grad} == names
    assert set(parameters(tuned)) == names
    assert [name for name, tensor in parameters(tuned).items() if torch.equal(tensor, begin[name])] == []


def test_eight_sentences_are_memorised() -> None:
    backbone = tiny_backbone()
    chosen = replace(SHORT, learning_rate=3e-2, batch_size=8, steps=60, rounds=2, feed_forward_slots=0, dropout=0.0)
    fresh = PromptModel(backbone, LABELS, chosen)
    assert evaluate(backbone, fresh.fold(), EIGHT).micro.f1 < 0.5
    tuned = fit(backbone, LABELS, EIGHT, (), chosen)
    assert evaluate(backbone, tuned.fold(), EIGHT).micro.f1 == 1.0


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    rounds: list[Round] = []

    def keep(done: Round, save: Saver) -> None:
        rounds.append(done)
        if done.epoch == 2:
            save(tmp_path / "state")

    whole = fit(tiny_backbone(), LABELS, EIGHT, EIGHT, SHORT, on_round=keep)
    torch.rand(7)
    after: list[Round] = []
    again = fit(
        tiny_backbone(),
        LABELS,
        EIGHT,
        EIGHT,
        SHORT,
        resume=tmp_path / "state",
        on_round=lambda done, _: after.append(done),
    )
    assert_equal(again, whole)
    assert [done.epoch for done in after] == [3, 4]
    assert after == rounds[2:]


def test_a_state_of_another_plan_is_refused(tmp_path: Path) -> None:
    def keep(done: Round, save: Saver) -> None:
        save(tmp_path / "state")

    backbone = tiny_backbone()
    fit(backbone, LABELS, EIGHT, (), replace(SHORT, steps=1, rounds=1), on_round=keep)
    other = replace(SHORT, feed_forward_slots=0)
    with pytest.raises(InputError, match=r"checkpoint .*state: found .*slot_key.*expected the parameters of this plan"):
        fit(backbone, LABELS, EIGHT, (), other, resume=tmp_path / "state")


def test_a_run_starts_from_the_prompt_it_is_given() -> None:
    backbone = tiny_backbone()
    few = LabelSet.of(["person", "place"])
    source = fit(backbone, few, [EIGHT[3]], (), replace(SHORT, steps=8)).fold()
    begun = fit(backbone, LABELS, EIGHT, (), replace(SHORT, steps=0), source=source).fold()
    assert begun.guidance.length == len(LABELS) + 2
    for name, tensor in source.guidance.tensors().items():
        kept = begun.guidance.tensors()[name]
        assert torch.equal(kept[..., -2:, :], tensor[..., -2:, :]), name
    learned = fit(backbone, LABELS, EIGHT, (), SHORT, source=source).fold()
    assert not torch.equal(learned.guidance.key["encoder"], begun.guidance.key["encoder"])


def test_the_same_seed_gives_the_same_prompt_and_another_seed_another() -> None:
    first = fit(tiny_backbone(), LABELS, EIGHT, (), SHORT)
    torch.manual_seed(99)
    torch.rand(3)
    assert_equal(fit(tiny_backbone(), LABELS, EIGHT, (), SHORT), first)
    other = parameters(fit(tiny_backbone(), LABELS, EIGHT, (), replace(SHORT, seed=1)))
    assert all(not torch.equal(other[name], tensor) for name, tensor in parameters(first).items())


@pytest.mark.parametrize(("steps", "rounds"), [(12, 4), (11, 4), (5, 5), (7, 1)])
def test_a_run_reports_as_many_rounds_as_planned_the_last_after_the_last_step(steps: int, rounds: int) -> None:
    found: list[Round] = []
    chosen = replace(SHORT, steps=steps, rounds=rounds)
    fit(tiny_backbone(), LABELS, EIGHT, (), chosen, on_round=lambda done, _: found.append(done))
    assert [done.epoch for done in found] == list(range(1, rounds + 1))
    assert found[-1].step == steps
    assert all(done.scores is None and done.loss > 0 for done in found)


def test_a_rounds_scores_are_those_of_its_prompt_on_the_development_sentences() -> None:
    found: list[Round] = []
    backbone = tiny_backbone()
    tuned = fit(backbone, LABELS, EIGHT, EIGHT[:5], SHORT, on_round=lambda done, _: found.append(done))
    assert found[-1].scores == evaluate(backbone, tuned.fold(), EIGHT[:5])
    assert set(found[-1].scores.types if found[-1].scores else ()) == set(LABELS.names)


def summed_loss(tuned: PromptModel, one: Sentence) -> Tensor:
    loss: Tensor = tuned([one], encode(tuned.backbone.tokenizer, [one.words])).detach()
    return loss


def test_the_loss_of_a_step_is_the_mean_over_the_steps_of_the_whole_batch(in_float64: None) -> None:
    chosen = replace(SHORT, steps=1, rounds=1, batch_size=8, learning_rate=0.0, dropout=0.0)
    found: list[Round] = []
    tuned = fit(double_backbone(), LABELS, EIGHT, (), chosen, on_round=lambda done, _: found.append(done))
    alone = [float(summed_loss(tuned, one)) for one in EIGHT]
    assert found[0].loss == pytest.approx(sum(alone) / sum(3 * len(one.spans) + 1 for one in EIGHT), rel=1e-10)


PLANS = (replace(SHORT, dropout=0.0, steps=6), replace(SHORT, dropout=0.0, steps=4, batch_size=1))


def train_as_worker(rank: int, folder: str) -> None:
    """One of two gloo processes; leaves its parameters in `folder`."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2, timeout=timedelta(seconds=120)
    )
    for number, chosen in enumerate(PLANS):
        worker = Worker(rank, 2, DistributedDataParallel)
        tuned = fit(double_backbone(), LABELS, EIGHT, (), chosen, worker=worker)
        save_file(parameters(tuned), f"{folder}/{number}-{rank}.safetensors")
    distributed.destroy_process_group()


def test_two_workers_equal_one(tmp_path: Path, in_float64: None) -> None:
    torch.multiprocessing.spawn(train_as_worker, args=(str(tmp_path),), nprocs=2)  # type: ignore[attr-defined, no-untyped-call]
    for number, chosen in enumerate(PLANS):
        alone = parameters(fit(double_backbone(), LABELS, EIGHT, (), chosen))
        first, second = (load_file(tmp_path / f"{number}-{rank}.safetensors") for rank in range(2))
        for name, tensor in alone.items():
            assert torch.equal(first[name], second[name]), name
            torch.testing.assert_close(first[name], tensor, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (LONG, r"sentence 'ada ada .*found 202 sub-words, expected at most the 128 that backbone 'tiny-bart-0' reads"),
        (
            sentence(" ".join(["ada"] * 60), *((n, n + 1, "person") for n in range(45))),
            r"found 45 entities \(136 steps\), expected at most the 128",
        ),
        (sentence("ada of rome", (0, 2, "person"), (1, 3, "place")), r"sentence 'ada of rome'.*lie within one another"),
        (sentence("ada of rome", (0, 1, "city")), r"sentence 'ada of rome'.*found label 'city', expected one of"),
        (sentence(""), r"sentence 8: found no words"),
    ],
    ids=["too long", "too many entities", "crossing entities", "unknown label", "no words"],
)
def test_a_sentence_that_cannot_be_learned_is_refused_before_training(wrong: Sentence, message: str) -> None:
    rounds: list[Round] = []
    with pytest.raises(InputError, match=message):
        fit(tiny_backbone(), LABELS, [*EIGHT, wrong], (), SHORT, on_round=lambda done, _: rounds.append(done))
    assert rounds == []


def test_training_without_sentences_or_labels_is_refused() -> None:
    with pytest.raises(InputError, match="found 0 sentences and 4 labels"):
        fit(tiny_backbone(), LABELS, (), (), SHORT)
    with pytest.raises(InputError, match="found 1 sentences and 0 labels"):
        fit(tiny_backbone(), LabelSet((), ()), EIGHT[5:6], (), SHORT)


def test_long_development_sentences_are_read_in_windows() -> None:
    long = replace(LONG, spans=(Span(150, 151, "person"),))
    backbone = tiny_backbone()
    scores = evaluate(backbone, PromptModel(backbone, LABELS, SHORT).fold(), [long, EIGHT[0]])
    assert scores.types["person"].gold == 2


def test_the_artefacts_tensors_are_the_folded_prompt_and_the_answer_space() -> None:
    tuned = fit(tiny_backbone(), LABELS, EIGHT, (), SHORT)
    tensors = folded_tensors(tuned)
    guidance = tuned.fold().guidance
    answer_space = {"weights": tuned.verbalizer.weights, "residual": tuned.verbalizer.residual}
    answer_space["vectors"] = tuned.fold().label_vectors
    assert set(tensors) == {*guidance.tensors(), *(f"verbalizer.{name}" for name in answer_space)}
    for name, tensor in answer_space.items():
        assert torch.equal(tensors[f"verbalizer.{name}"], tensor.detach())
    for name, tensor in guidance.tensors().items():
        assert tensors[name].dtype == torch.float16
        torch.testing.assert_close(tensors[name].float(), tensor, rtol=1e-3, atol=1e-4)


def test_labels_whose_words_are_equal_are_learned_apart() -> None:
    backbone = tiny_backbone()
    labels = LabelSet.of(["C", "C++"], {"C": ["city"], "C++": ["city"]})
    pairs = [
        Sentence((place, "in", "paris"), (Span(0, 1, "C" if place == "ada" else "C++"),)) for place in ("ada", "emil")
    ]
    tuned = fit(backbone, labels, pairs * 4, (), replace(SHORT, steps=200, dropout=0.0))
    assert evaluate(backbone, tuned.fold(), pairs).micro.f1 == 1.0


def test_entities_learned_on_a_files_words_are_found_in_text() -> None:
    """`v1.2` is one word of a treebank and three of a text."""
    backbone = tiny_backbone()
    labels = LabelSet.of(["version"])
    given = {"v1.2": ("run", "v1.2", "on", "monday"), "v3.4": ("the", "soup", "of", "v3.4"), "v5.6": ("v5.6", "and")}
    places = {code: words.index(code) for code, words in given.items()}
    train = [Sentence(given[code], (Span(place, place + 1, "version"),)) for code, place in places.items()]
    prompt = fit(backbone, labels, train * 3, (), replace(SHORT, steps=200, dropout=0.0)).fold()
    assert evaluate(backbone, prompt, train).micro.f1 == 1.0
    found = tag_texts(backbone, [(prompt, " ".join(words)) for words in given.values()])
    assert [[entity.text for entity in tagged.entities] for tagged in found] == [[code] for code in given]


def test_numbers_and_addresses_of_raw_text_are_no_ends_of_sentences(tmp_path: Path) -> None:
    texts = ["Is Orrinote v3.0.1 on www.orrinote.org?", "Open notes.txt in 4.2.1, please."]
    (tmp_path / "some.jsonl").write_text("".join(json.dumps({"text": text, "spans": []}) + "\n" for text in texts))
    sentences = read(str(tmp_path / "some.jsonl"))
    assert [sentence.text for sentence in sentences] == texts
    assert learned_reach(sentences).sentences == 1
    assert learned_reach([*sentences * 9, *[sentence("Yes . No . Go .")] * 3]).sentences == 3


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [([3, 3, 4], Reach(20, 1, 10)), ([12, 13, 30], Reach(30, 1, 13)), ([300, 400], Reach(120, 1, 120))],
)
def test_a_prompt_reads_as_much_at_once_as_it_learned_from(lengths: list[int], expected: Reach) -> None:
    assert learned_reach([Sentence(("word",) * length) for length in lengths]) == expected
