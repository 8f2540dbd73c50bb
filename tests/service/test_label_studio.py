"""A domain as a machine-learning backend of Label Studio: requests as version 1.23 sends them, over a real replica."""

from __future__ import annotations

import base64
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lightner.service.replica import BackboneReplica
from lightner.service.teaching import annotated
from lightner.service.teaching.tuner import JobState
from lightner.store.examples import Examples
from lightner.types import InputError
from tests.support.label_studio import CONFIG, KEY, TEXT, results
from tests.support.serving import Place, bearer, connect, entities_of, prepare, problem, roughly
from tests.support.teaching import NamedJobs, desk_of

pytestmark = pytest.mark.anyio
READ, ADMIN = "read key", "admin key"


def basic(key: str, user: str = "lightner") -> dict[str, str]:
    return {"authorization": f"Basic {base64.b64encode(f'{user}:{key}'.encode()).decode()}"}


PATH = "/v1/domains/movies/label-studio"
PROJECT = {"id": 3, "created_at": "2026-11-29T10:00:00Z", "label_config": CONFIG, "title": "movies", "task_number": 1}
TASK = {"id": 12, "data": {"sentence": TEXT, "id": "a"}, "meta": {}, "project": 3, "is_labeled": False}
ROUTES: list[tuple[str, str, Any]] = [
    ("GET", f"{PATH}/health", None),
    ("POST", f"{PATH}/setup", {"project": "3.1", "schema": CONFIG, "access_token": "secret", "extra_params": None}),
    ("POST", f"{PATH}/predict", {"tasks": [TASK], "label_config": CONFIG, "params": {"context": None}}),
    ("POST", f"{PATH}/webhook", {"action": "PROJECT_UPDATED", "project": PROJECT}),
]


def event(action: str, results: list[dict[str, Any]], *, id_: int = 7, **annotation: Any) -> dict[str, Any]:
    made = {"id": id_, "result": results, "was_cancelled": False, "lead_time": 1.5, "task": 12, **annotation}
    return {"action": action, "annotation": made, "task": TASK, "project": PROJECT}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return prepare(tmp_path)


@pytest.fixture
def jobs() -> NamedJobs:
    return NamedJobs()


@pytest.fixture
async def client(place: Place, jobs: NamedJobs) -> AsyncIterator[httpx.AsyncClient]:
    replica = BackboneReplica(place.settings)
    desk = desk_of(place.registry.url, replica, jobs=jobs)
    async with connect(replica, read=READ, admin=ADMIN, annotate=KEY, desk=desk) as client:
        client.headers.update(basic(KEY))
        yield client


