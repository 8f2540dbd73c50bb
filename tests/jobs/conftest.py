"""A folder for tuning jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightner.data.formats import write_conll
from lightner.types import Sentence, Span
from tests.support.jobs import PIN, SLOW, WHOLE
from tests.support.tiny import save, tiny_backbone


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny backbone, sentences and pins."""
    folder = tmp_path_factory.mktemp("jobs")
    tiny = tiny_backbone()
    save(tiny, folder / "tiny")
    names = ("Ana", "Bob", "Eve", "Max")
    sentences = [
        Sentence((names[n % 4], "saw", "the", "red", f"house{n}"), (Span(0, 1, "person"), Span(4, 5, "building")))
        for n in range(20)
    ]
    write_conll(folder / "train.conll", sentences)
    (folder / "pin.yaml").write_text(PIN)
    (folder / "whole.yaml").write_text(WHOLE)
    (folder / "slow.yaml").write_text(SLOW)
    return folder
