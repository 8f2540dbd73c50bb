"""Prompts on a hub: pushed and loaded by huggingface_hub itself, through a stand-in for the hub's own server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

import lightner
from lightner.model import embedded
from lightner.model.backbone import load as load_backbone
from lightner.model.prompts import NO_GUIDANCE
from lightner.store import artifact as artifacts
from lightner.store.hub import metadata
from lightner.tagger import Tagger
from lightner.types import Entity, InputError
from tests.support import hub as hubs
from tests.support.hub import Hub
from tests.support.paths import CHECKOUT
from tests.support.serving import TEXTS, Place, prepare
from tests.support.tiny import tiny_backbone

TEXT = TEXTS[0]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return prepare(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with hubs.running() as made:
        yield made


@pytest.fixture
def tagger(place: Place, tmp_path: Path) -> Tagger:
    """That of a published prompt."""
    artifacts.save(place.artifact("movies"), tmp_path / "published")
    return Tagger.load(tmp_path / "published", backbone=str(place.folder))


def there(hub: Hub, folder: Path, code: str, *words: str, token: str = hubs.TOKEN) -> Any:
    """What code of a user prints as JSON in a process of its own, whose hub is this one."""
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hf"), "HF_TOKEN": token}
    environment |= {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-c", f"import json, sys\nfrom lightner import InputError, Tagger\n{code}", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


PUSH = """
tagger = Tagger.load(sys.argv[1], backbone=sys.argv[2])
try:
    print(json.dumps(tagger.push_to_hub(sys.argv[3], language="en", license="apache-2.0")))
except InputError as error:
    print(json.dumps(str(error)))
"""
TAG = """
tagger = Tagger.from_pretrained(sys.argv[1], backbone=sys.argv[2])
print(json.dumps([[each.start, each.end, each.label, each.score] for each in tagger.tag([sys.argv[3]])[0]]))
"""
BACKBONE = """
import lightner
from lightner.model import backbone
if sys.argv[1]:
    lightner.push_backbone_to_hub(sys.argv[1], sys.argv[2], language="en")
found = Tagger.from_labels(["person", "city"], backbone=sys.argv[2]).tag([sys.argv[-1]])[0]
scores = [[each.start, each.end, each.label, each.score] for each in found]
print(json.dumps([backbone.load(sys.argv[2]).fingerprint, scores]))
"""
REFUSED = """
said = []
for name in sys.argv[2:]:
    try:
        Tagger.from_pretrained(name, backbone=sys.argv[1])
    except InputError as error:
        said.append(str(error))
