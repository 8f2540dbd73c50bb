"""Drawings of results are those of the JSON files of the benchmarks."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import markdown, plots


@pytest.mark.parametrize("name", plots.DRAWINGS)
def test_a_drawing_is_made_from_what_lies_beside_it(name: str) -> None:
    committed = (markdown.RESULTS / f"{name}.svg").read_bytes()
    assert plots.source(name).encode() in committed, "run `python -m benchmarks.plots`"
    assert _texts(plots.drawing(name)) == _texts(committed), "run `python -m benchmarks.plots`"


@pytest.mark.parametrize("name", plots.DRAWINGS)
def test_a_note_shows_its_drawing_and_says_what_is_on_it(name: str) -> None:
    note = (markdown.RESULTS / f"{name}.md").read_text(encoding="utf-8")
    [said] = re.findall(rf"!\[([^\]]+)\]\({name}\.svg\)", note)
    assert len(said.split()) > 5


def test_another_result_is_another_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("labels", "published"):
        (tmp_path / f"{name}.json").write_bytes((markdown.RESULTS / f"{name}.json").read_bytes())
    before = plots.source("labels")
    monkeypatch.setattr(markdown, "RESULTS", tmp_path)
    assert plots.source("labels") == before
    (tmp_path / "labels.json").write_text("{}", encoding="utf-8")
    assert plots.source("labels") != before


def _texts(svg: bytes) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(svg).iter() if each.tag.endswith("text")]
