"""The ablations change what they say, and nothing else."""

from __future__ import annotations

import pytest
import torch

from benchmarks import ablations
from benchmarks.ablations import WAYS, Way, Without
from lightner.data.formats import labels_of
from lightner.tuning import rules
from lightner.tuning.training import Tuning
from lightner.types import LabelSet
from tests.support.eight import EIGHT
from tests.support.tiny import tiny_backbone

STEPS = {"steps": 16, "rounds": 2}


def test_sites_are_left_out_of_what_is_learned_and_of_what_is_folded() -> None:
    plan = rules.plan(EIGHT, prompt_length=2, learning_rate=0.01, pins=STEPS)
    run = Tuning(tiny_backbone(), LabelSet.of(labels_of(EIGHT)), EIGHT, (), plan)
    whole = run.tuned.prompt
    run.tuned.prompt = Without(whole, ("encoder", "cross"))
    before = {name: parameter.clone() for name, parameter in whole.named_parameters()}
    for _ in run.rounds():
        pass
    guidance = run.tuned.fold().guidance
    assert guidance.key.keys() == guidance.value.keys() == {"decoder"}
    assert guidance.slot_key.keys() == {"encoder", "decoder"}
    same = {name for name, parameter in whole.named_parameters() if torch.equal(parameter, before[name])}
    assert same == {"embedding.encoder", "embedding.cross"}


@pytest.mark.parametrize(("fixed", "moved"), [(("weights",), "residual"), (("residual",), "weights")])
def test_what_is_fixed_stays_and_the_rest_learns(fixed: tuple[str, ...], moved: str) -> None:
    made: list[Tuning] = []

    class Kept(Tuning):
        def __init__(self, *given: object) -> None:
            super().__init__(*given)  # type: ignore[arg-type]
            made.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ablations, "Tuning", Kept)
        ablations.measure(tiny_backbone(), EIGHT, EIGHT, Way(STEPS, fixed=fixed), seed=0)
    [run] = made
    assert not getattr(run.tuned.verbalizer, fixed[0]).any()
    if moved == "residual":  # labels of one piece have nothing to weigh
        assert getattr(run.tuned.verbalizer, moved).any()


def test_nonsense_keeps_the_names_and_changes_the_words() -> None:
    plain = ablations.labels_for(EIGHT, nonsense=False)
    nonsense = ablations.labels_for(EIGHT, nonsense=True)
    assert nonsense.names == plain.names
    assert not {*nonsense.words} & {*plain.words}


def test_every_way_is_a_plan_that_the_rules_accept() -> None:
    for way in WAYS.values():
        rules.plan(EIGHT, prompt_length=8, learning_rate=0.01, pins=way.pins)


def test_means_are_over_seeds_and_then_over_sets() -> None:
    runs = [
        {"name": "a", "way": "w", "seed": 0, "f1": 50.0},
        {"name": "a", "way": "w", "seed": 1, "f1": 60.0},
        {"name": "b", "way": "w", "seed": 0, "f1": 70.0},
    ]
    assert ablations.means(runs) == {"w": {"a": 55.0, "b": 70.0, "all": 62.5}}
