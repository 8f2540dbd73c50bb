"""`lightner data check`: what is said of a labelled file without tuning."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lightner.cli import main
from lightner.data.formats import write_conll
from lightner.types import Sentence, Span
from tests.support.tiny import save, tiny_backbone

ADA = Sentence(("ada", "saw", "東", "in", "rome"), (Span(0, 1, "person"), Span(4, 5, "city")))
LONG = Sentence(("soup", ".") * 70)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tiny backbone, which knows no Chinese, and a training file."""
    monkeypatch.chdir(tmp_path)
    tiny = tiny_backbone()
    save(tiny, "tiny")
    write_conll("train.conll", [ADA, ADA, LONG])
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_the_report_has_lengths_mentions_doubles_and_unknown_sub_words(capsys: pytest.CaptureFixture[str]) -> None:
    write_conll("test.conll", [ADA])
    assert main(["data", "check", "train.conll", "--test", "test.conll", "--backbone", "tiny"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "train.conll: CoNLL columns"
    assert lines[1] == "train.conll: columns: word 1, tag 2 of 2"
    assert "texts of 5 to 140 words, half of them of at most 5; 1 of more than 120" in lines
    assert "2 of 154 sub-words are unknown to the backbone (1.3%)" in lines
    assert "  city    2 mentions" in lines
    warnings = [line.removeprefix("warning: ") for line in lines if line.startswith("warning: ")]
    assert [warning.split(":")[0] for warning in warnings] == [
        "1 texts of more than 120 words are learned in 2 parts, cut at sentence ends, first at train.conll",
        "Types with fewer than 3 mentions in the training set",
        "The training set repeats 1 sentence word for word and span for span.",
        "The words of 1 of 1 test sentence also occur in the training or development set",
        "The backbone does not know 1.3% of the sub-words, such as '東'",
    ]


@pytest.mark.usefixtures("folder")
def test_programs_get_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    spans = Span(0, 1, "C#"), Span(1, 2, "C++")
    write_conll("code.conll", [Sentence(("a", "of"), spans)] * 3)
    assert main(["data", "check", "code.conll", "--backbone", "tiny", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["mentions"], found["duplicates"], found["read_as"]) == ({"C#": 3, "C++": 3}, 2, "CoNLL columns")
    assert found["words_of_texts"] == {"least": 2, "median": 2, "most": 2}
    assert found["sub_words"] == {"all": 6, "unknown": 0, "unknown_words": []}
    assert any("reads the labels 'C#', 'C++' as the same words" in warning for warning in found["warnings"])


@pytest.mark.usefixtures("folder")
def test_a_file_that_cannot_be_learned_from_is_reported_and_refused(capsys: pytest.CaptureFixture[str]) -> None:
    write_conll("none.conll", [Sentence(("soup",))])
    assert main(["data", "check", "none.conll", "--backbone", "tiny"]) == 2
    shown = capsys.readouterr()
    assert "1 sentence, 1 word, 0 types" in shown.out
    said = "none.conll: The training set has no entities: every sentence is without spans."
    assert shown.err.splitlines()[-1] == f"error: {said}"
