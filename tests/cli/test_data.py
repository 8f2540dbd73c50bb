"""`lightner data`: samples written as files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lightner.cli import main
from lightner.data.formats import read, write_conll
from lightner.data.sampling import k_shot
from lightner.types import Sentence, Span

SENTENCES = [
    Sentence((f"ada{n}", "saw", f"rome{n}"), (Span(0, 1, "person"), *((Span(2, 3, "city"),) if n % 3 else ())))
    for n in range(30)
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_conll(made := tmp_path / "train.conll", SENTENCES)
    return made


@pytest.mark.parametrize("suffix", [".conll", ".jsonl", ".txt"])
def test_a_sample_is_written_by_the_suffix_and_reads_back(
    file: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = file.with_name(f"five{suffix}")
    assert main(["data", "kshot", str(file), "--k", "5", "--seed", "3", "--out", str(out)]) == 0
    sample = read(out)
    assert sample == k_shot(SENTENCES, k=5, seed=3)
    mentions = Counter(span.label for sentence in sample for span in sentence.spans)
    assert set(mentions) == {"city", "person"}
    assert min(mentions.values()) >= 5
    assert capsys.readouterr().out == f"{out}: {len(sample)} of 30 sentences, {mentions.total()} mentions\n"
    assert out.read_text().startswith("{") == (suffix == ".jsonl")


def test_the_sample_depends_on_the_seed_and_not_on_the_order(file: Path) -> None:
    def sampled(source: Path, seed: int) -> str:
        out = source.with_name("sample.conll")
        assert main(["data", "kshot", str(source), "--k", "4", "--seed", str(seed), "--out", str(out)]) == 0
        return out.read_text()

    write_conll(reordered := file.with_name("reordered.conll"), SENTENCES[::-1])
    first = sampled(file, 0)
    assert sorted(first.split("\n\n")) != sorted(sampled(file, 1).split("\n\n"))
    assert {each.strip() for each in sampled(reordered, 0).split("\n\n")} == {
        each.strip() for each in first.split("\n\n")
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--k", "0", "--out", "o.conll"], "--k: found '0', expected a whole number, at least 1"),
        (["--k", "3", "--out", "train.conll"], "--out: found the file train.conll that is sampled"),
        (["--k", "3"], "Missing option '--out'"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    file: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    before = file.read_text()
    assert main(["data", "kshot", "train.conll", *words]) == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")
    assert [each.read_text() for each in file.parent.iterdir()] == [before]
