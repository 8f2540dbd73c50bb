"""Draft taggers: learning, guessing, and their place in a published prompt."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lightner.model.drafts import Draft, draft
from lightner.model.pointers import Space
from lightner.store import artifact
from lightner.store.loading import prompt_for, with_draft_tagger
from lightner.tagger import Row, infer, prepare
from lightner.tuning.draft_learning import draft_tagger, learn
from lightner.types import InputError, LabelSet, Sentence, Span
from tests.support.tiny import tiny_artifact, tiny_backbone

SPACE = Space(labels=2, words=6)  # words are candidates 3 to 8
DRAFT = Draft(entities=((0, 0), (2, 3), (5, 5)), classes=[1, 0, 0, 1, 0, 0])
LABELS = LabelSet(("person", "place"), (("person",), ("place",)))
SENTENCES = [
    Sentence(("ada", "lives", "in", "paris"), (Span(0, 1, "person"), Span(3, 4, "place"))),
    Sentence(("emil", "mary", "likes", "rome", "city", "paris"), (Span(0, 2, "person"), Span(3, 6, "place"))),
    Sentence(("the", "soup"), ()),
]


@pytest.mark.parametrize(
    ("written", "guess"),
    [
        ([], [3, 3, 2, 5, 6, 2, 8, 8, 1]),
        ([3], [3, 2, 5, 6, 2, 8, 8, 1]),
        ([4], [4, 1, 5, 6, 2, 8, 8, 1]),  # a start that the draft does not have
        ([6], [6, 2, 8, 8, 1]),  # a start inside an entity of the draft
        ([5, 5], [1, 6 + 2, 8, 1]),  # an end before the draft's
        ([3, 6], [2, 8, 8, 1]),  # an end after two of its entities
        ([3, 3, 1], [5, 6, 2, 8, 8, 1]),
        ([3, 8, 1], []),
    ],
    ids=str,
)
def test_a_guess_continues_the_ids_written_so_far(written: list[int], guess: list[int]) -> None:
    assert DRAFT.follow(written, SPACE) == guess


def test_a_tagger_finds_again_what_it_learned() -> None:
    words = torch.eye(12).split([len(sentence.words) for sentence in SENTENCES])
    tagger = learn(words, SENTENCES, LABELS)
    assert tagger.shape == (5, 13)
    batch = torch.nn.utils.rnn.pad_sequence(words, batch_first=True)
    real = torch.tensor([[place < len(each) for place in range(6)] for each in words])
    first, second, third = draft([tagger] * 3, batch, real)
    assert first is not None
    assert second is not None
    assert third is not None
    assert (first.entities, [first.classes[word] for word in (0, 3)]) == (((0, 0), (3, 3)), [0, 1])
    assert (second.entities, [second.classes[word] for word in (1, 5)]) == (((0, 1), (3, 5)), [0, 1])
    assert third.entities == ()


def test_learning_is_independent_of_the_size_of_candidates() -> None:
    generator = torch.manual_seed(3)
    words = [torch.randn(len(sentence.words), 8, generator=generator) for sentence in SENTENCES]
    tagger, same = (learn([size * each for each in words], SENTENCES, LABELS) for size in (1.0, 20.0))
    torch.testing.assert_close(20 * same[:, :-1], tagger[:, :-1], rtol=1e-2, atol=1e-3)


def test_rows_draft_each_with_its_own_tagger_or_none() -> None:
    generator = torch.manual_seed(5)
    one, two = torch.randn(3, 5, generator=generator), torch.randn(9, 5, generator=generator)
    words, real = torch.randn(3, 7, 4, generator=generator), torch.ones(3, 7, dtype=torch.bool)
    real[2, 4:] = False
    together = draft([one, None, two], words, real)
    assert together[1] is None
    assert together[0] == draft([one], words[:1], real[:1])[0]
    [alone] = draft([two], words[2:, :4], real[2:, :4])
    assert together[2] is not None
    assert alone is not None
    assert together[2].entities == alone.entities
    assert together[2].classes[:4] == alone.classes
    assert draft([None, None], words[:2], real[:2]) == [None, None]


def test_a_prompt_keeps_its_tagger_on_disk_and_finds_the_same(tmp_path_factory: pytest.TempPathFactory) -> None:
    backbone = tiny_backbone()
    bare = tiny_artifact(backbone)
    prompt = prompt_for(bare, backbone)
    names = prompt.labels.names
    sentences = [replace(SENTENCES[0], spans=(Span(0, 1, names[0]), Span(3, 4, names[-1]))), SENTENCES[2]] * 3
    tagger = draft_tagger(backbone, prompt, sentences)
    folder = tmp_path_factory.mktemp("drafting") / "prompt"
    artifact.save(with_draft_tagger(bare, tagger), folder)
    loaded = prompt_for(artifact.load(folder), backbone)
    assert loaded.draft_tagger is not None
    torch.testing.assert_close(loaded.draft_tagger, tagger, rtol=1e-3, atol=1e-4)
    assert loaded.nbytes == prompt.nbytes + 4 * tagger.numel()
    rows = [sentence.words for sentence in SENTENCES]
    found, plain = (
        infer(backbone, prepare(backbone, [Row(each, those) for those in rows])) for each in (loaded, prompt)
    )
    assert [row.ids for row in found.decoded] == [row.ids for row in plain.decoded]


def test_a_tagger_of_another_size_is_refused() -> None:
    backbone = tiny_backbone()
    bare = tiny_artifact(backbone)
    count = 1 + 2 * len(bare.card.labels)
    with pytest.raises(InputError, match=r"draft\.tagger: found float16 of shape \(4, 17\), expected"):
        with_draft_tagger(bare, torch.zeros(4, 17))
    with pytest.raises(InputError, match=rf"draft\.tagger: found shape \({count}, 9\), expected \({count}, 17\)"):
        prompt_for(with_draft_tagger(bare, torch.zeros(count, 9)), backbone)
