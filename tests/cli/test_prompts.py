"""`lightner prompts`: list, show, verify, move and delete, as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lightner.cli import main
from tests.support.serving import DOMAINS, Place, prepare


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return prepare(tmp_path)


def run(place: Place, capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    capsys.readouterr()
    assert main(["prompts", *words, "--registry", place.registry.url]) == status
    shown = capsys.readouterr()
    return shown.err if status == 2 else shown.out


def read(place: Place, capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> Any:
    return json.loads(run(place, capsys, *words, "--json", status=status))


def test_domains_and_versions_are_listed(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.publish("movies", seed=2)
    place.registry.set_alias("movies", "canary", "v000001")
    listed = read(place, capsys, "list")
    assert [row["domain"] for row in listed] == sorted(DOMAINS)
    assert listed[0] == {
        "domain": "movies", "live": "v000002", "versions": 2, "aliases": {"live": "v000002", "canary": "v000001"},
        "backbone": str(place.folder),
    }  # fmt: skip
    table = run(place, capsys, "list").splitlines()
    assert table[0].split() == ["domain", "live", "versions", "aliases", "backbone"]
    assert table[1].split()[:3] == ["movies", "v000002", "2"]
    assert read(place, capsys, "list", "movies") == [
        {"version": "v000001", "aliases": ["canary"], "backbone": str(place.folder)},
        {"version": "v000002", "aliases": ["live"], "backbone": str(place.folder)},
    ]
    card = Path(place.registry.url) / "movies/versions/v000002/card.json"
    card.write_text(card.read_text() + " ")
    assert [row["backbone"] for row in read(place, capsys, "list", "movies")] == [str(place.folder), "unreadable"]
    assert "found no versions of domain 'nowhere'" in run(place, capsys, "list", "nowhere", status=2)


def test_a_registry_that_does_not_exist_is_named_and_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["list"], ["show", "x"], ["verify"], ["promote", "x", "v000001"], ["rollback", "x"]):
        assert main(["prompts", *words, "--registry", str(tmp_path / "registyr")]) == 2
        assert f"found no folder {tmp_path}/registyr" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_registry_without_prompts_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prompts", "list", "--registry", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "nothing is published here\n"


def test_a_card_is_shown(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    shown = read(place, capsys, "show", "recipes")
    assert (shown["domain"], shown["version"]) == ("recipes", "v000001")
    assert shown["card"]["labels"] == ["city group", "food", "time"]
    assert run(place, capsys, "show", "recipes").startswith("recipes v000001\n\n# Prompt `recipes`")
    assert "v000009" in run(place, capsys, "show", "recipes", "v000009", status=2)


def test_a_damaged_version_is_found_among_sound_ones(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert all(row["sound"] for row in read(place, capsys, "verify"))
    place.corrupt("movies", place.publish("movies", seed=2))
    rows = read(place, capsys, "verify", status=1)
    assert [(row["domain"], row["version"]) for row in rows if not row["sound"]] == [("movies", "v000002")]
    assert len(rows) == len(DOMAINS) + 1
    assert "prompt.safetensors" in run(place, capsys, "verify", "movies", status=1)
    assert len(read(place, capsys, "verify", "movies", "v000001")) == 1
    assert "found no version 'v000009'" in run(place, capsys, "verify", "movies", "v000009", status=2)


def test_aliases_move_and_roll_back(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.publish("movies", seed=2)
    assert run(place, capsys, "promote", "movies", "v000001").startswith("movies v000001 is live in ")
    assert place.registry.resolve("movies") == "v000001"
    run(place, capsys, "promote", "movies", "live", "--alias", "canary")
    assert place.registry.resolve("movies", "canary") == "v000001"
    assert run(place, capsys, "rollback", "movies").startswith("movies v000002 is live in ")
    assert "found no version 'v000009'" in run(place, capsys, "promote", "movies", "v000009", status=2)


def test_old_versions_are_deleted_but_never_needed_ones(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (2, 3, 4):
        place.publish("movies", seed=seed)
    place.registry.set_alias("movies", "canary", "v000001")
    assert "Missing option '--keep'" in run(place, capsys, "gc", "movies", status=2)
    kept = set(place.registry.versions("movies"))
    deleted = read(place, capsys, "gc", "movies", "--keep", "1")["deleted"]
    assert kept - set(deleted) == set(place.registry.versions("movies"))
    assert {"v000001", "v000004"} <= set(place.registry.versions("movies"))
    assert run(place, capsys, "gc", "movies", "--keep", "1") == "deleted 0 versions of movies\n"