async def sent(client: httpx.AsyncClient, body: dict[str, Any]) -> Any:
    answer = await client.post(f"{PATH}/webhook", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def stored(client: httpx.AsyncClient) -> Any:
    [example] = (await client.get("/v1/domains/movies/examples", headers=bearer(KEY))).json()["examples"]
    return example


class TestKeys:
    @pytest.mark.parametrize(("method", "path", "body"), ROUTES)
    async def test_the_key_may_be_a_password_here(
        self, client: httpx.AsyncClient, method: str, path: str, body: Any
    ) -> None:
        for headers in (basic(KEY), basic(ADMIN, "any"), bearer(KEY)):
            assert (await client.request(method, path, json=body, headers=headers)).status_code == 200
        problem(await client.request(method, path, json=body, headers=basic(READ)), 403, "forbidden")
        for headers in (basic("another"), {"authorization": "Basic !"}, {"authorization": "Basic "}, basic("")):
            problem(await client.request(method, path, json=body, headers=headers), 401, "unauthorized")

    async def test_it_may_not_be_one_elsewhere(self, client: httpx.AsyncClient) -> None:
        for path in ("/v1/domains", "/v1/domains/movies/labels", "/v1/teaching", f"{PATH}/../labels"):
            problem(await client.get(path, headers=basic(KEY)), 401, "unauthorized")

    async def test_every_route_is_among_them(self, client: httpx.AsyncClient) -> None:
        document = (await client.get("/openapi.json", headers=bearer(KEY))).json()
        described = {
            (method.upper(), path.replace("{domain}", "movies"))
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
            if "label-studio" in operation["tags"]
        }
        assert described == {(method, path) for method, path, _ in ROUTES}


class TestProposals:
    async def test_the_live_prompt_proposes_in_utf_16_units(self, client: httpx.AsyncClient, place: Place) -> None:
        body = {"tasks": [TASK, TASK], "label_config": CONFIG}
        [one, two] = (await client.post(f"{PATH}/predict", json=body)).json()["results"]
        offline = place.offline("movies", TEXT)
        assert offline.entities
        assert two == {**roughly(one), "result": list(map(roughly, one["result"]))}
        assert one["model_version"] == "v000001"
        for result, entity in zip(one["result"], entities_of(offline), strict=True):
            assert (result["from_name"], result["to_name"], result["type"]) == ("ner", "words", "labels")
            assert result["value"]["text"] == entity["text"]
            assert result["value"]["labels"] == [entity["label"]]
            assert result["score"] == entity["score"]
            units = TEXT.encode("utf-16-le")[2 * result["value"]["start"] : 2 * result["value"]["end"]]
            assert units.decode("utf-16-le") == entity["text"]

    async def test_a_project_of_a_new_domain_brings_its_labels_which_propose_alone(
        self, client: httpx.AsyncClient
    ) -> None:
        path = PATH.replace("movies", "fresh")
        predict = {"tasks": [TASK], "label_config": CONFIG}
        problem(await client.post(f"{path}/predict", json=predict), 404, "unknown-prompt")
        version = (await client.post(f"{path}/setup", json={"schema": CONFIG})).json()["model_version"]
        assert version.startswith("labels-")
        labels = (await client.get("/v1/domains/fresh/labels", headers=bearer(KEY))).json()
        assert ([each["name"] for each in labels["labels"]], labels["revision"]) == (["LOC", "PER"], 1)
        assert (await client.post(f"{path}/setup", json={"schema": CONFIG})).json()["model_version"] == version
        [found] = (await client.post(f"{path}/predict", json=predict)).json()["results"]
        assert found["model_version"] == version

    async def test_labels_that_the_interface_lacks_are_not_proposed(self, client: httpx.AsyncClient) -> None:
        config = CONFIG.replace('<Label value="PER" background="red"/>', "")
        body = {"tasks": [TASK], "label_config": config}
        [found] = (await client.post(f"{PATH}/predict", json=body)).json()["results"]
        assert {label for each in found["result"] for label in each["value"]["labels"]} <= {"LOC"}

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"label_config": "<View>"}, "found no XML"),
            ({"label_config": '<!DOCTYPE x [<!ENTITY a "b">]><View>&a;</View>'}, "found a declaration"),
            ({"label_config": CONFIG.replace('toName="words"', 'toName="other"')}, "found no labels of a plain text"),
            ({"tasks": [{"data": {"text": "Ada"}}]}, "expected a text under 'sentence'"),
            ({"tasks": []}, "at least 1"),
        ],
    )
    async def test_what_cannot_be_read_is_named(self, client: httpx.AsyncClient, change: Any, message: str) -> None:
        body = {"tasks": [TASK], "label_config": CONFIG, **change}
        refused = problem(await client.post(f"{PATH}/predict", json=body), 422, "invalid-request")
        assert message in refused["detail"]


