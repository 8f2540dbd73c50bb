"""The component in pipelines of the real spaCy."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lightner.store.loading import prompt_for
from lightner.tagger import Tagger
from lightner.types import Entity, InputError, Span, is_nested
from tests.support.serving import SCORE_TOLERANCE, TEXTS, Place, prepare

pytest.importorskip("spacy", reason="spaCy is not installed (pip install 'lightner-ray[spacy]')")
import spacy

import lightner.spacy

TEXT = TEXTS[0]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return prepare(tmp_path_factory.mktemp("place"))


def pipeline(place: Place, **config: Any) -> Any:
    nlp = spacy.blank("en")
    given = {"domain": "movies", "registry": place.registry.url, "backbone": str(place.folder)}
    nlp.add_pipe("lightner", config=given | config)
    return nlp


@pytest.fixture(scope="module")
def nlp(place: Place) -> Any:
    return pipeline(place)


def found(doc: Any) -> list[tuple[str, str, Any]]:
    return [(span.text, span.label_, pytest.approx(span._.score, rel=SCORE_TOLERANCE)) for span in doc.ents]


def offline(place: Place, text: str) -> list[tuple[str, str, Any]]:
    return [(each.text, each.label, each.score) for each in place.offline("movies", text).entities]


def test_documents_get_the_librarys_entities_with_their_scores(place: Place, nlp: Any) -> None:
    assert len(offline(place, TEXT)) > 1
    assert found(nlp(TEXT)) == offline(place, TEXT)
    assert nlp(TEXT).has_annotation("ENT_IOB")
    assert nlp.get_pipe("lightner").labels == ("LOC", "PER")


@pytest.mark.parametrize("processes", [1, 2])
def test_batches_give_what_single_documents_give(place: Place, nlp: Any, processes: int) -> None:
    texts = [*TEXTS[:4], TEXT] * 3
    docs = list(nlp.pipe(texts, batch_size=4, n_process=processes))
    assert [doc.text for doc in docs] == texts
    assert [found(doc) for doc in docs] == [offline(place, text) for text in texts]


def test_a_pipeline_is_saved_with_its_prompt_and_needs_no_registry_to_be_loaded(place: Place, tmp_path: Path) -> None:
    url = f"{place.registry.url}-moved"
    nlp = pipeline(place)
    nlp.to_disk(tmp_path / "saved")
    config = (tmp_path / "saved" / "config.cfg").read_text()
    (tmp_path / "saved" / "config.cfg").write_text(config.replace(place.registry.url, url))
    assert found(spacy.load(tmp_path / "saved")(TEXT)) == offline(place, TEXT)
    assert found(pipeline(place, registry=url).from_bytes(nlp.to_bytes())(TEXT)) == offline(place, TEXT)


def test_a_component_is_pickled_without_its_model(place: Place, nlp: Any) -> None:
    content = pickle.dumps(nlp.get_pipe("lightner"))
    assert len(content) < 100_000
    assert found(pickle.loads(content)(spacy.blank("en")(TEXT))) == offline(place, TEXT)


def test_a_damaged_prompt_is_refused(nlp: Any, tmp_path: Path) -> None:
    nlp.to_disk(tmp_path / "saved")
    (tmp_path / "saved" / "lightner" / "card.json").write_text("{}")
    with pytest.raises(InputError, match=r"card.json"):
        spacy.load(tmp_path / "saved")


Given = tuple[int, int, str, float]


def annotated(text: str, *entities: Given, before: tuple[int, int] = (0, 0), **options: Any) -> Any:
    """A document after its entities were added, by the code that the component calls."""
    doc = spacy.blank("en")(text)
    if before[1]:
        doc.ents = [doc.char_span(*before, label="OLD")]
    given = [Entity(start, end, text[start:end], label, score) for start, end, label, score in entities]
    config = {"labels": ["PER"], **options}
    component = spacy.blank("en").add_pipe("lightner", config=config)
    lightner.spacy.annotate(doc, given, component.options)
    return doc


@pytest.mark.parametrize(
    ("alignment", "expected"),
    [
        ("expand", [("Parisbased firm", "X", 0.5)]),
        ("contract", [("firm", "X", 0.5)]),
        ("strict", []),
    ],
)
def test_an_entity_that_cuts_a_token_is_aligned_by_the_rule(alignment: str, expected: list[Any]) -> None:
    assert found(annotated("a Parisbased firm", (7, 17, "X", 0.5), alignment=alignment)) == expected


def test_of_two_entities_that_share_a_token_the_likelier_stays() -> None:
    doc = annotated("in Parisbased firms", (3, 8, "X", 0.5), (8, 13, "Y", 0.6), spans_key="all")
    assert found(doc) == [("Parisbased", "Y", 0.6)]
    assert [(span.text, span.label_) for span in doc.spans["all"]] == [("Parisbased", "X"), ("Parisbased", "Y")]


@pytest.mark.parametrize(("overwrite", "expected"), [(False, ["OLD", "Z"]), (True, ["X", "Z"])])
def test_earlier_entities_stay_unless_they_are_to_be_overwritten(overwrite: bool, expected: list[str]) -> None:
    entities = (0, 3, "X", 0.9), (8, 11, "Z", 0.1)
    doc = annotated("Ada met Bob", *entities, before=(0, 7), overwrite_ents=overwrite)
    assert [span.label_ for span in doc.ents] == expected
    assert [span._.score for span in doc.ents if span.label_ == "OLD"] == [None] * (not overwrite)


def test_all_nested_entities_are_in_the_usual_group_of_spans(place: Place, tmp_path: Path) -> None:
    made = place.artifact("movies")
    nested = replace(made, card=replace(made.card, domain="nested", nested=True))
    place.registry.publish(nested)
    doc = pipeline(place, domain="nested")(TEXT)
    [expected] = Tagger(place.backbone, prompt_for(nested, place.backbone)).tag([TEXT])
    assert is_nested([Span(each.start, each.end, each.label) for each in expected])
    assert [(span.text, span.label_) for span in doc.spans["sc"]] == [(each.text, each.label) for each in expected]
    assert 0 < len(doc.ents) < len(expected)
    assert "named" in pipeline(place, domain="nested", spans_key="named")(TEXT).spans
    assert not pipeline(place)(TEXT).spans


def test_labels_alone_tag_too(place: Place) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("lightner", config={"labels": ["person", "city"], "backbone": str(place.folder)})
    expected = place.offline_labels(["person", "city"], TEXT).entities
    assert found(nlp(TEXT)) == [(each.text, each.label, each.score) for each in expected]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "found neither of 'domain' and 'labels'"),
        ({"domain": "a", "labels": ["b"]}, "found both of 'domain' and 'labels'"),
        ({"domain": "a"}, "found no 'registry'"),
        ({"labels": ["b"], "alignment": "grow"}, "alignment: found 'grow', expected one of"),
        ({"labels": ["b"], "threshold": 2.0}, "threshold: found 2.0"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused_at_once(
    config: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIGHTNER_REGISTRY", raising=False)
    with pytest.raises(InputError, match=said):
        spacy.blank("en").add_pipe("lightner", config=config)
