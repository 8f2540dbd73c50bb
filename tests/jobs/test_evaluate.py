"""Scores of a published prompt, of the requested version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

from lightner.data.formats import write_conll
from lightner.evaluation.reports import iob2
from lightner.evaluation.scoring import predict
from lightner.jobs.evaluate import main
from lightner.jobs.options import EvaluateOptions
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


def test_a_requested_version_is_scored_instead_of_the_live_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = prepare(tmp_path)
    place.publish("movies", seed=2)
    write_conll(file := tmp_path / "test.conll", SENTENCES)
    options = EvaluateOptions(domain="movies", test=str(file), registry=place.registry.url, backbone=str(place.folder))
    for reference, seed in (("live", 2), ("v000001", 1)):
        assert main(replace(options, reference=reference)) == 0
        assert f"movies v00000{seed} on {file}\n{report(place, seed)}\n" in capsys.readouterr().out
    assert report(place, 1) != report(place, 2)
    assert main(replace(options, reference="v000003")) == 2
    assert "v000003" in capsys.readouterr().err


def test_a_type_that_the_prompt_lacks_is_named_with_what_cannot_be_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = prepare(tmp_path)
    soup = Sentence(("mary", "likes", "soup", "and", "bread"), (Span(2, 3, "dish"), Span(4, 5, "dish")))
    tuesday = Sentence(("on", "tuesday"), (Span(1, 2, "day"),))
    options = EvaluateOptions(domain="movies", test="", registry=place.registry.url, backbone=str(place.folder))
    for name, sentences, said in (
        ("known", SENTENCES, None),
        ("one", [*SENTENCES, soup], "the prompt has no label 'dish': none of their 2 entities can be found"),
        ("two", [*SENTENCES, soup, tuesday], "the prompt has no label 'day', 'dish': none of their 3 entities can be"),
    ):
        write_conll(file := tmp_path / f"{name}.conll", sentences)
        assert main(replace(options, test=str(file))) == 0
        warned = [
            line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: the prompt has no")
        ]
        assert len(warned) == (said is not None)
        assert not said or warned[0].startswith(f"warning: {said}")


def test_a_registry_that_does_not_exist_is_named_and_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_conll(file := tmp_path / "test.conll", SENTENCES)
    assert main(EvaluateOptions(domain="movies", test=str(file), registry=str(tmp_path / "registyr"))) == 2
    assert f"found no folder {tmp_path}/registyr" in capsys.readouterr().err
    assert not (tmp_path / "registyr").exists()
