"""The tuning job on a real Ray: submitted, killed, resumed, refused; its output and its published prompt."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lightner.cli import main
from lightner.data.formats import labels_of, read, write_conll
from lightner.evaluation import confusions, reports
from lightner.evaluation.metrics import score
from lightner.jobs import sources
from lightner.jobs.on_ray import local, session
from lightner.model import backbone
from lightner.store.artifact import PromptArtifact
from lightner.store.lineage import Measured, traces
from lightner.store.loading import prompt_for
from lightner.store.registry import Registry
from lightner.tagger import tag_words
from lightner.types import InputError, LabelSet, Sentence, Span
from tests.support.jobs import start, wait_for, words
from tests.support.paths import CHECKOUT
from tests.support.tiny import tiny_artifact, tiny_backbone


def status_of(command: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit status of a job in this process, for cases without Ray."""
    monkeypatch.setattr(session, "connect", lambda *_, **__: pytest.fail("a Ray was joined"))
    return main(["tune", *command[1:]])


@pytest.mark.ray
def test_a_submitted_job_publishes_and_does_nothing_the_second_time(
    head: local.Head, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    submit = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit", "--address", head.dashboard]
    more = ["--test", str(place / "train.conll"), "--rates", "0.01", "0.03", "--seeds", "2"]
    command = words(place, "houses", *more, pin="whole.yaml")
    submit += ["--working-dir", ".", "--", "python", *command]
    done = subprocess.run(submit, cwd=CHECKOUT, env=local.environment(), capture_output=True, text=True, timeout=400)
    first = done.stdout
    assert done.returncode == 0, first + done.stderr
    assert "published houses v000001" in first
    assert re.search(r"length +rate +rounds +best +precision +recall +f1", first)
    assert "each measured on 20 sentences, each by the one of 2 folds that did not learn from it" in first
    assert re.search(r"^f1 [\d.]+, 95 % interval [\d.]+ to [\d.]+$", first, re.MULTILINE)
    assert (kept := re.search(r"^kept as scan.png, scan.html and scan.txt in (.+)$", first, re.MULTILINE))
    assert (Path(kept[1]) / "scan.txt").read_text() in first
    beside = place / "registry" / "houses" / "versions" / "v000001"
    for picture in ("scan.png", "scan.html"):
        assert (beside / picture).read_bytes() == (Path(kept[1]) / picture).read_bytes()
    _, artifact = Registry.open(str(place / "registry")).fetch("houses")
    assert artifact.card.labels == ("building", "person")
    assert "draft.tagger" in artifact.tensors
    tuning: Any = artifact.card.tuning
    measured: Any = artifact.card.metrics
    assert tuning["folds"] == 2
    assert [len(row["f1_by_round"]) for row in tuning["scan"]] == [4, 4], "no trial is stopped early"
    [row] = [row for row in tuning["scan"] if row["learning_rate"] == tuning["learning_rate"]]
    assert row["f1"] == max(row["f1"] for row in tuning["scan"])
    assert tuning["stopped_after_round"] == row["best_round"] >= 2
    assert measured["f1"] == row["f1"] == row["f1_by_round"][row["best_round"] - 1]
    assert measured["f1_interval"]["low"] <= measured["f1"] <= measured["f1_interval"]["high"]
    assert measured["support"] == 40, "every mention of the training file was held out once"
    seeds = measured["other_seeds"]
    assert len(seeds["f1"]) == 2
    assert seeds["f1_mean"] == pytest.approx(sum(seeds["f1"]) / 2)
    assert f"f1 over 2 other seeds: mean {100 * seeds['f1_mean']:.1f}, standard deviation" in first
    assert set(measured["types"]) == {"building", "person"}
    assert artifact.card.data["sentences"] == 20
    assert status_of(command, monkeypatch) == 0
    assert "nothing to do: houses v000001" in capsys.readouterr().out
    assert Registry.open(str(place / "registry")).versions("houses") == ("v000001",)

    evaluated = subprocess.run(
        [sys.executable, "jobs/evaluate.py", "--domain", "houses", "--test", str(place / "train.conll"),
         "--registry", str(place / "registry"), "--backbone", str(place / "tiny")],
        cwd=CHECKOUT, env=local.environment(), capture_output=True, text=True, timeout=200, check=True,
    )  # fmt: skip
    sentences = read(place / "train.conll")
    base = backbone.load(str(place / "tiny"))
    found = tag_words(base, [(prompt_for(artifact, base), sentence.words) for sentence in sentences])
    predicted = [[span for span, _ in spans] for spans in found]
    gold = [sentence.spans for sentence in sentences]
    expected = reports.report(gold, predicted)
    assert expected in evaluated.stdout
    assert "has learned from 20 of these 20 sentences" in evaluated.stdout
    assert confusions.describe(confusions.errors(gold, predicted)) in evaluated.stdout
    assert expected in first


@pytest.mark.ray
def test_unlabelled_sentences_are_learned_from_only_where_that_helps(
    head: local.Head, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts, domain = place / "texts.txt", "more-houses"
    texts.write_text("".join(f"{name} saw the blue house{number}\n" for number, name in enumerate(("Ana", "Bob") * 20)))
    command = words(place, domain, "--unlabelled", str(texts), pin="whole.yaml")
    log = place / f"{domain}.log"
    assert start(head, *command, log=log).wait(timeout=300) == 0, log.read_text()
    _, artifact = Registry.open(str(place / "registry")).fetch(domain)
    tuning: Any = artifact.card.tuning
    found = tuning["self_training"]
    assert found["unlabelled_sentences"] == 40
    assert found["learned"] == (found["f1_with"] > found["f1_without"])
    assert found["f1_without"] == max(row["f1"] for row in tuning["scan"])
    assert artifact.card.metrics["f1"] == max(found["f1_with"], found["f1_without"])
    assert tuning["steps"] == (24 if found["learned"] else 16)
    assert artifact.card.data["sentences"] == 20
    end = "help and are learned from" if found["learned"] else "do not help and are left out"
    assert f"with 40 unlabelled sentences, which {end}" in log.read_text()
    assert status_of(command, monkeypatch) == 0
    assert "nothing to do" in capsys.readouterr().out


@pytest.mark.ray
def test_a_worse_version_is_a_candidate_until_it_is_forced(
    head: local.Head,
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    registry, sentences = Registry.open(str(place / "registry")), read(place / "train.conll")
    labels = LabelSet.of(labels_of(sentences))
    found = tiny_artifact(backbone.load(str(place / "tiny")), "gated", labels=labels)
    perfect = Measured(sentences, tuple(score([each.spans], [each.spans]) for each in sentences))
    card = replace(found.card, metrics={"f1": 1.0}, data=traces(sentences, perfect))

    def run(*more: str) -> str:
        assert status_of(words(place, "gated", *more), monkeypatch) == 0
        return capsys.readouterr().out.splitlines()[-1]

    process = start(head, *words(place, "gated"), log=(log := tmp_path / "log"))
    wait_for(log, "each measured on", process)
    registry.publish(PromptArtifact(card, found.tensors))  # only now: the version that is live at the end counts
    assert process.wait(timeout=900) == 0, log.read_text()
    last = log.read_text().splitlines()[-1]
    assert "published gated v000002" in last
    assert "as candidate only: the live version is better" in last
    assert registry.aliases("gated") == {"live": "v000001", "candidate": "v000002"}
    compared = registry.fetch("gated", "candidate")[1].card.tuning["gate"]
    assert isinstance(compared, str)
    assert "100.0 of the live version, measured on the same 20 sentences" in compared
    assert "nothing to do: gated v000002 is the candidate" in run()
    assert "now it is live" in run("--force")
    assert registry.resolve("gated") == "v000002"
    assert "nothing to do: gated v000002 is live" in run()


def test_a_plan_takes_the_lengths_of_the_prompt_that_it_starts_from(place: Path) -> None:
    base = backbone.load(str(place / "tiny"))
    registry = Registry.open(str(place / "sources"))
    labels = LabelSet.of(["harbour", "person"])
    registry.publish(tiny_artifact(base, "ships", labels=labels, length=5, slots=7))
    source = sources.find(registry, "ships", base, sentences=())
    assert (source.reference, source.lengths) == ("ships@v000001", {"prompt_length": 3, "feed_forward_slots": 7})
    assert sources.find(registry, "ships@v000001", base, sentences=()).reference == source.reference
    registry.publish(tiny_artifact(base, "bare", labels=labels, length=1))
    with pytest.raises(InputError, match=r"--from bare: found 1 slots"):
        sources.find(registry, "bare", base, sentences=())
    with pytest.raises(InputError, match="tiny-bart-1"):
        sources.find(registry, "ships", tiny_backbone(1), sentences=())


def test_a_job_starts_from_another_domains_prompt_of_other_labels(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = Registry.open(str(place / "registry"))
    base = backbone.load(str(place / "tiny"))
    registry.publish(tiny_artifact(base, "ships", labels=LabelSet.of(["harbour", "person"]), length=5, slots=7))
    assert status_of(words(place, "moved", "--from", "ships", "--dry-run"), monkeypatch) == 0
    said = capsys.readouterr().out
    assert "starting from ships@v000001" in said
    warning = "ships@v000001 has learned, or may have, from 20 of the 20 sentences that trials are measured on"
    assert f"warning: {warning}" in said


def test_a_dry_run_says_what_would_be_done_and_touches_nothing(place: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    more = ["--dry-run", "--lengths", "2", "3", "--registry", str(home / "registry"), "--storage", str(home / "runs")]
    done = subprocess.run(
        [sys.executable, *words(place, "rehearsed", *more)],
        cwd=CHECKOUT, env={**local.environment(), "RAY_ADDRESS": "127.0.0.1:1"}, capture_output=True, text=True,
        timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"{place / 'train.conll'}: columns: word 1, tag 2 of 2"
    assert lines[1:4] == ["20 sentences, 100 words, 2 types", "  building  20 mentions", "  person    20 mentions"]
    settings = dict(line.split(maxsplit=1) for line in lines if line.startswith("  "))
    assert settings["prompt_length"] == "2, 3  (scanned)"
    assert (settings["steps"], settings["learning_rate"]) == ("16", "0.01")
    assert "2 trials, each measured on 20 sentences, each by the one of 3 folds that did not learn from it" in lines
    assert "a trial: 11 steps for each of 3 folds, scored after each of 4 rounds" in lines
    assert (settings["folds"], settings["early_stopping"], settings["workers"]) == ("3", "True", "1")
    assert re.search(r"^at most \d+ s for the scan, 6 of 8 rounds, one after the other$", done.stdout, re.MULTILINE)
    assert not home.exists()


def test_labels_that_the_backbone_reads_as_the_same_words_are_named_in_a_warning(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sentences = [
        Sentence(("we", "use", "ada", f"{number}"), (Span(2, 3, label),))
        for number in range(9)
        for label in ("C++", "C#")
    ]
    write_conll(tmp_path / "code.conll", sentences)
    warning = "The backbone reads the labels 'C#', 'C++' as the same words: only examples tell them apart."
    command = words(place, "code", "--dry-run", train=str(tmp_path / "code.conll"))
    assert status_of(command, monkeypatch) == 0
    assert warning in capsys.readouterr().out
    (tmp_path / "words.json").write_text('{"C++": ["see", "plus"], "C#": ["sharp"]}')
    assert status_of([*command, "--label-words", str(tmp_path / "words.json")], monkeypatch) == 0
    assert warning not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--train", "nowhere.conll"], "nowhere.conll"),
        (["--domain", "No Name"], "--domain: found 'No Name'"),
        (["--rates", "-1"], "found '-1', expected a number above 0"),
        (["--budget", "0"], "found '0', expected a number of minutes above 0"),
        (["--lengths", "many"], "found 'many', expected a whole number"),
        (["--seeds", "1"], "found '1', expected a whole number, at least 2"),
        (["--seed", str(2**64)], f"found '{2**64}', expected at most {2**32 - 1}"),
        (["--storage", "~nobody-here/runs"], "found '~nobody-here/runs', expected the name of a user after ~"),
        (["--shard"], "--shard: found 1 workers, expected at least 2"),
        (["--log", "tensorboard"], "--log: found 'tensorboard', expected one of ['mlflow', 'wandb']"),
        (["--pin", "bad.yaml"], "bad.yaml: found settings ['stepps'], expected some of ['batch_size',"),
        (["--pin", "folds.yaml"], "folds.yaml: folds: found 21, expected at most 20 of 20 different sentences"),
        (["--pin", "steps.yaml"], "steps.yaml: pinned setting 'steps': found 0, expected at least 1"),
        (["--pin", "early.yaml"], "early.yaml: pinned setting 'early_stopping': found 1, expected a bool"),
        (["--train", "bad.conll"], "bad.conll:1: found"),
        (["--train", "spaced.conll"], r"found 'first\xa0name', expected printable text"),
        (["--label-words", "words.json"], "['nobody']"),
    ],
)
def test_bad_input_is_one_line_and_starts_nothing(
    place: Path, more: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, pins in (
        ("bad", "stepps: 3"),
        ("folds", "folds: 21"),
        ("steps", "steps: 0"),
        ("early", "early_stopping: 1"),
    ):
        (place / f"{name}.yaml").write_text(pins)
    (place / "bad.conll").write_text("lonely\n")
    (place / "spaced.conll").write_text("Ana\tB-first\u00a0name\nsaw\tO\n\nBob\tB-first\u00a0name\n")
    (place / "words.json").write_text('{"nobody": ["word"]}')
    files = [str(place / word) if word.endswith((".conll", ".yaml", ".json")) else word for word in more]
    status = status_of(words(place, "refused", *files), monkeypatch)
    shown = capsys.readouterr()
    assert status == 2, shown.err
    [line] = [line for line in shown.err.splitlines() if line.startswith("error:")]
    assert said in line
    assert "refused" not in Registry.open(str(place / "registry")).domains()


def test_a_refused_command_ends_with_its_status_and_no_traceback(place: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *words(place, "refused", "--train", "nowhere.conll")],
        cwd=CHECKOUT, env={**local.environment(), "RAY_ADDRESS": "127.0.0.1:1"}, capture_output=True, text=True,
        timeout=200,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "error: nowhere.conll" in done.stderr
    assert "Traceback" not in done.stderr
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "ray" in imported
    assert not {"mlflow", "wandb"} & imported, "trackers take seconds to import, and nobody asked for one"
