"""Calibrated scores and thresholds over HTTP: what is served equals what is computed offline."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from lightner.service.replica import BackboneReplica
from lightner.store.loading import prompt_for
from lightner.tagger import Tagger
from tests.support.fitted import with_calibration
from tests.support.serving import TEXTS, Place, connect, prepare, problem

pytestmark = pytest.mark.anyio

FITTED = {"temperature": 2.0, "offset": -1.0, "threshold": 0.2, "thresholds": {"PER": 0.35}}
LABELS = ["person", "place"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    found = prepare(tmp_path_factory.mktemp("place"))
    found.registry.publish(with_calibration(found.artifact("fitted"), **FITTED))
    return found


@pytest.fixture
async def client(place: Place) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(BackboneReplica(place.settings)) as found:
        yield found


def offline(place: Place, domain: str = "fitted", **given: Any) -> list[list[tuple[int, int, str, Any]]]:
    _, artifact = place.registry.fetch(domain)
    tagger = Tagger(place.backbone, prompt_for(artifact, place.backbone))
    found = tagger.tag(TEXTS, **given)
    return [[(e.start, e.end, e.label, pytest.approx(e.score, abs=1e-4)) for e in each] for each in found]


def entities(result: Any) -> list[tuple[int, int, str, float]]:
    return [(each["start"], each["end"], each["label"], each["score"]) for each in result["entities"]]


GIVEN: list[dict[str, Any]] = [
    {},
    {"threshold": "tuned"},
    {"threshold": 0.25, "thresholds": {"LOC": 0.05}},
    {"threshold": "tuned", "thresholds": {"PER": 1.0}},
]


@pytest.mark.parametrize("given", GIVEN, ids=str)
async def test_a_domains_answers_equal_the_librarys(
    place: Place, client: httpx.AsyncClient, given: dict[str, Any]
) -> None:
    answer = await client.post("/v1/domains/fitted/entities", json={"texts": TEXTS, **given})
    assert answer.status_code == 200, answer.text
    assert [entities(each) for each in answer.json()["results"]] == offline(place, **given)


def test_thresholds_differ_from_one_another_here(place: Place) -> None:
    counts = [sum(map(len, offline(place, **given))) for given in GIVEN]
    assert len(set(counts)) > 2, counts


async def test_each_item_has_the_thresholds_of_its_own_prompt(place: Place, client: httpx.AsyncClient) -> None:
    by = [{"domain": "fitted"}, {"domain": "movies"}, {"labels": LABELS}]
    items = [{**which, "text": text} for which in by for text in TEXTS]
    answer = await client.post("/v1/entities", json={"items": items, "threshold": "tuned"})
    assert answer.status_code == 200, answer.text
    found = [entities(each) for each in answer.json()["results"]]
    assert found[: len(TEXTS)] == offline(place, threshold="tuned")
    assert found[len(TEXTS) : 2 * len(TEXTS)] == offline(place, "movies"), "without fitted ones all entities stay"
    labels = [place.offline_labels(LABELS, text).entities for text in TEXTS]
    assert [len(each) for each in found[2 * len(TEXTS) :]] == [len(each) for each in labels]


async def test_a_threshold_of_a_label_that_nobody_finds_is_refused(client: httpx.AsyncClient) -> None:
    given = {"thresholds": {"city": 0.5, "PER": 0.1}}
    answer = await client.post("/v1/domains/fitted/entities", json={"texts": ["a"], **given})
    found = problem(answer, 422, "invalid-request")
    said = "found no such label, expected some of LOC, PER"
    assert found["errors"] == [{"field": "body.thresholds.city", "message": said}]
    items = [{"domain": "fitted", "text": "a"}, {"labels": ["city"], "text": "a"}]
    answer = await client.post("/v1/entities", json={"items": items, **given})
    assert answer.status_code == 200, "one of the prompts finds it"
    answer = await client.post("/v1/entities", json={"items": items[:1], **given})
    assert problem(answer, 422, "invalid-request")["errors"][0]["field"] == "body.thresholds.city"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"threshold": "fitted"}, "body.threshold"),
        ({"threshold": 1.5}, "body.threshold"),
        ({"thresholds": {"PER": "tuned"}}, "body.thresholds.PER"),
        ({"thresholds": {"PER": -1}}, "body.thresholds.PER"),
        ({"thresholds": [0.5]}, "body.thresholds"),
    ],
)
async def test_what_is_no_threshold_is_named(client: httpx.AsyncClient, given: dict[str, Any], field: str) -> None:
    answer = await client.post("/v1/domains/fitted/entities", json={"texts": ["a"], **given})
    assert [each["field"] for each in problem(answer, 422, "invalid-request")["errors"]] == [field]
