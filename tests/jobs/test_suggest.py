"""What to label next: the least sure, diverse, new to the domain, and readable where it is labelled."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lightner.cli import main
from lightner.data.active_learning import Unlabelled, choose
from lightner.data.formats import read
from lightner.store.artifact import PromptArtifact
from lightner.store.lineage import Measured, traces
from lightner.store.loading import prompt_for
from lightner.tagger import WindowedText, read_texts
from lightner.types import Sentence
from tests.support.serving import Place, entities_of, prepare

TEXTS = [
    "Ada lives in Paris and likes soup.",
    "Emil and Mary of Oslo, on Monday: bread to Rome!",
    "the group likes bread and 😀 soup in Rome",
    "mary",
    "a place to a person in the city on Monday",
    "soup of the city",
]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return prepare(tmp_path / "place")


def learn(place: Place, *sentences: Sentence, domain: str = "movies") -> None:
    """Publish a version that has learned from these."""
    made = place.artifact(domain, seed=1)
    data: Any = traces(sentences, Measured((), ()))
    place.registry.publish(PromptArtifact(replace(made.card, data=data), made.tensors))


def texts_in(folder: Path, texts: list[str] = TEXTS) -> Path:
    (file := folder / "notes.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    return file


def suggest(place: Place, file: Path, *more: str) -> int:
    where = ["--registry", place.registry.url, "--backbone", str(place.folder)]
    return main(["suggest", "--domain", "movies", "--texts", str(file), *where, *more])


def rows(shown: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in shown.splitlines()]


def certainties(place: Place) -> dict[str, float]:
    """The geometric mean over the steps, computed text by text."""
    prompt = prompt_for(place.artifact("movies"), place.backbone)
    return {
        text: math.exp(read_texts(place.backbone, [(prompt, WindowedText.of(text, prompt.reach))])[0].mean_log_p)
        for text in TEXTS
    }


def test_the_least_sure_come_first_with_what_was_found(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learn(place)
    assert suggest(place, texts_in(tmp_path), "--n", "3") == 0
    shown = capsys.readouterr()
    found, expected = rows(shown.out), certainties(place)
    assert [row["text"] for row in found] == sorted(TEXTS, key=expected.__getitem__)[:3]
    for row in found:
        assert row["certainty"] == pytest.approx(expected[row["text"]], abs=1e-4)
        assert row["found_by"] == "movies v000002"
        assert row["entities"] == entities_of(place.offline("movies", row["text"]))
    assert shown.err.splitlines()[-1] == "3 of 6 texts; 0 are learned, blank or twice"


def test_nothing_is_suggested_that_the_domain_has_learned_from(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """However the training file had split it, and in whichever version; a text is known if all its sentences are."""
    split_otherwise = Sentence(tuple(TEXTS[0].split()))
    learn(place, split_otherwise)
    learn(place, Sentence(("mary",)), Sentence(("soup", "of", "the", "city")))
    learn(place, Sentence(("Ada", "is", "here", ".")), Sentence(("Emil", "too", ".")))
    more = ["Ada is here. Emil too.", "Ada is here. Mary is not.", "", "soup of the city"]
    assert suggest(place, texts_in(tmp_path, [*TEXTS, *more]), "--n", "99") == 0
    shown = capsys.readouterr()
    assert {row["text"] for row in rows(shown.out)} == {TEXTS[1], TEXTS[2], TEXTS[4], more[1]}
    assert shown.err.splitlines()[-1] == "4 of 10 texts; 6 are learned, blank or twice"
    assert "warning: what movies v000001 has learned from is not known: its card does not say" in shown.err


def test_texts_that_are_alike_come_after_all_that_are_not() -> None:
    words = ("a b c d", "A b c e", "f g", "a b x y z", "f g h")
    sure = [-3.0, -2.9, -1.0, -2.0, -0.5]
    texts = [Unlabelled.of(text.split(), each, ["dish"]) for text, each in zip(words, sure, strict=True)]
    assert choose(texts, 3) == [0, 3, 2]
    assert choose(texts, 4) == [0, 3, 2, 1]
    assert choose(texts, 99) == [0, 3, 2, 1, 4]
    assert choose([], 3) == []


def test_labels_are_suggested_in_turn() -> None:
    """The least sure ten of 50 support tickets held no person at all."""
    found = [["error"], ["error"], ["error", "product"], ["person"], [], ["person"], ["error", "person"]]
    texts = [Unlabelled.of([f"word{place}"], place - 9.0, labels) for place, labels in enumerate(found)]
    assert choose(texts, 7) == [0, 2, 3, 4, 5, 1, 6]
    assert choose(texts, 3) == [0, 2, 3]


@pytest.mark.parametrize("tool", ["jsonl", "doccano", "prodigy", "conll"])
def test_what_is_written_for_a_tool_is_read_back_with_its_entities(place: Place, tmp_path: Path, tool: str) -> None:
    learn(place)
    out = tmp_path / ("out.conll" if tool == "conll" else "out.jsonl")
    assert suggest(place, texts_in(tmp_path), "--to", tool, "--out", str(out)) == 0
    found = {" ".join(sentence.words): sentence for sentence in read(out)}
    assert len(found) == len(TEXTS)
    prompt = prompt_for(place.artifact("movies"), place.backbone)
    for text in TEXTS:
        windowed = WindowedText.of(text, prompt.reach)
        (reading,) = read_texts(place.backbone, [(prompt, windowed)])
        assert found[" ".join(windowed.read)].spans == tuple(span for span, _ in reading.spans)


def test_prodigy_gets_words_and_spans_in_words(place: Place, tmp_path: Path) -> None:
    learn(place)
    assert suggest(place, texts_in(tmp_path), "--to", "prodigy", "--out", str(tmp_path / "out.jsonl")) == 0
    found = rows((tmp_path / "out.jsonl").read_text(encoding="utf-8"))
    assert sum(len(row["spans"]) for row in found) > 2
    for row in found:
        spaced = "".join(token["text"] + " " * token["ws"] for token in row["tokens"])
        assert spaced == row["text"]
        for span in row["spans"]:
            first, last = row["tokens"][span["token_start"]], row["tokens"][span["token_end"]]
            assert (span["start"], span["end"]) == (first["start"], last["end"])
            assert 0 < span["score"] <= 1


def test_label_studio_gets_predictions_in_its_own_offsets(place: Place, tmp_path: Path) -> None:
    learn(place)
    out = tmp_path / "tasks.json"
    assert suggest(place, texts_in(tmp_path), "--to", "label_studio", "--out", str(out)) == 0
    tasks = json.loads(out.read_text(encoding="utf-8"))
    for task in tasks:
        units = task["data"]["text"].encode("utf-16-le")
        for result in task["predictions"][0]["result"]:
            value = result["value"]
            assert units[2 * value["start"] : 2 * value["end"]].decode("utf-16-le") == value["text"]
            assert 0 < result["score"] <= 1
    # What people accept as it is comes back as annotations.
    accepted = [{"id": n, "data": task["data"], "annotations": task["predictions"]} for n, task in enumerate(tasks)]
    out.write_text(json.dumps(accepted), encoding="utf-8")
    assert sum(len(sentence.spans) for sentence in read(out)) == sum(
        len(place.offline("movies", text).entities) for text in TEXTS
    )


def test_texts_may_be_rows_of_words(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learn(place)
    (file := tmp_path / "in.jsonl").write_text('{"tokens": ["Ada", "likes", "soup."]}\n{"text": "mary"}\n')
    assert suggest(place, file) == 0
    assert {row["text"] for row in rows(capsys.readouterr().out)} == {"Ada likes soup.", "mary"}


@pytest.mark.parametrize(
    ("content", "more", "said"),
    [
        ("mary\n", [], "found no record of the sentences that it learned from"),
        ("\n", ["--prompt", "v000002"], "found no text that movies has not learned from, expected some"),
        ('{"text": "a", "domain": "recipes"}\n', ["--prompt", "v000002", "--format", "jsonl"],
         "notes.txt:1: domain: found 'recipes', expected 'movies' or none"),
        ("mary\n", ["--prompt", "v000002", "--out", "notes.txt"], "--out: found the file notes.txt that is read"),
        ("mary\n", ["--to", "excel"], "--to: found 'excel', expected one of ['label_studio',"),
        ("mary\n", ["--prompt", "v000002", "--texts", "none.txt"], "none.txt: found 'No such file or directory'"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(
    place: Place,
    tmp_path: Path,
    content: str,
    more: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    learn(place)
    place.registry.set_alias("movies", "live", "v000001")
    Path("notes.txt").write_text(content)
    assert suggest(place, Path("notes.txt"), *more) == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert said in line
    assert Path("notes.txt").read_text() == content
