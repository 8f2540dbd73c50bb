"""Prompts of label words alone, which are independent of the order of labels, for any number and length."""

from __future__ import annotations

import pytest
import torch

from lightner.labels import label_set
from lightner.model import untuned
from lightner.model.backbone import Backbone
from lightner.model.prompts import Prompt
from lightner.model.starts import untuned_prompt
from lightner.model.untuned import PIECES_AT_ONCE, SPECIAL, STORED, UNTUNED_REACH, label_prompt, reading
from lightner.model.verbalizer import label_pieces, labels_alike
from lightner.tagger import Row, finish, infer, prepare, tag_texts
from lightner.types import InputError, LabelSet
from tests.support.mixed import SENTENCES, domains, double_backbone
from tests.support.tiny import tiny_backbone

TEXTS = (*(" ".join(words) for words in SENTENCES), "Ada came to Rome. " * 40)
FEW = ["person", "place", "food", "time"]


def many(count: int) -> LabelSet:
    return label_set({f"l{number}": f"the {number} of a group" for number in range(count)})


def assert_same(one: Prompt, other: Prompt) -> None:
    assert one.labels == other.labels
    assert one.label_vectors.equal(other.label_vectors)
    tensors = other.guidance.tensors()
    assert all(tensor.equal(tensors[name]) for name, tensor in one.guidance.tensors().items())
    assert one.reach == other.reach


def test_it_is_the_untuned_prompt_in_the_precision_of_published_ones() -> None:
    backbone = tiny_backbone()
    found, whole = label_prompt(backbone, label_set(FEW)), untuned_prompt(backbone, label_set(FEW))
    assert found.label_vectors.equal(whole.label_vectors)
    for name, tensor in whole.guidance.tensors().items():
        assert found.guidance.tensors()[name].equal(tensor.to(STORED).float())
    assert (found.reach, found.labels) == (UNTUNED_REACH, label_set(FEW))


@pytest.mark.parametrize("count", [1, 7, 150])
def test_reading_in_parts_changes_nothing(count: int) -> None:
    backbone, labels = double_backbone(3), many(count)
    found, whole = label_prompt(backbone, labels), untuned_prompt(backbone, labels)
    torch.testing.assert_close(found.label_vectors, whole.label_vectors, rtol=1e-11, atol=1e-11)
    for name, tensor in whole.guidance.tensors().items():
        torch.testing.assert_close(found.guidance.tensors()[name], tensor, rtol=1e-3, atol=1e-4)


def test_parts_are_bounded_and_between_them_others_may_use_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = tiny_backbone()
    labels = label_set({**dict.fromkeys(FEW), "long": "a " * 100})
    read: list[tuple[int, ...]] = []
    real = untuned.label_states

    def noting(base: Backbone, pieces: untuned.LabelPieces) -> untuned.LabelStates:
        read.append(tuple(pieces.ids.shape))
        return real(base, pieces)

    monkeypatch.setattr(untuned, "label_states", noting)
    for each in (labels, many(150)):
        read.clear()
        steps = sum(1 for _ in reading(backbone, each))
        assert steps == len(read) > 1
        assert sum(rows for rows, _ in read) == len(each)
        assert all(rows * width <= PIECES_AT_ONCE or rows == 1 for rows, width in read)


def test_the_order_of_labels_changes_no_answer() -> None:
    backbone = tiny_backbone()
    orders = [FEW, FEW[::-1], [FEW[2], FEW[0], FEW[3], FEW[1]]]
    found = [
        tag_texts(backbone, [(label_prompt(backbone, label_set(names)), text) for text in TEXTS]) for names in orders
    ]
    assert found[0] == found[1] == found[2]
    assert sum(len(tagged.entities) for tagged in found[0]) > 5


def test_rows_of_tuned_and_untuned_prompts_in_one_batch_are_answered_as_each_alone() -> None:
    backbone = double_backbone(3)
    prompts = [*domains(backbone), *(label_prompt(backbone, each) for each in (label_set(FEW), many(150), many(1)))]
    rows = [Row(prompt, words) for words in SENTENCES for prompt in prompts]
    work = prepare(backbone, rows)
    together = finish(work, infer(backbone, work))
    assert sum(map(len, together)) > 10
    for row, found in zip(rows, together, strict=True):
        work = prepare(backbone, [row])
        [alone] = finish(work, infer(backbone, work))
        assert [span for span, _ in found] == [span for span, _ in alone]
        assert [score for _, score in found] == pytest.approx([score for _, score in alone], rel=1e-9)


@pytest.mark.parametrize(
    "names",
    [["Person", "person"], ["C", "C++", "C#"], ["price ($)", "price (€)"], ["人", "物"], ["🍞", "👍"]],
    ids=["case", "signs", "currencies", "Chinese", "emoji"],
)
def test_labels_that_the_backbone_cannot_distinguish_are_named(names: list[str]) -> None:
    backbone = tiny_backbone()
    labels = label_set([*names, "food"])
    assert labels_alike(labels, label_pieces(backbone.tokenizer, labels)) == (tuple(sorted(names)),)
    with pytest.raises(InputError, match="found equal label words for") as caught:
        label_prompt(backbone, labels)
    assert all(repr(name) in str(caught.value) for name in names)
    assert "food" not in str(caught.value)
    described = label_set({name: f"the {number} kind" for number, name in enumerate(names)})
    assert label_prompt(backbone, described).labels == described


def test_a_description_that_the_backbone_cannot_read_at_once_is_refused() -> None:
    backbone = tiny_backbone()
    room = backbone.max_pieces - SPECIAL
    label_prompt(backbone, label_set({"food": ["a"] * room}))
    with pytest.raises(InputError, match=f"label 'food': found label words of {room + 1} sub-words, expected at most"):
        label_prompt(backbone, label_set({"food": ["a"] * (room + 1), "time": None}))
