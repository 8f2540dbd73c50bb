"""Labelled examples over HTTP: added, changed, undone, counted and held out, and refusals that name a field."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from lightner.service.replica import BackboneReplica
from tests.support.serving import Place, bearer, connect, problem
from tests.support.teaching import ANNOTATE, EXAMPLES, add, desk_of, labelled

pytestmark = pytest.mark.anyio


class TestExamples:
    async def test_texts_are_added_once_and_split_into_sentences_if_asked(self, client: httpx.AsyncClient) -> None:
        body = {"examples": [{"text": "Ada eats soup. Ben likes stew."}, {"text": "Ada eats soup ."}], "split": True}
        answer = (await client.post(EXAMPLES, json=body)).json()
        assert [each["text"] for each in answer["examples"]] == ["Ada eats soup.", "Ben likes stew.", "Ada eats soup."]
        assert ([each["new"] for each in answer["examples"]], answer["added"]) == ([True, True, False], 2)
        assert answer["duplicates"] == 1
        listed = (await client.get(EXAMPLES)).json()
        assert [each["text"] for each in listed["examples"]] == ["Ada eats soup.", "Ben likes stew."]

    async def test_a_corrected_answer_becomes_a_finished_example(self, client: httpx.AsyncClient) -> None:
        await labelled(client, "dish")
        body = {"examples": [{"text": " Ada eats soup.", "spans": [{"start": 10, "end": 14, "label": "dish"}]}]}
        assert (await client.post(EXAMPLES, json=body)).status_code == 201
        [found] = (await client.get(EXAMPLES, params={"state": "done"})).json()["examples"]
        assert found["spans"] == [{"start": 9, "end": 13, "label": "dish"}]
        assert (found["provenance"], found["text"]) == ("corrected", "Ada eats soup.")

    async def test_of_two_writers_one_gets_409_with_the_present_value(self, client: httpx.AsyncClient) -> None:
        await labelled(client, "dish", "place")
        [id_] = await add(client, "Ada eats soup in Oslo.")
        spans = {"dish": {"start": 9, "end": 13, "label": "dish"}, "place": {"start": 17, "end": 21, "label": "place"}}
        changes = [{"revision": 1, "spans": [span], "state": "done"} for span in spans.values()]
        answers = await asyncio.gather(*(client.put(f"{EXAMPLES}/{id_}", json=change) for change in changes))
        won, lost = sorted(answers, key=lambda each: each.status_code)
        assert won.status_code == 200
        assert problem(lost, 409, "changed-meanwhile")["present"] == won.json()
        assert (await client.get(f"{EXAMPLES}/{id_}")).json()["spans"] == won.json()["spans"]

    async def test_a_change_is_undone_and_an_example_deleted(self, client: httpx.AsyncClient) -> None:
        [id_] = await add(client, "Ada eats soup.")
        await client.put(f"{EXAMPLES}/{id_}", json={"revision": 1, "spans": [], "state": "skipped"})
        undone = (await client.post(f"{EXAMPLES}/{id_}/undo", json={"revision": 2})).json()
        assert (undone["state"], undone["revision"]) == ("open", 3)
        problem(await client.post(f"{EXAMPLES}/{id_}/undo", json={"revision": 3}), 422, "invalid-request")
        problem(await client.delete(f"{EXAMPLES}/{id_}", params={"revision": 1}), 409, "changed-meanwhile")
        assert (await client.delete(f"{EXAMPLES}/{id_}", params={"revision": 3})).json() == {"id": id_, "deleted": True}
        problem(await client.get(f"{EXAMPLES}/{id_}"), 404, "unknown-example")

    @pytest.mark.parametrize("id_", ["..%2Flabels", "%2e%2e%2flabels", "A" * 32, "0" * 31, "0" * 33])
    async def test_no_id_leads_out_of_the_folder(self, client: httpx.AsyncClient, tmp_path: Path, id_: str) -> None:
        await labelled(client, "dish")
        before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
        for method, body in (("GET", None), ("PUT", {"revision": 1, "spans": [], "state": "done"}), ("DELETE", None)):
            answer = await client.request(method, f"{EXAMPLES}/{id_}", json=body, params={"revision": 1})
            assert answer.status_code in (404, 405, 422), (method, answer.text)
        assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before

    @pytest.mark.parametrize(
        ("span", "field"),
        [
            ({"start": 0, "end": 2, "label": "dish"}, "body.spans.0"),
            ({"start": 0, "end": 3, "label": "other"}, "body.spans.0.label"),
            ({"start": 0, "end": 99, "label": "dish"}, "body.spans.0"),
            ({"start": -1, "end": 3, "label": "dish"}, "body.spans.0.start"),
        ],
    )
    async def test_a_wrong_span_is_named(self, client: httpx.AsyncClient, span: Any, field: str) -> None:
        await labelled(client, "dish")
        [id_] = await add(client, "Ada eats soup.")
        refused = await client.put(f"{EXAMPLES}/{id_}", json={"revision": 1, "spans": [span], "state": "done"})
        assert problem(refused, 422, "invalid-request")["errors"][0]["field"] == field

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"examples": []}, "body.examples"),
            ({"examples": [{"text": "a"}] * 257}, "body.examples"),
            ({"examples": [{"text": "Ada"}, {"text": " "}]}, "body.examples.1.text"),
            ({"examples": [{"text": "a " * 5001}]}, "body.examples.0.text"),
            ({"examples": [{"text": "a" * 90_000}] * 5}, "body.examples"),
            ({"examples": [{"text": "Ada", "spans": []}], "split": True}, "body"),
            ({"examples": [{"text": "Ada", "state": "test"}]}, "body.examples.0.state"),
        ],
    )
    async def test_texts_beyond_the_limits_are_refused_and_none_is_added(
        self, client: httpx.AsyncClient, body: Any, field: str
    ) -> None:
        refused = await client.post(EXAMPLES, json=body)
        assert problem(refused, 422, "invalid-request")["errors"][0]["field"] == field
        assert (await client.get(EXAMPLES)).json()["total"] == 0

    async def test_counts_say_what_is_thin(self, client: httpx.AsyncClient) -> None:
        await labelled(client, "dish", "place")
        spans = [{"start": 0, "end": 4, "label": "dish"}, {"start": 9, "end": 13, "label": "dish"}]
        await client.post(EXAMPLES, json={"examples": [{"text": "Soup and stew", "spans": spans}, {"text": "Ada"}]})
        assert (await client.get(f"{EXAMPLES}/counts")).json() == {
            "total": 2,
            "states": {"open": 1, "done": 1, "skipped": 0, "test": 0},
            "labels": {"dish": {"sentences": 1, "mentions": 2}, "place": {"sentences": 0, "mentions": 0}},
        }

    async def test_a_share_is_held_out_and_stays_out(self, client: httpx.AsyncClient) -> None:
        await labelled(client, "dish")
        texts = [f"Cook{number} soup" for number in range(10)]
        examples = [{"text": text, "spans": [{"start": 6, "end": 10, "label": "dish"}]} for text in texts]
        await client.post(EXAMPLES, json={"examples": examples})
        held = (await client.post(f"{EXAMPLES}/hold-out", json={"share": 0.3})).json()
        assert (len(held["held"]), held["done"], held["test"]) == (3, 7, 3)
        change = {"revision": 2, "spans": [], "state": "done"}
        refused = await client.put(f"{EXAMPLES}/{held['held'][0]}", json=change)
        assert problem(refused, 422, "invalid-request")["errors"][0]["field"] == "body.state"

    async def test_the_store_that_fails_is_said_to(self, place: Place, tmp_path: Path) -> None:
        (tmp_path / "registry").mkdir()
        (tmp_path / "registry" / ".lock").mkdir()
        replica = BackboneReplica(place.settings)
        async with connect(replica, annotate=ANNOTATE, desk=desk_of(str(tmp_path / "registry"), replica)) as client:
            client.headers.update(bearer(ANNOTATE))
            failed = await client.post(EXAMPLES, json={"examples": [{"text": "Ada"}]})
        problem(failed, 503, "registry-unavailable")
        assert str(tmp_path) not in failed.text

    async def test_a_damaged_object_is_reported_without_its_place(
        self, client: httpx.AsyncClient, tmp_path: Path
    ) -> None:
        [id_] = await add(client, "Ada eats soup.")
        (tmp_path / "registry" / "dishes" / "examples" / "items" / f"{id_}.json").write_text("{}")
        damaged = await client.get(f"{EXAMPLES}/{id_}")
        problem(damaged, 502, "damaged-example")
        assert str(tmp_path) not in damaged.text
