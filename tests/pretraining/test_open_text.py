"""Openly labelled text: reading, refusals with their line, and the labels of batches."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from lightner.pretraining import open_text
from lightner.pretraining.open_text import GROUPS, PASSAGES, Group, OpenText, Passage
from lightner.types import InputError, Sentence, Span

PASSAGE: dict[str, Any] = {
    "source": "ours", "text": "Ana Ruiz met Bob in Oslo.",
    "entities": [[0, 8, ["chemist", "person"]], [13, 16, ["friend", "person"]], [20, 24, ["capital", "location"]]],
}  # fmt: skip
GROUP: dict[str, Any] = {
    "domain": "bikes", "register": "ads", "labels": {"part": ["component"], "maker": ["brand", "firm"]},
    "sentences": [{"text": "A Solari hub.", "entities": [[2, 8, "maker"], [9, 12, "part"]]}],
}  # fmt: skip


def written(folder: Path, passages: list[object], groups: list[object]) -> Path:
    for name, records in ((PASSAGES, passages), (GROUPS, groups)):
        (folder / name).write_text("".join(json.dumps(each) + "\n" for each in records), encoding="utf-8")
    return folder


def test_passages_and_groups_are_read_in_words(tmp_path: Path) -> None:
    found = open_text.load(written(tmp_path, [PASSAGE], [GROUP]))
    [passage], [group] = found.passages, found.groups
    assert passage.words == ("Ana", "Ruiz", "met", "Bob", "in", "Oslo", ".")
    assert passage.entities[0] == (0, 2, ("chemist", "person"))
    assert found.common[0] == "person"
    assert group.sentences == (Sentence(("A", "Solari", "hub", "."), (Span(1, 2, "maker"), Span(2, 3, "part"))),)


def test_an_entity_that_cuts_a_word_and_a_passage_that_is_too_long_are_left_out(tmp_path: Path) -> None:
    cut = {**PASSAGE, "entities": [[0, 6, ["chemist", "person"]], [13, 16, ["friend", "person"]]]}
    long = {**PASSAGE, "text": "a " * 91, "entities": []}
    [passage] = open_text.load(written(tmp_path, [cut, long], [])).passages
    assert [entity[:2] for entity in passage.entities] == [(3, 4)]


@pytest.mark.parametrize(
    ("passage", "message"),
    [
        ({"text": "a"}, r"passages.jsonl:1: found keys \['text'\], expected 'text' and a list 'entities'"),
        ({**PASSAGE, "entities": [[0, 8, "person"]]}, r"passages.jsonl:1: found entity .*expected \[start, end, \["),
        ([], "passages.jsonl:1: found list, expected an object"),
    ],
)
def test_a_passage_of_another_form_is_refused_with_its_line(tmp_path: Path, passage: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_text.load(written(tmp_path, [passage], []))


def test_a_label_that_a_group_does_not_list_is_refused(tmp_path: Path) -> None:
    wrong = {**GROUP, "labels": {"part": []}}
    with pytest.raises(InputError, match=r"groups.jsonl:1: found label 'maker', expected one of \['part'\]"):
        open_text.load(written(tmp_path, [], [wrong]))


def test_a_folder_with_neither_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found neither passages\.jsonl nor groups\.jsonl"):
        open_text.load(tmp_path)


def test_passages_get_fine_coarse_and_mixed_labels_and_some_absent_ones() -> None:
    passage = Passage(("Ana", "Oslo"), ((0, 1, ("chemist", "person")), (1, 2, ("capital", "location"))))
    other = Passage(("hub",), ((0, 1, ("part",)),))
    text = OpenText.of([passage] * 3 + [other], [])
    seen: set[frozenset[str]] = set()
    absent = 0
    for seed in range(200):
        found = open_text.draw_passages(text, 2, random.Random(seed))
        assert found is not None
        sentences, labels = found
        used = {span.label for sentence in sentences for span in sentence.spans}
        assert used <= set(labels.names)
        seen.add(frozenset(used & {"chemist", "capital", "person", "location"}))
        absent += len(set(labels.names) - used)
    assert {frozenset({"chemist", "capital"}), frozenset({"person", "location"})} <= seen
    assert {frozenset({"chemist", "location"}), frozenset({"person", "capital"})} & seen
    assert absent > 20


def test_a_group_is_asked_by_its_names_or_their_synonyms_and_now_and_then_described() -> None:
    group = Group(
        "bikes", {"part": ("component",), "maker": ("brand",)}, (Sentence(("A", "hub"), (Span(1, 2, "part"),)),) * 3
    )
    text = OpenText.of([], [group])
    names, described = set(), 0
    for seed in range(200):
        found = open_text.draw_group(text, 2, random.Random(seed))
        if found is None:
            continue
        sentences, labels = found
        names |= set(labels.names)
        described += any(len(words) > 1 for words in labels.words)
        assert {span.label for sentence in sentences for span in sentence.spans} <= set(labels.names)
    assert names == {"part", "component", "maker", "brand"}
    assert 20 < described < 70


def test_groups_are_kept_out_whole_and_the_same_ones_each_time() -> None:
    groups = [Group(f"group{n}", {"a": ()}, ()) for n in range(20)]
    text = OpenText.of([], groups)
    rest, held = text.without_groups(0.25, seed=3)
    assert len(held) == 5
    assert {group.name for group in (*rest.groups, *held)} == {group.name for group in groups}
    assert text.without_groups(0.25, seed=3)[1] == held
    assert OpenText.of([], groups[::-1]).without_groups(0.25, seed=3)[1] == held
