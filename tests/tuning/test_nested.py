"""Nested entities from training sentences to answers: learned where they are there, the same served as offline."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from lightner.evaluation.scoring import evaluate, predict
from lightner.jobs.publish import bare, with_drafts
from lightner.model.backbone import Backbone
from lightner.service.messages import Answer, Ask
from lightner.service.replica import BackboneReplica
from lightner.service.settings import Settings
from lightner.store.loading import DRAFT_TAGGER, prompt_for
from lightner.store.registry import Registry
from lightner.tagger import tag_texts
from lightner.tuning.rules import plan
from lightner.tuning.training import fit, folded_tensors
from lightner.types import LabelSet, Reach, Sentence, Span, is_nested
from lightner.words import split_words
from tests.support.eight import EIGHT, SHORT, sentence
from tests.support.serving import entities_of
from tests.support.tiny import tiny_backbone

LABELS = LabelSet.of(["food", "group", "person", "place"])
NESTED = (
    sentence("ada likes the bread of rome", (0, 1, "person"), (2, 6, "food"), (5, 6, "place")),
    sentence("the group of mary and ada", (0, 6, "group"), (3, 4, "person"), (5, 6, "person")),
    sentence("soup of the city of oslo", (0, 6, "food"), (2, 6, "place"), (5, 6, "place")),
    sentence("emil lives in paris", (0, 1, "person"), (3, 4, "place"), (3, 4, "group")),
    sentence("the group likes soup", (0, 2, "group"), (3, 4, "food")),
    sentence("on monday the city"),
)
LONG = replace(plan(NESTED, prompt_length=4, learning_rate=2e-2), batch_size=3, steps=300, rounds=1, dropout=0.0)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return tiny_backbone()


def test_nested_entities_are_learned_published_and_served_as_offline(backbone: Backbone, tmp_path: Path) -> None:
    tuned = fit(backbone, LABELS, NESTED, (), LONG)
    scores = evaluate(backbone, tuned.fold(), NESTED)
    assert scores.micro.f1 == 1.0
    assert scores.micro.gold == sum(len(each.spans) for each in NESTED)
    made = bare("orders", backbone, LABELS, folded_tensors(tuned), sentences=NESTED)
    assert made.card.nested
    assert DRAFT_TAGGER not in with_drafts(backbone, made, NESTED).tensors
    prompt = prompt_for(made, backbone)
    assert [set(spans) for spans in predict(backbone, prompt, NESTED)] == [set(each.spans) for each in NESTED]

    for part in ("model", "tokenizer"):
        getattr(backbone, part).save_pretrained(tmp_path / "base")
    Registry.open(str(tmp_path / "prompts")).publish(made)
    replica = BackboneReplica(Settings(registry=str(tmp_path / "prompts"), backbone=str(tmp_path / "base")))
    texts = tuple(" ".join(each.words) for each in NESTED)
    [answer] = asyncio.run(replica.tag([Ask("orders", texts)]))
    assert isinstance(answer, Answer)
    offline = tag_texts(backbone, [(prompt, text) for text in texts])
    for served, own in zip(answer.texts, offline, strict=True):
        assert entities_of(served) == entities_of(own)  # type: ignore[arg-type]
    assert [(each.text, each.label) for each in offline[2].entities] == [
        ("soup of the city of oslo", "food"), ("the city of oslo", "place"), ("oslo", "place"),
    ]  # fmt: skip


def test_a_long_text_has_its_nested_entities_in_windows(backbone: Backbone) -> None:
    tuned = fit(backbone, LABELS, NESTED, (), LONG)
    prompt = replace(tuned.fold(), reach=Reach(words=6))
    text = " ".join(" ".join(each.words) for each in NESTED)
    [tagged] = tag_texts(backbone, [(prompt, text)])
    words = split_words(text)
    starts = {word.start: number for number, word in enumerate(words)}
    spans = [
        Span(starts[each.start], starts[each.start] + len(each.text.split()), each.label) for each in tagged.entities
    ]
    assert tagged.windows > 4
    assert is_nested(spans)
    assert len(spans) == len(set(spans))


def test_words_that_someone_gave_are_answered_in_them(backbone: Backbone) -> None:
    given = tuple(
        Sentence((*each.words[:-1], f"{each.words[-1]}-7"), each.spans) if each.spans else each for each in NESTED
    )
    tuned = fit(backbone, LABELS, given, (), LONG)
    assert evaluate(backbone, tuned.fold(), given).micro.f1 == 1.0


def test_a_domain_is_nested_where_its_sentences_are(backbone: Backbone) -> None:
    short = replace(SHORT, steps=4, rounds=1)
    labels = LabelSet.of([*LABELS.names, "time"])
    assert not fit(backbone, labels, EIGHT, (), short).fold().nested
    assert fit(backbone, labels, [*EIGHT, NESTED[0]], (), short).fold().nested
    # A fold whose own sentences are flat is measured as what the domain will be.
    assert fit(backbone, labels, EIGHT, NESTED, short).fold().nested
    assert not bare(
        "flat", backbone, labels, folded_tensors(fit(backbone, labels, EIGHT, (), short)), sentences=EIGHT
    ).card.nested
