"""Raw text: recognising running text, and drawing sentences at random."""

from __future__ import annotations

import lzma
import random
from pathlib import Path

import pytest

from lightner.pretraining import raw
from lightner.types import InputError

TEXT = """Anarchism

Dr. J. Smith of St. Paul wrote a long book about birds. It was read in "Paris" by many! Too short.
Etymology and terminology of the word here
12 34 56 78 90 12 34 56 78 90.
"""


@pytest.mark.parametrize("name", ["text.txt", "text.txt.xz"])
def test_raw_text_becomes_sentences(name: str, tmp_path: Path) -> None:
    encoded = TEXT.encode()
    (tmp_path / name).write_bytes(lzma.compress(encoded) if name.endswith("xz") else encoded)
    found = [" ".join(words) for paragraph in raw.load(tmp_path / name) for words in raw.sentences(paragraph)]
    assert found == [
        "Dr . J . Smith of St . Paul wrote a long book about birds .",
        'It was read in " Paris " by many !',
    ]


def test_unreadable_raw_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.xz").write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"bad\.xz: .*expected readable UTF-8 text"):
        raw.load(tmp_path / "bad.xz")
    with pytest.raises(InputError, match="absent"):
        raw.load(tmp_path / "absent.txt")


def test_raw_sentences_are_drawn_from_paragraphs_with_running_text(tmp_path: Path) -> None:
    lines = ["A heading", "", "The bird saw a man in the city. It sang a song for all of us there.", "short one."]
    (tmp_path / "raw.txt").write_text("\n".join(lines), encoding="utf-8")
    paragraphs = raw.load(tmp_path / "raw.txt")
    assert paragraphs == (lines[2],)
    found = raw.sample(paragraphs, 40, random.Random(0))
    assert len(found) == 40
    assert {words[0] for words in found} == {"The", "It"}
    assert found == raw.sample(paragraphs, 40, random.Random(0))
    (tmp_path / "raw.txt").write_text("A heading\n", encoding="utf-8")
    with pytest.raises(InputError, match="found no paragraph of running text"):
        raw.load(tmp_path / "raw.txt")
