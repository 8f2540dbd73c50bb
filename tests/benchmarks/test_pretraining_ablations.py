"""The ablations of pretraining change what they say, and nothing else."""

from __future__ import annotations

import argparse

import pytest
import torch

from benchmarks import pretraining_ablations as ablations
from benchmarks.pretraining_ablations import WAYS, Way
from lightner.data.formats import write_conll
from lightner.model import backbone, embedded
from lightner.model.untuned import label_prompt
from lightner.types import LabelSet
from tests.support.eight import EIGHT
from tests.support.tiny import tiny_backbone


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> argparse.Namespace:
    """Of a tiny start and one labelled set."""
    folder, start = tmp_path_factory.mktemp("ablations"), tiny_backbone()
    embedded.save(folder / "start", start.model, start.tokenizer, start.default, "tiny")
    (folder / "sets" / "eight").mkdir(parents=True)
    write_conll(folder / "sets" / "eight" / "train.conll", EIGHT)
    return argparse.Namespace(
        start=folder / "start",
        sets=folder / "sets",
        open=None,
        raw=None,
        leave_out=[],
        steps=2,
        rate=0.01,
        folder=folder,
    )


def made(options: argparse.Namespace, name: str, way: Way) -> dict[str, torch.Tensor]:
    ablations.make(options.folder / name, way, options)
    return embedded.load(options.folder / name).model.state_dict()


def test_a_way_ends_with_the_same_weights_again_and_with_others_than_another(options: argparse.Namespace) -> None:
    weights = {
        name: made(options, name.replace(" ", "-"), way)
        for name, way in WAYS.items()
        if way.open_text and way.tuned == Way().tuned
    }
    again = made(options, "again", Way())
    for name, those in weights.items():
        same = all(torch.equal(those[key], again[key]) for key in again)
        assert same == (name == "as shipped"), name


def test_ways_that_differ_in_tuning_alone_share_weights(options: argparse.Namespace) -> None:
    shared = {ablations.weights(WAYS[name], options).fingerprint for name in ("as shipped", "no residual")}
    assert len(shared) == 1
    assert (options.folder / "as-shipped").is_dir()
    assert not (options.folder / "no-residual").exists()


def test_dropout_is_set_in_every_layer() -> None:
    model = tiny_backbone().model
    ablations.set_dropout(model, 0.3)
    shares = {module.dropout for module in model.modules() if isinstance(getattr(module, "dropout", None), float)}
    assert shares == {0.3}


def test_label_vectors_of_embeddings_are_averages_of_embeddings_and_only_inside() -> None:
    base, labels = tiny_backbone(), LabelSet.of(["person"])
    before = label_prompt(base, labels).label_vectors
    with ablations.read_as(Way(embeddings=True)):
        inside = label_prompt(base, labels).label_vectors
    ids = base.tokenizer(" person", add_special_tokens=False)["input_ids"]
    torch.testing.assert_close(inside[0], base.embedding[ids].mean(dim=0))
    assert not torch.equal(before, inside)
    assert torch.equal(label_prompt(base, labels).label_vectors, before)


def test_both_figures_are_measured(options: argparse.Namespace) -> None:
    base = backbone.load(str(options.start))
    found = ablations.measure(base, EIGHT[:4], EIGHT[4:], WAYS["no residual"], 0)
    assert found.keys() == {"f1", "f1_names"}
    runs = [{"way": "a", "f1": 1.0, "f1_names": 2.0}, {"way": "a", "f1": 2.0, "f1_names": 3.0}]
    assert ablations.means(runs) == {"a": {"f1": 1.5, "f1_names": 2.5}}
