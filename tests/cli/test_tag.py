"""`lightner tag`: texts and lines of files, read here and by a service, as text and as JSON."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lightner.cli.tag
from lightner.cli import main
from lightner.service.middleware import Keys
from lightner.service.replica import BackboneReplica
from lightner.service.routes import create_app
from lightner.service.settings import RequestLimits
from lightner.store.loading import prompt_for
from lightner.tagger import Tagger
from lightner.types import TaggedText
from tests.support.fitted import with_calibration
from tests.support.served import listening
from tests.support.serving import TEXTS, Place, entities_of
from tests.support.teaching import desk_of

KEY = "a key of the tests"


@pytest.fixture(scope="module")
def url(place: Place) -> Iterator[str]:
    """The place's service, which wants a key."""
    reader = BackboneReplica(place.settings)
    app = create_app(reader, keys=Keys(KEY, None), limits=RequestLimits(), desk=desk_of(place.registry.url, reader))
    with listening(app) as address:
        yield address


def here(place: Place, *words: str) -> list[str]:
    return ["tag", "--domain", "movies", "--registry", place.registry.url, "--backbone", str(place.folder), *words]


def rows_of(shown: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in shown.splitlines()]


def expected(place: Place, text: str, seed: int = 1) -> dict[str, Any]:
    tagged = place.offline("movies", text, seed)
    version = f"v00000{seed}"
    found = {"domain": "movies", "prompt_version": version, "text": text, "entities": entities_of(tagged)}
    return {**found, "windows": tagged.windows}


