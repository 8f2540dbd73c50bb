"""Texts and labels of the comparison with other libraries, and its processes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.peers import OURS, Cell, Worker, compared, made, names_of, texts_of
from lightner.words import sentence_ranges, split_words


@pytest.mark.parametrize(("words", "fewest", "most"), [(20, 1, 1), (200, 12, 18)])
def test_texts_have_their_words_and_are_whole_sentences(words: int, fewest: int, most: int) -> None:
    texts = texts_of(words, 32)
    assert len(set(texts)) == 32
    for text in texts:
        placed = split_words(text)
        assert len(placed) == words
        assert fewest <= len(sentence_ranges(text, placed)) <= most


@pytest.mark.parametrize("count", [5, 150])
def test_labels_begin_with_those_of_the_texts(count: int) -> None:
    names = names_of(count)
    assert len(set(names)) == count
    assert names[:5] == ["duration", "ingredient", "quantity", "temperature", "tool"]


def test_a_library_is_made_once_and_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    place = tmp_path / "spacy"
    version = made(sys.executable, "spacy", place, names_of(5), steps=1)
    assert version.startswith("3.")
    written = (place / "meta.json").stat().st_mtime_ns
    assert made(sys.executable, "spacy", place, names_of(5), steps=1) == version
    assert (place / "meta.json").stat().st_mtime_ns == written
    with Worker.started(sys.executable, "spacy", place, names_of(5)) as worker:
        assert worker.cold_start_s > 0
        found = compared({OURS: worker, "same": worker}, Cell(5, 1, 32, 20), rounds=3, seconds=60)
    assert found["rounds"] == 3
    assert found["texts_per_second"]["same"]["processor_s"] > 10
    assert 0.2 < found["times_as_fast"]["same"]["processor_s"] < 5
    assert found["peak_megabytes"]["same"] > 20
    assert worker.running.poll() is not None
    json.dumps(found)
