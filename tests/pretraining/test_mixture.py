"""Pretraining batches: their sources and labels, and equal draws by equal seeds."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from lightner.data.formats import write_conll
from lightner.pretraining import mixture
from lightner.pretraining.mixture import Draw, LabelledSet, Mixture, Recipe
from lightner.pretraining.open_text import OpenText, Passage
from lightner.types import InputError, Sentence
from tests.support.sentences import sentence

NEWS = LabelledSet("news", tuple(sentence(n) for n in range(20)), (Sentence(("nothing", "here")),), ("LOC", "PER"))
PASSAGE = Passage(("Ana", "met", "Bob", "."), ((0, 1, ("researcher", "person")), (2, 3, ("friend", "person"))))
RECIPE = Recipe(batch_size=6)


def draws(count: int, seed: int = 0, *, source: Mixture = Mixture((NEWS,)), progress: float = 0.0) -> list[Draw]:  # noqa: B008
    return [mixture.draw(source, RECIPE, random.Random(f"{seed}-{n}"), progress=progress) for n in range(count)]


def test_sets_are_read_by_directory_and_those_left_out_are_not(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_conll(tmp_path / name / "train.conll", [sentence(1), sentence(1), Sentence(("empty",))])
    [found] = mixture.load_sets(tmp_path, leave_out=["two"])
    assert (found.name, len(found.filled), len(found.empty), found.labels) == ("one", 1, 1, ("LOC", "PER"))


def test_a_folder_without_sets_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=str(tmp_path)):
        mixture.load_sets(tmp_path)


def test_every_span_of_a_draw_carries_a_label_of_its_set_and_keeps_its_words() -> None:
    for found in draws(30):
        for drawn in found.sentences:
            assert {span.label for span in drawn.spans} <= set(found.labels.names)
            assert {drawn.words[span.start].title() for span in drawn.spans} <= {"Ana", "Oslo"}


def test_draws_rename_and_drop_labels_but_the_same_seed_draws_the_same() -> None:
    names = {name for found in draws(40) for name in found.labels.names}
    assert {"person", "location"} < names
    assert any(len(found.labels) == 1 for found in draws(40))
    assert draws(5, seed=3) == draws(5, seed=3)
    assert draws(5, seed=3) != draws(5, seed=4)


def test_some_batches_come_in_lower_case_whole() -> None:
    cases = [{word == word.lower() for each in found.sentences for word in each.words} for found in draws(60)]
    assert cases.count({True}) > 5
    assert cases.count({True, False}) > 30


def test_openly_labelled_text_gives_way_to_sets_at_the_end() -> None:
    both = Mixture((NEWS,), OpenText.of([PASSAGE] * 9, []))
    early, late = (sum(d.source == "open" for d in draws(200, source=both, progress=p)) for p in (0.1, 0.9))
    assert 130 < early < 170
    assert 100 < late < 140
    assert both.sources == ("open", "news")


def test_missing_sources_are_not_drawn() -> None:
    assert {found.source for found in draws(20, source=Mixture(text=OpenText.of([PASSAGE] * 9, [])))} == {"open"}
    assert {found.source for found in draws(20)} == {"news"}


def test_a_batch_without_punctuation_keeps_every_entity() -> None:
    text = OpenText.of([replace(PASSAGE, words=("Ana", ",", "Bob", "."))] * 9, [])
    found = draws(80, source=Mixture(text=text))
    bare = [each for each in found if all(len(drawn.words) == 2 for drawn in each.sentences)]
    assert 4 < len(bare) < 25
    assert all(len(drawn.words) == 4 for each in found if each not in bare for drawn in each.sentences)
