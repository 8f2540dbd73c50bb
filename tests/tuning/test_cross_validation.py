"""Cross-validation of a plan: each fold learns as if it were alone, scores are pooled, and a stop loses nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from lightner.evaluation.scoring import evaluate
from lightner.tuning.cross_validation import HISTORY, Fold, History, fold_folder, folds_of, read_history, run_folds
from lightner.tuning.rules import round_end
from lightner.tuning.training import PROMPT, Round, Saver, fit, folded_tensors
from lightner.types import InputError, Scores, Sentence
from tests.support.eight import EIGHT, LABELS, SHORT
from tests.support.tiny import tiny_backbone

FOLDS = folds_of(EIGHT, (), seed=0)


def numbered(count: int) -> list[Sentence]:
    return [Sentence((f"w{number}",)) for number in range(count)]


def validated(folder: Path, *, last: int = SHORT.rounds, resume: Path | None = None) -> tuple[History, Path]:
    """The history of a run on FOLDS, which leaves its states after each round in `folder`."""
    found: list[Round] = []

    def keep(history: History, save: Saver) -> None:
        found.append(history[-1])
        save(folder / str(history[-1].epoch))
        assert read_history(folder / str(history[-1].epoch)) == history

    run_folds(tiny_backbone(), LABELS, FOLDS, SHORT, last=last, resume=resume, on_round=keep)
    return tuple(found), folder / str(found[-1].epoch)


def prompts(state: Path) -> list[dict[str, Tensor]]:
    return [load_file(fold_folder(state, number) / PROMPT) for number in range(len(FOLDS))]


def assert_same(left: list[dict[str, Tensor]], right: list[dict[str, Tensor]]) -> None:
    for one, other in zip(left, right, strict=True):
        assert one.keys() == other.keys()
        assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.mark.parametrize(("sentences", "count", "held"), [(8, 3, 8), (99, 3, 99), (100, 2, 100), (1000, 1, 250)])
def test_every_sentence_is_held_once_until_there_are_enough_for_a_hold_out(
    sentences: int, count: int, held: int
) -> None:
    found = folds_of(numbered(sentences), (), seed=0)
    assert len(found) == count
    measured = [sentence for fold in found for sentence in fold.held]
    assert len(set(measured)) == len(measured) == held
    assert all(set(fold.train) == set(numbered(sentences)) - set(fold.held) for fold in found)


def test_development_sentences_take_the_place_of_folds() -> None:
    assert folds_of(EIGHT[:6], EIGHT[6:], seed=0) == (Fold(EIGHT[:6], EIGHT[6:]),)


def test_folds_may_be_pinned_to_what_the_sentences_allow() -> None:
    assert [len(fold.held) for fold in folds_of(EIGHT, (), seed=0, count=8)] == [1] * 8
    assert [len(fold.held) for fold in folds_of(EIGHT, (), seed=0, count=1)] == [2]
    with pytest.raises(InputError, match="folds: found 9, expected at most 8 of 8 different sentences"):
        folds_of(EIGHT, (), seed=0, count=9)
    with pytest.raises(InputError, match="folds: found 2, expected at most 1 where there are development sentences"):
        folds_of(EIGHT[:6], EIGHT[6:], seed=0, count=2)


def test_two_sentences_are_folded_and_one_cannot_be_measured() -> None:
    assert [len(fold.held) for fold in folds_of(EIGHT[:2], (), seed=0)] == [1, 1]
    with pytest.raises(InputError, match="found 1 different sentences, expected at least 2, or --dev"):
        folds_of([EIGHT[0], EIGHT[0]], (), seed=0)


def test_a_fold_learns_in_turns_what_it_learns_alone_and_scores_are_pooled(tmp_path: Path) -> None:
    history, state = validated(tmp_path)
    assert [done.epoch for done in history] == [1, 2, 3, 4]
    alone = [fit(tiny_backbone(), LABELS, fold.train, (), SHORT) for fold in FOLDS]
    assert_same(prompts(state), [folded_tensors(tuned) for tuned in alone])
    scores = [evaluate(tiny_backbone(), tuned.fold(), fold.held) for tuned, fold in zip(alone, FOLDS, strict=True)]
    assert history[-1].scores == sum(scores, Scores())
    golds = [scores.micro.gold for scores in history[-1].sentences]
    assert golds == [len(s.spans) for fold in FOLDS for s in fold.held]
    assert sum(history[-1].sentences, Scores()).micro == sum(scores, Scores()).micro


def test_folds_resume_after_a_round_as_if_never_stopped(tmp_path: Path) -> None:
    whole, state = validated(tmp_path / "whole")
    rest, resumed = validated(tmp_path / "rest", resume=tmp_path / "whole" / "2")
    assert rest == whole[2:]
    assert_same(prompts(resumed), prompts(state))


def test_a_run_cut_off_at_a_round_is_the_beginning_of_the_whole_run(tmp_path: Path) -> None:
    whole, _ = validated(tmp_path / "whole")
    short, state = validated(tmp_path / "short", last=3)
    assert short == whole[:3]
    assert short[-1].step == round_end(SHORT, 3)
    assert_same(prompts(state), prompts(tmp_path / "whole" / "3"))
    again: list[History] = []
    run_folds(
        tiny_backbone(), LABELS, FOLDS, SHORT, last=3, resume=state, on_round=lambda history, _: again.append(history)
    )
    assert again == [], "it was at its end"


def test_nothing_is_scored_where_nothing_is_held() -> None:
    found: list[History] = []
    plan = replace(SHORT, steps=2, rounds=2)
    run_folds(
        tiny_backbone(), LABELS, [Fold(EIGHT, ())], plan, last=2, on_round=lambda history, _: found.append(history)
    )
    assert [(done.scores, done.sentences) for done in found[-1]] == [(None, ())] * 2


@pytest.mark.parametrize("content", [None, "{", "[{}]", '{"epoch": 1}'])
def test_a_damaged_history_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / HISTORY).write_text(content)
    with pytest.raises(InputError, match=r"checkpoint .*: found no readable history\.json"):
        read_history(tmp_path)


def test_every_predicted_entity_of_the_held_sentences_is_a_guess_that_counts(tmp_path: Path) -> None:
    history, state = validated(tmp_path)
    for done in history:
        assert done.scores is not None
        assert len(done.guesses) == done.scores.micro.predicted
        assert sum(guess.right for guess in done.guesses) == done.scores.micro.true_positives
    assert any(done.guesses for done in history)
    rows = json.loads((state / HISTORY).read_text(encoding="utf-8"))
    earlier = [{name: value for name, value in row.items() if name != "guesses"} for row in rows]
    (state / HISTORY).write_text(json.dumps(earlier), encoding="utf-8")
    assert [done.guesses for done in read_history(state)] == [()] * len(history), "a state of an earlier package"
