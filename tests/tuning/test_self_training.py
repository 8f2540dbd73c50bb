"""Self-training: what is read, what is learned from, and with what weight."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lightner.data.formats import labels_of
from lightner.tagger import tag_words
from lightner.tuning import rules
from lightner.tuning.cross_validation import Fold, fold_folder, run_folds
from lightner.tuning.self_training import found_in, joined, longer, sentences_of, with_unlabelled
from lightner.tuning.training import PROMPT, Tuning, load_prompt
from lightner.types import InputError, LabelSet, Sentence, Span
from tests.support.eight import EIGHT
from tests.support.tiny import tiny_backbone

BASE = tiny_backbone()
LABELS = LabelSet.of(labels_of(EIGHT))
PLAN = rules.plan(EIGHT, prompt_length=2, learning_rate=0.03)
UNLABELLED = [Sentence(sentence.words) for sentence in EIGHT]


def test_sentences_are_read_by_the_prompt_of_their_fold(tmp_path: Path) -> None:
    folds = (Fold(EIGHT[:5], EIGHT[5:]), Fold(EIGHT[3:], EIGHT[:3]))
    plan = replace(PLAN, steps=160, rounds=1)
    run_folds(BASE, LABELS, folds, plan, last=1, on_round=lambda _, save: save(tmp_path))
    found = with_unlabelled(BASE, LABELS, folds, UNLABELLED, tmp_path)
    for number, (fold, extended) in enumerate(zip(folds, found, strict=True)):
        assert extended.held == fold.held
        prompt = load_prompt(fold_folder(tmp_path, number), LABELS, BASE, fold.train)
        rows = [(prompt, sentence.words) for sentence in UNLABELLED]
        kept = [
            Sentence(sentence.words, tuple(span for span, _ in spans))
            for sentence, spans in zip(UNLABELLED, tag_words(BASE, rows), strict=True)
            if spans and min(score for _, score in spans) >= 0.5
        ]
        assert kept
        assert list(extended.train[-len(kept) :]) == kept
        assert {*extended.train[: -len(kept)]} == {*fold.train}


def test_a_sentence_is_left_out_where_nothing_is_found_or_an_entity_is_unsure(tmp_path: Path) -> None:
    tuning = Tuning(BASE, LABELS, EIGHT, (), replace(PLAN, steps=60, rounds=1))
    for _ in tuning.rounds():
        pass
    prompt = tuning.tuned.fold()
    scores = {}
    for sentence, spans in zip(UNLABELLED, tag_words(BASE, [(prompt, each.words) for each in UNLABELLED]), strict=True):
        if spans:
            scores[sentence.words] = min(score for _, score in spans)
    least = sorted(scores.values())[len(scores) // 2]
    kept = {sentence.words for sentence in found_in(BASE, prompt, UNLABELLED, least=least)}
    assert kept == {words for words, score in scores.items() if score >= least}
    assert 0 < len(kept) < len(scores)


def test_the_prompt_of_a_state_is_the_one_that_was_learned(tmp_path: Path) -> None:
    tuning = Tuning(BASE, LABELS, EIGHT, (), replace(PLAN, steps=8, rounds=1))
    for _ in tuning.rounds():
        pass
    tuning.save(tmp_path)
    learned, loaded = tuning.tuned.fold(), load_prompt(tmp_path, LABELS, BASE, EIGHT)
    assert (loaded.labels, loaded.reach, loaded.nested) == (learned.labels, learned.reach, learned.nested)
    assert torch.equal(loaded.label_vectors, learned.label_vectors)
    for name, tensor in learned.guidance.tensors().items():
        assert torch.equal(loaded.guidance.tensors()[name], tensor.half().float())


@pytest.mark.parametrize("content", [None, b"", b"no tensors"])
def test_a_damaged_state_is_refused_by_name(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / PROMPT).write_bytes(content)
    with pytest.raises(InputError, match=rf"checkpoint {tmp_path}: found no readable {PROMPT}"):
        load_prompt(tmp_path, LABELS, BASE, EIGHT)


@pytest.mark.parametrize(("found", "times"), [(0, 1), (3, 1), (12, 2), (40, 5)])
def test_labelled_sentences_have_about_half_of_the_weight(found: int, times: int) -> None:
    more = [Sentence((f"new{number}",)) for number in range(found)]
    both = joined(EIGHT, more)
    assert both.count(EIGHT[0]) == times
    assert len(both) == times * len(EIGHT) + found


def test_the_second_prompt_has_half_as_many_steps_more() -> None:
    plan = longer(PLAN)
    assert plan == replace(PLAN, steps=PLAN.steps * 3 // 2)


def test_texts_are_cut_into_what_labelled_sentences_teach_to_read() -> None:
    labelled = [
        Sentence(("Ada", "lives", "in", "Rome", "."), (Span(0, 1, "PER"),), text="Ada lives in Rome."),
        Sentence(("Bob", "lives", "in", "Oslo", "."), (Span(0, 1, "PER"),), text="Bob lives in Oslo."),
    ]
    text = "Eve ran home. Ada lives in Rome. Max saw a house."
    long = tuple(f"w{number}" for number in range(200))
    found = sentences_of([text, text, long], labelled)
    assert [" ".join(sentence.words) for sentence in found] == ["Eve ran home .", "Max saw a house ."]
