"""Cross-validation of one plan: a tuning run per fold, advanced together, their scores pooled after every round.

Knows no Ray: the caller says where a state is kept and what to do after each round.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from lightner.data.sampling import Sentences, folds, hold_out
from lightner.evaluation.calibration import Guess
from lightner.model.backbone import Backbone
from lightner.model.prompts import Prompt
from lightner.tuning import rules
from lightner.tuning.rules import Plan
from lightner.tuning.training import Round, Saver, Tuning, Worker
from lightner.types import Counts, InputError, LabelSet, Scores, Sentence, Span

HISTORY = "history.json"
History = tuple[Round, ...]
"""The pooled rounds of a run, from the first on."""


@dataclass(frozen=True, slots=True)
class Fold:
    """What one run learns from, and what it is measured on (nothing, if there is nothing to choose)."""

    train: Sentences
    held: Sentences


def folds_of(
    sentences: Sequence[Sentence], dev: Sequence[Sentence], *, seed: int, count: int | None = None
) -> tuple[Fold, ...]:
    """One fold if there are development sentences; else `count`, each sentence held in one. By default the rules'.

    Raises:
        InputError: there are no development sentences and fewer than two different ones to learn from; `count` is more
            than the different sentences, or more than 1 where there are development sentences.
    """
    different = len({sentence.words for sentence in sentences})
    count = rules.scheme(different, dev=bool(dev)).folds if count is None else count
    most = 1 if dev else max(1, different)
    if count > most:
        why = "where there are development sentences" if dev else f"of {different} different sentences"
        raise InputError(f"folds: found {count}, expected at most {most} {why}")
    if dev:
        return (Fold(tuple(sentences), tuple(dev)),)
    if count == 1:
        return (Fold(*hold_out(sentences, fraction=rules.HELD_OUT, seed=seed)),)
    return tuple(Fold(*parts) for parts in folds(sentences, count=count, seed=seed))


def held_in(parts: Sequence[Fold]) -> Sentences:
    """All that a run on these folds is measured on, in the order of its counts."""
    return tuple(sentence for fold in parts for sentence in fold.held)


def measured_on(parts: Sequence[Fold]) -> str:
    """On what a run on these folds is measured, in words."""
    count = len(held_in(parts))
    if len(parts) > 1:
        return f"{count} sentences, each by the one of {len(parts)} folds that did not learn from it"
    return f"{count} sentences that the trial did not learn from"


def trial_plan(whole: Plan, parts: Sequence[Fold], *, of: int) -> Plan:
    """The plan by which the folds of `of` sentences learn, where `whole` is that of the final run."""
    return rules.in_proportion(whole, learned=sum(len(fold.train) for fold in parts) / len(parts), of=of)


def run_folds(
    backbone: Backbone,
    labels: LabelSet,
    parts: Sequence[Fold],
    plan: Plan,
    *,
    last: int,
    worker: Worker | None = None,
    resume: Path | None = None,
    source: Prompt | None = None,
    on_round: Callable[[History, Saver], None] | None = None,
) -> None:
    """Tune a prompt for each fold by `plan` to its round `last`, all in turn round by round, from `resume` on.

    After each round of every fold the caller gets the pooled history, and may save the state of all.
    Raises InputError as `Tuning` does, and for a damaged state.
    """
    history: History = () if resume is None else read_history(resume)
    runs = [
        Tuning(
            backbone,
            labels,
            fold.train,
            fold.held,
            plan,
            worker=worker,
            resume=None if resume is None else fold_folder(resume, number),
            source=source,
        )
        for number, fold in enumerate(parts)
    ]

    def save(folder: Path) -> None:
        for number, run in enumerate(runs):
            run.save(fold_folder(folder, number))
        (folder / HISTORY).write_text(json.dumps([_plain(done) for done in history]), encoding="utf-8")

    for done in zip(*(run.rounds(last) for run in runs), strict=True):
        history = (*history, pool(done))
        if on_round is not None:
            on_round(history, save)


def pool(rounds: Sequence[Round]) -> Round:
    """The same round of every fold as one: counts added, sentences fold after fold, the loss their mean."""
    first = rounds[0]
    assert all((each.epoch, each.step) == (first.epoch, first.step) for each in rounds), "folds out of step"
    scores = [each.scores for each in rounds if each.scores is not None]
    return Round(
        first.epoch,
        first.step,
        sum(each.loss for each in rounds) / len(rounds),
        sum(scores, Scores()) if scores else None,
        tuple(scores for each in rounds for scores in each.sentences),
        tuple(guess for each in rounds for guess in each.guesses),
        tuple(found for each in rounds for found in each.found),
    )


def fold_folder(folder: Path, number: int) -> Path:
    """Where a state in `folder` keeps fold `number`, from 0 on."""
    return folder / f"fold-{number}"


def read_history(folder: Path) -> History:
    """The history in a state that `run_folds` saved. Raises InputError where there is none."""
    try:
        return tuple(_round(row) for row in json.loads((folder / HISTORY).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"checkpoint {folder}: found no readable {HISTORY} ({error}), expected a state written by this package"
        ) from error


def _plain(done: Round) -> dict[str, Any]:
    types = None if done.scores is None else _plain_scores(done.scores)
    sentences = [_plain_scores(each) for each in done.sentences]
    guesses = [astuple(guess) for guess in done.guesses]
    plain = {"epoch": done.epoch, "step": done.step, "loss": done.loss, "types": types, "sentences": sentences}
    found = [[astuple(span) for span in spans] for spans in done.found]
    return {**plain, "guesses": guesses, "found": found}


def _plain_scores(scores: Scores) -> dict[str, tuple[int, ...]]:
    return {name: astuple(each) for name, each in scores.types.items()}


def _scores(types: Mapping[str, Sequence[int]]) -> Scores:
    return Scores({name: Counts(*each) for name, each in types.items()})


def _round(row: dict[str, Any]) -> Round:
    types = row["types"]
    scores = None if types is None else _scores(types)
    sentences = tuple(_scores(each) for each in row["sentences"])
    guesses = tuple(Guess(*each) for each in row.get("guesses", ()))  # of an earlier package's state there are none
    found = tuple(tuple(Span(*span) for span in spans) for spans in row.get("found", ()))
    return Round(row["epoch"], row["step"], row["loss"], scores, sentences, guesses, found)