print(json.dumps(said))
"""


def rows(entities: tuple[Entity, ...]) -> list[list[Any]]:
    return [[each.start, each.end, each.label, pytest.approx(each.score)] for each in entities]


def test_a_prompt_goes_to_the_hub_in_one_commit_and_answers_as_before(hub: Hub, place: Place, tmp_path: Path) -> None:
    artifacts.save(place.artifact("movies"), tmp_path / "published")
    backbone = str(place.folder)
    address = there(hub, tmp_path, PUSH, str(tmp_path / "published"), backbone, "team/movies")
    assert address == f"{hub.url}/team/movies"
    assert [sorted(commit) for commit in hub.repositories["team/movies"]] == [
        [".gitattributes"], [".gitattributes", *sorted(artifacts.FILES)],
    ]  # fmt: skip
    expected = rows(place.offline("movies", TEXT).entities)
    assert len(expected) > 1
    assert there(hub, tmp_path / "published", TAG, "team/movies", backbone, TEXT) == expected
    # People edit the card on the hub's pages: what is read of it are its other files.
    hub.edit("team/movies", "README.md", b"---\nlanguage: de\n---\n# Ours\n")
    assert there(hub, tmp_path, TAG, "team/movies", backbone, TEXT) == expected


def test_what_is_no_sound_prompt_is_refused_in_one_line(hub: Hub, place: Place, tmp_path: Path) -> None:
    files = artifacts.to_files(place.artifact("movies"))
    hub.repositories["team/damaged"] = [{**files, "card.json": files["card.json"].replace(b"movies", b"novels")}]
    hub.repositories["team/other"] = [{"config.json": b"{}"}]
    names = ["team/damaged", "team/other", "team/none", "no name", "none"]
    said = there(hub, tmp_path, REFUSED, str(place.folder), *names)
    assert said[0].startswith("team/damaged/card.json: found {'sha256': ")
    assert said[1].startswith("team/other: found files [], expected a prompt: ['README.md', 'card.json',")
    for name, line in zip(names[2:], said[2:], strict=True):
        assert line.startswith(f"{name}: found no such folder, nor a prompt of that name on the hub (")
        assert "\n" not in line


def test_a_backbone_goes_to_the_hub_and_is_loaded_by_its_name(hub: Hub, tmp_path: Path) -> None:
    tiny = tiny_backbone()
    folder = tmp_path / "made"
    embedded.save(folder, tiny.model, tiny.tokenizer, NO_GUIDANCE, "# Ours\n")
    [fingerprint, found] = there(hub, tmp_path, BACKBONE, str(folder), "team/base", TEXT)
    assert fingerprint == load_backbone(str(folder)).fingerprint
    assert found == rows(Tagger.from_labels(["person", "city"], backbone=str(folder)).tag([TEXT])[0])
    assert hub.repositories["team/base"][-1]["README.md"].endswith(b"\n---\n\n# Ours\n")
    # People edit the card on the hub's pages: the backbone is its other files.
    hub.edit("team/base", "README.md", b"# Edited\n")
    assert there(hub, tmp_path, BACKBONE, "", "team/base", TEXT) == [fingerprint, found]
    hub.edit("team/base", "config.json", b"{}")
    with pytest.raises(AssertionError, match=r"InputError: checkpoint: found .*config[.]json with"):
        there(hub, tmp_path, BACKBONE, "", "team/base", TEXT)


def test_another_folder_is_not_sent_as_a_backbone(place: Place) -> None:
    with pytest.raises(InputError, match=r"found no such backbone, expected one that lightner pretrain made"):
        lightner.push_backbone_to_hub(place.folder, "team/other")


def test_the_hub_refuses_who_may_not_write(hub: Hub, place: Place, tmp_path: Path) -> None:
    artifacts.save(place.artifact("movies"), tmp_path / "published")
    said = there(hub, tmp_path, PUSH, str(tmp_path / "published"), str(place.folder), "team/closed", token="hf_other")
    assert said.startswith("team/closed: found a hub that refused it (")
    assert "team/closed" not in hub.repositories


def test_a_saved_folder_is_loaded_like_a_published_one(tagger: Tagger, place: Place, tmp_path: Path) -> None:
    tagger.save_pretrained(tmp_path / "saved", language="nl")
    expected = tagger.tag(TEXTS)
    for again in (
        Tagger.from_pretrained(tmp_path / "saved", backbone=str(place.folder)),
        lightner.load(tmp_path / "saved", backbone=str(place.folder)),
    ):
        assert again.tag(TEXTS) == expected
    assert artifacts.load(tmp_path / "saved").card == artifacts.load(tmp_path / "published").card
    with pytest.raises(InputError, match="found it taken"):
        tagger.save_pretrained(tmp_path / "saved")


def test_a_tagger_of_labels_is_saved_too(place: Place, tmp_path: Path) -> None:
    tagger = Tagger.from_labels(["person", "city"], backbone=str(place.folder))
    tagger.save_pretrained(tmp_path / "saved")
    assert Tagger.from_pretrained(tmp_path / "saved", backbone=str(place.folder)).tag([TEXT]) == tagger.tag([TEXT])


def test_the_card_has_the_hubs_metadata(tagger: Tagger, tmp_path: Path) -> None:
    tagger.save_pretrained(tmp_path / "saved", language="en", license="apache-2.0")
    card = ModelCard.load(tmp_path / "saved" / "README.md")
    data = card.data.to_dict()
    assert (data["language"], data["license"], data["pipeline_tag"]) == ("en", "apache-2.0", "token-classification")
    assert data["library_name"] == "lightner-ray"
    assert "named-entity-recognition" in data["tags"]
    assert "# Prompt `movies`" in card.text


def test_scores_are_the_cards_model_index(place: Place) -> None:
    card = replace(
        place.artifact("movies").card,
        metrics={"precision": 0.5, "recall": 0.25, "f1": 0.75, "support": 8, "measured_on": "4 folds", "types": {}},
    )
    read = ModelCard(f"---\n{metadata(card).to_yaml()}\n---\n").data.to_dict()
    [model] = read["model-index"]
    [result] = model["results"]
    assert model["name"] == "movies"
    assert result["task"] == {"type": "token-classification"}
    assert result["dataset"] == {"name": "4 folds", "type": "movies"}
    assert {each["type"]: each["value"] for each in result["metrics"]} == {"precision": 0.5, "recall": 0.25, "f1": 0.75}


@pytest.mark.parametrize(
    ("backbone", "language", "base"),
    [
        ("embedded", "en", None),
        ("team/bart", None, "team/bart"),
        ("team/mbart:zh_CN", "zh", "team/mbart"),
        ("/a/b", None, None),
        ("/a/b:ja_XX", "ja", None),
    ],
)
def test_language_and_base_model_follow_the_backbone(
    place: Place, backbone: str, language: str | None, base: str | None
) -> None:
    data = metadata(replace(place.artifact("movies").card, backbone_name=backbone))
    assert (data.language, data.base_model) == (language, base)