def test_texts_have_the_librarys_answers(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(here(place, "--json", TEXTS[0], TEXTS[3])) == 0
    rows = rows_of(capsys.readouterr().out)
    assert rows == [expected(place, TEXTS[0]), expected(place, TEXTS[3])]
    assert sum(len(row["entities"]) for row in rows) > 1
    place.publish("movies", seed=2)
    try:
        assert main(here(place, "--json", "--prompt", "v000002", TEXTS[0])) == 0
        assert rows_of(capsys.readouterr().out) == [expected(place, TEXTS[0], 2)]
    finally:
        place.registry.set_alias("movies", "live", "v000001")


def test_entities_follow_their_text_in_columns(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(here(place, TEXTS[0])) == 0
    text, *lines = capsys.readouterr().out.splitlines()
    assert text == TEXTS[0]
    entities = place.offline("movies", TEXTS[0]).entities
    assert [line.split() for line in lines] == [
        [each.label, f"{each.start}..{each.end}", *each.text.split(), f"{each.score:.2f}"] for each in entities
    ]


def test_every_line_of_a_file_or_of_standard_input_is_a_text(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"Ada lives in Oslo {n}" for n in range(70)] + ["", "mary"]
    (file := tmp_path / "in.txt").write_text("\n".join(lines) + "\n")
    assert main(here(place, "--json", "--file", str(file))) == 0
    first = rows_of(capsys.readouterr().out)
    assert [row["text"] for row in first] == lines
    assert first[-1] == expected(place, "mary")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    assert main(here(place, "--json", "--file", "-")) == 0
    assert rows_of(capsys.readouterr().out) == first


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "found no text and no --file"),
        (["a", "--file", "f"], "found both texts and --file, expected one"),
        (["--file", "none.txt"], "none.txt: found 'No such file or directory', expected a readable file"),
        (["--file", "latin.txt"], "latin.txt:2: found byte 0xe9, expected UTF-8"),
        (["a", "--domain", "nowhere"], "found no alias 'live' of domain 'nowhere'"),
        (["a", "--registry", "nowhere"], "found no folder"),
        (["a", "--url", "ftp://x"], "expected http://"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    place: Place,
    tmp_path: Path,
    words: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("latin.txt").write_bytes("a\ncafé\n".encode("latin-1"))
    assert main(here(place, *words)) == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert said in line


def test_a_service_is_asked_with_its_key_and_gives_the_same_answers(
    place: Place, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["tag", "--domain", "movies", "--url", url, "--json", *TEXTS[:4]]
    monkeypatch.setenv("LIGHTNER_READ_KEY", KEY)
    assert main(words) == 0
    assert rows_of(capsys.readouterr().out) == [expected(place, text) for text in TEXTS[:4]]
    assert main([*words, "--domain", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err
    monkeypatch.delenv("LIGHTNER_READ_KEY")
    assert main(words) == 2
    assert "401" in capsys.readouterr().err


LABELS = "food: soup, person, place: a city of the group"
GIVEN = {"food": "soup", "person": None, "place": "a city of the group"}


def by_labels(place: Place, text: str) -> dict[str, Any]:
    tagged = place.offline_labels(GIVEN, text)
    return {"domain": None, "text": text, "entities": entities_of(tagged), "windows": tagged.windows}


def test_labels_in_place_of_a_domain_tag_here_and_by_a_service(
    place: Place, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected_rows = [by_labels(place, text) for text in TEXTS]
    assert sum(len(row["entities"]) for row in expected_rows) > 1
    assert main(["tag", "--labels", LABELS, "--backbone", str(place.folder), "--json", *TEXTS]) == 0
    assert rows_of(capsys.readouterr().out) == expected_rows
    monkeypatch.setenv("LIGHTNER_READ_KEY", KEY)
    assert main(["tag", "--labels", LABELS, "--url", url, "--json", *TEXTS]) == 0
    assert rows_of(capsys.readouterr().out) == expected_rows
    assert main(["tag", "--labels", "C, C++", "--url", url, "a"]) == 2
    assert "found equal label words for 'C', 'C++'" in capsys.readouterr().err


def test_descriptions_of_labels_come_from_a_file(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file := tmp_path / "texts.json").write_text(json.dumps({name: text for name, text in GIVEN.items() if text}))
    words = ["tag", "--labels", ",".join(GIVEN), "--descriptions", str(file), "--backbone", str(place.folder)]
    assert main([*words, "--json", TEXTS[3]]) == 0
    assert rows_of(capsys.readouterr().out) == [by_labels(place, TEXTS[3])]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "found neither --domain nor --labels, expected one"),
        (["--labels", "a", "--domain", "movies"], "found both --domain and --labels, expected one"),
        (["--domain", "movies", "--label-words", "w.json"], "found w.json beside --domain"),
        (["--labels", "a", "--prompt", "v000001"], "found --prompt v000001 beside --labels, which have no versions"),
        (["--labels", "a, a"], "--labels: found 'a' twice, expected distinct names"),
    ],
)
def test_one_of_a_domain_and_labels_reads(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tag", *words, "a text"]) == 2
    assert said in capsys.readouterr().err


def test_a_service_that_is_not_there_is_a_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lightner.cli.tag, "_PATIENCE_S", 0.1)
    assert main(["tag", "--domain", "movies", "--url", "http://127.0.0.1:1", "a"]) == 1
    assert "error: POST http://127.0.0.1:1/v1/domains/movies/entities" in capsys.readouterr().err


def test_thresholds_leave_entities_out_here_and_by_a_service(
    place: Place, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = with_calibration(
        place.artifact("fitted"), temperature=2.0, offset=-1.0, threshold=0.2, thresholds={"PER": 0.3}
    )
    place.registry.publish(made)
    tagger = Tagger(place.backbone, prompt_for(made, place.backbone))
    monkeypatch.setenv("LIGHTNER_READ_KEY", KEY)
    words = ["--domain", "fitted", "--json", *TEXTS]
    given: list[tuple[list[str], dict[str, Any]]] = [
        ([], {}),
        (["--threshold", "tuned"], {"threshold": "tuned"}),
        (
            ["--threshold", "0.3", "--thresholds", "PER=0", "LOC=0.4"],
            {"threshold": 0.3, "thresholds": {"PER": 0, "LOC": 0.4}},
        ),
    ]
    counts = set()
    for more, options in given:
        expected_ones = [entities_of(TaggedText(tuple(each), 1)) for each in tagger.tag(TEXTS, **options)]
        counts.add(sum(map(len, expected_ones)))
        for read_by in (["--registry", place.registry.url, "--backbone", str(place.folder)], ["--url", url]):
            assert main(["tag", *words, *read_by, *more]) == 0
            assert [row["entities"] for row in rows_of(capsys.readouterr().out)] == expected_ones
    assert len(counts) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--threshold", "half"], "--threshold: found 'half', expected a number from 0 to 1"),
        (["--thresholds", "PER"], "--thresholds: found 'PER', expected a label and a number, as in dish=0.5"),
        (["--thresholds", "PER=2"], "--thresholds: found '2', expected a number from 0 to 1"),
        (["--thresholds", "city=0.5"], "thresholds: found labels ['city'], expected some of ['LOC', 'PER']"),
    ],
)
def test_what_is_no_threshold_is_refused(
    place: Place, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*here(place, "a text"), *words]) == 2
    assert said in capsys.readouterr().err
