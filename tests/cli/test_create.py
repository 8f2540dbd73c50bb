"""`lightner create`: a domain from labels alone, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lightner.cli import main
from lightner.labels import label_set
from lightner.store.loading import prompt_for
from lightner.store.untuned import untuned_artifact
from lightner.tagger import tag_texts
from tests.support.serving import TEXTS, Place, entities_of


def create(place: Place, domain: str, labels: str, *more: str) -> int:
    return main(
        ["create", domain, "--labels", labels, "--registry", place.registry.url, "--backbone", str(place.folder), *more]
    )


def written(folder: Path, name: str, content: object) -> str:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return str(folder / name)


def test_a_domain_is_live_at_once_and_tags_as_its_labels_do(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert create(place, "begun", "person, place: a city to go to,") == 0
    assert capsys.readouterr().out == (f"published begun v000001 into {place.registry.url}, made from 2 labels alone\n")
    card = place.registry.card("begun", place.registry.resolve("begun"))
    assert (card.tuning, card.metrics, card.labels) == ({"tuned_on": 0}, {}, ("person", "place"))
    assert card.label_words == (("person",), ("a", "city", "to", "go", "to"))
    words = ["--registry", place.registry.url, "--backbone", str(place.folder)]
    assert main(["tag", "--domain", "begun", *words, "--json", *TEXTS]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    labels = {"place": "a city to go to", "person": None}
    assert [row["entities"] for row in rows] == [entities_of(place.offline_labels(labels, text)) for text in TEXTS]


def test_words_and_descriptions_come_from_files(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = written(tmp_path, "words.json", {"food": ["soup", "bread"]})
    assert create(place, "worded", "food, person", "--label-words", words, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"domain": "worded", "alias": "live", "version": "v000001"}
    assert place.registry.fetch("worded")[1].card.label_words == (("soup", "bread"), ("person",))
    texts = written(tmp_path, "texts.json", {"food": "soup, and bread", "person": "a person of Oslo"})
    assert create(place, "described", "food, person", "--descriptions", texts) == 0
    made = place.registry.fetch("described")[1]
    labels = label_set({"food": "soup, and bread", "person": "a person of Oslo"})
    assert made.card.label_set == labels
    prompt, own = (
        prompt_for(each, place.backbone) for each in (made, untuned_artifact("described", labels, place.backbone))
    )
    assert tag_texts(place.backbone, [(prompt, TEXTS[0])]) == tag_texts(place.backbone, [(own, TEXTS[0])])


@pytest.mark.parametrize(
    ("domain", "labels", "more", "said"),
    [
        ("movies", "person", [], "found v000001 of domain 'movies', expected none"),
        ("Movies!", "person", [], "DOMAIN: found 'Movies!', expected lower-case letters"),
        ("new", ",,", [], "labels: found none, expected at least one"),
        ("new", ": without a name", [], "labels: found the name '', expected printable text"),
        ("new", "person, city, person", [], "found 'person' twice, expected distinct names"),
        ("new", "person, somebody: person", [], "found equal label words for 'person', 'somebody'"),
        ("new", "person", ["--label-words", "none.json"], "none.json: found no readable text"),
        (
            "new",
            "person",
            ["--label-words", "list.json"],
            "list.json: found list, expected an object of lists of words",
        ),
        ("new", "person", ["--label-words", "texts.json"], "found 'a city' for label 'city', expected a list of words"),
        (
            "new",
            "person",
            ["--descriptions", "texts.json"],
            "texts.json: found labels ['city'], expected only ['person']",
        ),
        ("new", "city: b", ["--descriptions", "texts.json"], "found labels ['city'] that --labels describes too"),
        ("new", "city", ["--descriptions", "blank.json"], "found ' ' for label 'city', expected a description"),
        ("new", "city", ["--descriptions", "broken.json"], "broken.json: found no JSON"),
        (
            "new",
            "city",
            ["--descriptions", "texts.json", "--label-words", "list.json"],
            "--descriptions: found texts.json beside --label-words list.json, expected one",
        ),
    ],
)
def test_a_mistake_is_one_line_and_publishes_nothing(
    place: Place,
    tmp_path: Path,
    domain: str,
    labels: str,
    more: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "list.json", ["person"])
    written(tmp_path, "texts.json", {"city": "a city"})
    written(tmp_path, "blank.json", {"city": " "})
    written(tmp_path, "broken.json", "{")
    before = place.registry.domains()
    assert create(place, domain, labels, *more) == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert said in line
    assert place.registry.domains() == before
    assert place.registry.versions("movies") == ("v000001",)


def test_a_new_registry_is_made_with_its_first_domain(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "prompts"
    assert create(place, "begun", "C, C++", "--registry", str(folder)) == 2
    assert not folder.exists()
    assert create(place, "begun", "person", "--registry", str(folder)) == 0
    assert (folder / "begun" / "versions" / "v000001" / "card.json").exists()
