"""The table of label names alone: what it counts as seen, and that it reads a set in the words that were given."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import zero_shot
from lightner.data.formats import write_conll
from lightner.types import Sentence, Span
from tests.support.tiny import save, tiny_backbone


def test_a_set_is_scored_by_its_names_and_mentions_with_a_known_name_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = tiny_backbone()
    save(tiny, tmp_path / "tiny")
    spans = (Span(0, 1, "oldtown"), Span(1, 2, "person"), Span(2, 3, "ship"))
    write_conll(tmp_path / "test.conll", [Sentence(("rome", "ada", "titanic"), spans)])
    (tmp_path / "words.json").write_text('{"oldtown": ["Old", "town"], "song": ["song"]}', encoding="utf-8")
    passage = {"source": "ours", "text": "Ana met Bob.", "entities": [[0, 3, ["chemist", "Person"]]]}
    group = {"domain": "d", "labels": {"city": ["old town"]}, "sentences": [{"text": "Rome", "entities": []}]}
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "passages.jsonl").write_text(json.dumps(passage), encoding="utf-8")
    (tmp_path / "open" / "groups.jsonl").write_text(json.dumps(group), encoding="utf-8")
    words = [f"tiny={tmp_path}/test.conll", "--words", f"{tmp_path}/words.json", "--open", f"{tmp_path}/open"]
    words += ["--backbone", f"{tmp_path}/tiny", "--out", f"{tmp_path}/out.json"]
    monkeypatch.setattr(sys, "argv", ["zero_shot", *words])
    zero_shot.main()
    [row] = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["rows"]
    assert (row["name"], row["sentences"], row["seen"]) == ("tiny", 1, 66.7)
    assert set(row["labels"]) == {"oldtown", "person", "ship"}
    assert 0 <= row["f1"] <= 100