class TestAnnotations:
    async def test_they_become_examples_and_follow_changes_and_deletion(self, client: httpx.AsyncClient) -> None:
        answer = await sent(client, event("ANNOTATION_CREATED", results("Mary", "PER")))
        example = await stored(client)
        assert answer == {"examples": [example["id"]], "labels": [], "tuning": None}
        assert (example["text"], example["state"], example["provenance"], example["who"]) == (
            TEXT, "done", "imported", "annotate"
        )  # fmt: skip
        assert example["spans"] == [{"start": 2, "end": 6, "label": "PER"}]
        for _ in range(2):  # the second time nothing has changed
            await sent(client, event("ANNOTATION_UPDATED", results("Oslo", "LOC")))
            example = await stored(client)
            assert (example["revision"], example["provenance"]) == (2, "corrected")
        await sent(client, event("ANNOTATION_UPDATED", [], was_cancelled=True))
        assert (await stored(client))["state"] == "skipped"
        await sent(client, {"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 8}], "project": PROJECT})
        assert (await stored(client))["state"] == "skipped"
        await sent(client, {"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 7}], "project": PROJECT})
        assert ((await stored(client))["state"], (await stored(client))["spans"]) == ("open", [])

    async def test_what_was_changed_here_since_stays(self, client: httpx.AsyncClient) -> None:
        await sent(client, event("ANNOTATION_CREATED", results("Mary", "PER")))
        example = await stored(client)
        change = {"revision": 1, "spans": [{"start": 11, "end": 14, "label": "PER"}], "state": "done"}
        await client.put(f"/v1/domains/movies/examples/{example['id']}", json=change, headers=bearer(KEY))
        await sent(client, {"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 7}], "project": PROJECT})
        assert (await stored(client))["spans"] == change["spans"]

    async def test_labels_that_are_new_are_added(self, client: httpx.AsyncClient) -> None:
        answer = await sent(client, event("ANNOTATION_CREATED", results("Mary", "SAINT")))
        assert answer["labels"] == ["SAINT"]

    async def test_one_that_cannot_be_an_example_is_refused_and_logged(
        self, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            body = event("ANNOTATION_CREATED", results("Mar", "PER"))
            refused = problem(await client.post(f"{PATH}/webhook", json=body), 422, "invalid-request")
        assert "expected the start and the end of words" in refused["detail"]
        assert "ANNOTATION_CREATED of Label Studio was refused for movies" in caplog.text
        assert (await client.get("/v1/domains/movies/examples", headers=bearer(KEY))).json()["total"] == 0

    @pytest.mark.parametrize("left_out", ["project", "task", "annotation"])
    async def test_without_a_payload_it_says_so(self, client: httpx.AsyncClient, left_out: str) -> None:
        body = event("ANNOTATION_CREATED", results("Mary", "PER"))
        del body[left_out]
        problem(await client.post(f"{PATH}/webhook", json=body), 422, "invalid-request")

    async def test_an_example_of_the_test_set_stays_there(self, client: httpx.AsyncClient, place: Place) -> None:
        await sent(client, event("ANNOTATION_CREATED", results("Mary", "PER")))
        other = {**event("ANNOTATION_CREATED", [], id_=8), "task": {"data": {"sentence": "Ben eats."}}}
        await sent(client, other)
        store = Examples.open(place.registry.url)
        [held] = store.hold_out("movies", share=0.5, seed=0, who="ann", learned=lambda _: False)
        source = store.get("movies", held.id).revisions[0].source
        given = annotated.example_of(held.text, {"id": 1, "result": []}, who="ann", source=str(source))
        assert annotated.put(store, "movies", given, who="ann").now.state == "test"
        [opened] = annotated.reopen(store, "movies", [str(source)], who="ann")
        assert opened.now.state == "skipped"

    async def test_training_starts_a_tuning(self, client: httpx.AsyncClient, jobs: NamedJobs) -> None:
        train = {"action": "START_TRAINING", "project": PROJECT}
        problem(await client.post(f"{PATH}/webhook", json=train), 422, "too-few-examples")
        for number in range(8):
            body = event("ANNOTATION_CREATED", results("Mary", "PER"), id_=number)
            body["task"] = {"data": {"sentence": f"{TEXT} {number}"}}
            await sent(client, body)
        started = (await sent(client, train))["tuning"]
        assert jobs.states == {f"lightner-movies-{started}-1": JobState.WAITING}


def test_an_interface_names_the_first_labels_of_plain_text() -> None:
    found = annotated.interface_of(CONFIG)
    assert found == annotated.Interface("ner", "words", "sentence", ("PER", "LOC"))
    with pytest.raises(InputError):
        annotated.interface_of(CONFIG.replace("$sentence", "sentence"))
