"""Scores of a published prompt: of the version that was asked for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from lightner.data.formats import write_conll
from lightner.evaluation.reports import iob2
from lightner.evaluation.scoring import predict
from lightner.jobs import evaluate
from lightner.store.loading import prompt_for
from lightner.types import Sentence, Span
from tests.support.serving import Place, prepare

SENTENCES = [
    Sentence(("ada", "lives", "in", "paris"), (Span(0, 1, "PER"), Span(3, 4, "LOC"))),
    Sentence(("emil", "and", "mary", "of", "oslo"), (Span(0, 1, "PER"), Span(2, 3, "PER"), Span(4, 5, "LOC"))),
]


def report(place: Place, seed: int) -> str:
    prompt = prompt_for(place.artifact("movies", seed), place.backbone)
    names = {"PER": "PER", "LOC": "LOC"}
    found = predict(place.backbone, prompt, SENTENCES)
    gold, predicted = (
        [iob2(spans, len(sentence.words), names, where="") for sentence, spans in zip(SENTENCES, side, strict=True)]
        for side in ([sentence.spans for sentence in SENTENCES], found)
    )
    text: str = classification_report(gold, predicted, mode="strict", scheme=IOB2, digits=4, zero_division=0)
    return text


def test_another_version_than_the_live_one_is_scored_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = prepare(tmp_path)
    place.publish("movies", seed=2)
    write_conll(file := tmp_path / "test.conll", SENTENCES)
    command = ["evaluate.py", "--domain", "movies", "--test", str(file), "--registry", place.registry.url]
    for more, seed in (([], 2), (["--prompt", "v000001"], 1)):
        monkeypatch.setattr(sys, "argv", [*command, "--backbone", str(place.folder), *more])
        assert evaluate.main() == 0
        assert f"movies v00000{seed} on {file}\n{report(place, seed)}\n" in capsys.readouterr().out
    assert report(place, 1) != report(place, 2)
    monkeypatch.setattr(sys, "argv", [*command, "--backbone", str(place.folder), "--prompt", "v000003"])
    assert evaluate.main() == 2
    assert "v000003" in capsys.readouterr().err
