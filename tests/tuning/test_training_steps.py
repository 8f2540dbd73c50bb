"""What a step of training sees: its batch, each worker's share of it, what is dropped, its precision."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from lightner.model.backbone import Backbone, computes_in_bf16
from lightner.tuning.rules import Plan
from lightner.tuning.training import Worker, _batches, fit
from lightner.types import Sentence
from tests.support.eight import EIGHT, LABELS, SHORT
from tests.support.tiny import tiny_backbone


def dropped_share(backbone: Backbone) -> float:
    """The current share of a block's output that is dropped."""
    layer = backbone.model.get_encoder().layers[0].self_attn.out_proj
    with torch.random.fork_rng(), torch.no_grad():
        return float((layer(torch.randn(500, layer.in_features)) == 0).float().mean())


class Watched(nn.Module):
    """A module that records the input of each step, and the state of the backbone at that time."""

    def __init__(self, module: nn.Module, backbone: Backbone) -> None:
        super().__init__()
        self.module, self.backbone = module, backbone
        self.batches: list[tuple[Sentence, ...]] = []
        self.shares: list[float] = []
        self.autocast: list[bool] = []

    def forward(self, sentences: Sequence[Sentence], examples: Sequence[object]) -> Tensor:
        self.batches.append(tuple(sentences))
        self.shares.append(dropped_share(self.backbone))
        self.autocast.append(torch.is_autocast_enabled("cpu"))
        loss: Tensor = self.module(sentences, examples)
        return loss


def watched_fit(backbone: Backbone, chosen: Plan, worker: Worker | None = None) -> Watched:
    found: list[Watched] = []

    def wrap(module: nn.Module) -> nn.Module:
        found.append(Watched(module, backbone))
        return found[0]

    place = worker or Worker()
    fit(backbone, LABELS, EIGHT, (), chosen, worker=Worker(place.rank, place.count, wrap))
    return found[0]


def test_every_pass_takes_each_sentence_once_in_a_new_order() -> None:
    watched = watched_fit(tiny_backbone(), SHORT)
    assert [len(batch) for batch in watched.batches] == [3, 5] * 6
    passes = [sum(watched.batches[start : start + 2], ()) for start in range(0, 12, 2)]
    assert all(set(one) == set(EIGHT) for one in passes)
    assert len(set(passes)) == 6


def shuffled_anew_at_every_step(count: int, chosen: Plan, begin: int, end: int) -> Iterator[tuple[int, list[int]]]:
    """The batches by definition: the order of the step's pass, computed anew for each step."""
    size = min(chosen.batch_size, count)
    per_pass = count // size
    for step in range(begin + 1, end + 1):
        passed, within = divmod(step - 1, per_pass)
        order = list(range(count))
        random.Random(f"{chosen.seed}-{passed}").shuffle(order)
        yield step, order[within * size : count if within == per_pass - 1 else (within + 1) * size]


@pytest.mark.parametrize(("count", "size"), [(8, 3), (8, 8), (8, 20), (9, 3), (7, 1), (1, 4)])
def test_batches_are_those_of_an_order_made_anew_at_every_step(count: int, size: int) -> None:
    train = [EIGHT[number % 8] for number in range(count)]
    for seed in (0, 5):
        chosen = replace(SHORT, batch_size=size, seed=seed)
        for begin in range(20):  # a run that is resumed at any step, also inside a pass
            for end in (begin - 1, begin, begin + 1, 19):
                expected = list(shuffled_anew_at_every_step(count, chosen, begin, end))
                assert list(_batches(train, chosen, begin, end)) == expected


def test_a_pass_is_shuffled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    shuffled: list[int] = []
    shuffle = random.Random.shuffle

    def counted(self: random.Random, order: list[int]) -> None:
        shuffled.append(len(order))
        shuffle(self, order)

    monkeypatch.setattr(random.Random, "shuffle", counted)
    assert len(list(_batches(EIGHT, replace(SHORT, batch_size=2), 2, 11))) == 9
    assert shuffled == [8, 8, 8], "steps 3 to 11 are in three passes of four steps"


def test_workers_share_each_batch_of_one_worker() -> None:
    alone = watched_fit(tiny_backbone(), SHORT).batches
    shares = [watched_fit(tiny_backbone(), SHORT, Worker(rank=rank, count=2)).batches for rank in range(2)]
    for batch, first, second in zip(alone, *shares, strict=True):
        assert (first, second) == (batch[::2], batch[1::2])


def test_the_backbone_drops_the_plans_share_in_training_steps_only() -> None:
    backbone = tiny_backbone()
    assert watched_fit(backbone, replace(SHORT, dropout=0.25)).shares == pytest.approx([0.25] * 12, abs=0.05)
    assert watched_fit(backbone, replace(SHORT, dropout=0.0)).shares == [0.0] * 12
    assert dropped_share(backbone) == 0.0


@pytest.mark.skipif(not computes_in_bf16(torch.device("cpu")), reason="this processor does not compute in bfloat16")
def test_steps_compute_in_bf16_where_the_plan_lets_them_and_learn_in_fp32() -> None:
    for allowed in (True, False):
        seen = watched_fit(tiny_backbone(), replace(SHORT, bf16=allowed))
        assert seen.autocast == [allowed] * 12
        assert {parameter.dtype for parameter in seen.parameters()} == {torch.float32}


@pytest.mark.parametrize(("dropout", "different"), [(0.2, 4), (0.0, 1)])
def test_each_step_drops_something_else(dropout: float, different: int) -> None:
    losses: list[float] = []
    chosen = replace(SHORT, steps=4, rounds=4, learning_rate=0.0, dropout=dropout)
    fit(tiny_backbone(), LABELS, EIGHT[:1], (), chosen, on_round=lambda done, _: losses.append(done.loss))
    assert len(set(losses)) == different


def test_a_failing_step_leaves_the_backbone_as_it_was() -> None:
    class Failing(nn.Module):
        def forward(self, *_: object) -> Tensor:
            raise RuntimeError("no memory")

    backbone = tiny_backbone()
    with pytest.raises(RuntimeError, match="no memory"):
        fit(backbone, LABELS, EIGHT, (), SHORT, worker=Worker(wrap=lambda _: Failing()))
    assert dropped_share(backbone) == 0.0
