"""`lightner data`: samples and other formats written as files."""

from __future__ import annotations

import json
import os
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


TEXTS = (
    '{"text": "Ada  is\\nin Oslo.", "entities": [{"start": 0, "end": 3, "label": "person", "score": 0.5}]}\n'
    '{"text": " "}\n{"text": "In Rome", "label": [[3, 7, "city"]]}\n'
)


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (made := Path("texts.jsonl")).write_text(TEXTS.replace('{"text": " "}', '{"text": " ", "label": []}'))
    return made


def test_conversion_says_what_was_read_and_what_the_format_does_not_hold(
    texts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "convert", str(texts), "out.bioes"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "texts.jsonl: JSON records: 2 sentences, 7 words, 2 spans (city 1, person 1)",
        "blank texts left out: 1, first at texts.jsonl:2",
        "out.bioes: written as conll-bioes",
        "out.bioes: read back, differs in white space and other characters between words (in 1 of 2 texts)",
        "out.bioes: read back, differs in scores (in 1 of 2 texts)",
    ]
    assert Path("out.bioes").read_text() == "Ada\tS-person\nis\tO\nin\tO\nOslo\tO\n.\tO\n\nIn\tO\nRome\tS-city\n"
    assert main(["data", "convert", "out.bioes", "back.jsonl", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "read_as": "CoNLL columns",
        "sentences": 2,
        "words": 7,
        "labels": {"city": 1, "person": 1},
        "columns": "word 1, tag 2 of 2",
        "repairs": [],
        "notes": [],
        "written_as": "jsonl",
        "differs_in": [],
    }
    assert read("back.jsonl") == read(texts)


def test_what_holds_everything_reports_no_difference(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "convert", str(texts), "copy.json", "--to", "jsonl", "--lossless"]) == 0
    assert "differs" not in capsys.readouterr().out
    copy = read("copy.json")
    assert [(each.text, each.spans, each.scores) for each in copy] == [
        (each.text, each.spans, each.scores) for each in read(texts)
    ]


def test_what_annotate_writes_keeps_its_scores(texts: Path) -> None:
    entity = {"start": 0, "end": 3, "text": "Ada", "label": "person", "score": 0.75}
    reader = {"domain": "people", "prompt_version": "v000001"}
    texts.write_text(json.dumps({"id": 7, **reader, "text": "Ada is.", "entities": [entity], "windows": 1}) + "\n")
    assert main(["data", "convert", str(texts), "tasks.json", "--to", "label_studio"]) == 0
    [task] = json.loads(Path("tasks.json").read_text())
    assert [(each["score"], each["value"]["text"]) for each in task["annotations"][0]["result"]] == [(0.75, "Ada")]


def test_lines_of_one_text_are_sentences_in_brat(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "convert", str(texts), "notes.ann"]) == 0
    said = "notes.ann: read back, differs in the division into sentences (2 written, 3 read back)"
    assert said in capsys.readouterr().out
    assert Path("notes.ann").read_text() == "T1\tperson 0 3\tAda\nT2\tcity 20 24\tRome\n"
    assert Path("notes.txt").read_text() == "Ada  is\nin Oslo.\nIn Rome\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["out.json"], "out.json: found suffix '.json', expected one of .conll,"),
        (["out.x", "--to", "excel"], "--to: found 'excel', expected one of ['label_studio',"),
        (["texts.jsonl"], "texts.jsonl: found the file that is read, expected another one"),
        (["out.conll", "--lossless"], "out.conll: found that it would differ as conll, read back, in white space and"),
        (["folder", "--to", "datasets"], "folder: found a folder or file that exists, expected the name of a new one"),
        (["out.x", "--to", "brat"], "out.x: found suffix '.x', expected '.ann' for BRAT"),
        (["pipe", "--to", "conll"], "pipe: found a device or pipe, expected the name of a file, which is read back"),
        (["none/out.conll"], "none/out.conll: found 'No such file or directory', expected a place to write to"),
    ],
)
def test_a_refused_conversion_writes_nothing(
    texts: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("folder").mkdir()
    os.mkfifo("pipe")
    before = texts.read_text()
    assert main(["data", "convert", str(texts), *words]) == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")
    assert {path.name for path in Path.cwd().iterdir()} == {"folder", "pipe", "texts.jsonl"}
    assert Path("pipe").is_fifo()
    assert texts.read_text() == before
