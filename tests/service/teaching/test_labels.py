"""Labels of a domain over HTTP, and what the labels alone or a prompt propose for examples."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.serving import Place, problem
from tests.support.teaching import EXAMPLES, LABELS, add, labelled

pytestmark = pytest.mark.anyio


class TestLabels:
    async def test_a_domain_is_taught_before_it_has_a_prompt(self, client: httpx.AsyncClient) -> None:
        problem(await client.get(LABELS), 404, "unknown-prompt")
        put = await labelled(client, "dish", "place")
        assert (put["revision"], put["who"], [each["name"] for each in put["labels"]]) == (
            1,
            "annotate",
            ["dish", "place"],
        )
        assert (await client.get(LABELS)).json() == put
        assert (await client.get("/v1/teaching")).json() == {"domains": ["dishes"]}

    async def test_a_published_domain_begins_with_its_prompts_labels(self, client: httpx.AsyncClient) -> None:
        found = (await client.get("/v1/domains/movies/labels")).json()
        assert (found["revision"], found["who"]) == (0, None)
        assert [each["name"] for each in found["labels"]] == ["LOC", "PER"]

    async def test_of_two_who_change_them_the_second_gets_the_present_ones(self, client: httpx.AsyncClient) -> None:
        put = await labelled(client, "dish")
        second = await client.put(LABELS, json={"revision": 0, "labels": [{"name": "other"}]})
        assert problem(second, 409, "changed-meanwhile")["present"] == put

    @pytest.mark.parametrize(
        "labels",
        [
            [],
            [{"name": "a"}, {"name": "a"}],
            [{"name": " a"}],
            [{"name": "a", "colour": "red"}],
            [{"name": "a", "words": " "}],
        ],
    )
    async def test_labels_that_no_domain_can_have_are_refused(self, client: httpx.AsyncClient, labels: Any) -> None:
        refused = await client.put(LABELS, json={"revision": 0, "labels": labels})
        assert problem(refused, 422, "invalid-request")["errors"][0]["field"].startswith("body")

    async def test_a_label_in_use_cannot_be_left_out(self, client: httpx.AsyncClient) -> None:
        await labelled(client, "dish")
        body = {"examples": [{"text": "Ada eats soup.", "spans": [{"start": 9, "end": 13, "label": "dish"}]}]}
        assert (await client.post(EXAMPLES, json=body)).status_code == 201
        refused = await client.put(LABELS, json={"revision": 1, "labels": [{"name": "other"}]})
        assert "dish" in problem(refused, 422, "invalid-request")["detail"]


class TestProposals:
    async def test_an_open_example_comes_with_what_the_labels_alone_propose(
        self, client: httpx.AsyncClient, place: Place
    ) -> None:
        await labelled(client, "person", "city")
        [id_] = await add(client, "Ada lives in Oslo.")
        found = (await client.get(f"{EXAMPLES}/{id_}")).json()
        expected = place.offline_labels({"person": None, "city": None}, "Ada lives in Oslo.")
        assert found["proposals"]["prompt_version"] is None
        assert [(e["start"], e["end"], e["label"]) for e in found["proposals"]["entities"]] == [
            (e.start, e.end, e.label) for e in expected.entities
        ]
        assert 0 < found["proposals"]["certainty"] <= 1
        assert found["tokens"] == [[0, 3], [4, 9], [10, 12], [13, 17], [17, 18]]
        assert (await client.get(f"{EXAMPLES}/{id_}", params={"proposals": False})).json()["proposals"] is None

    async def test_of_a_published_domain_the_live_prompt_proposes(
        self, client: httpx.AsyncClient, place: Place
    ) -> None:
        path = "/v1/domains/movies/examples"
        added = await client.post(path, json={"examples": [{"text": "Ada lives in Paris."}]})
        found = (await client.get(f"{path}/{added.json()['examples'][0]['id']}")).json()["proposals"]
        expected = place.offline("movies", "Ada lives in Paris.")
        assert found["prompt_version"] == "v000001"
        assert [(e["start"], e["end"], e["label"]) for e in found["entities"]] == [
            (e.start, e.end, e.label) for e in expected.entities
        ]

    async def test_without_labels_nothing_is_proposed(self, client: httpx.AsyncClient) -> None:
        [id_] = await add(client, "Ada lives in Oslo.")
        assert (await client.get(f"{EXAMPLES}/{id_}")).json()["proposals"] is None
        listed = (await client.get(EXAMPLES, params={"order": "suggested"})).json()
        assert [(each["id"], each["certainty"]) for each in listed["examples"]] == [(id_, None)]

    async def test_the_least_sure_come_first_and_of_alike_ones_one(self, client: httpx.AsyncClient) -> None:
        await labelled(client, "person", "city")
        texts = ["Ada lives in Oslo.", "mary", "Emil and Mary likes soup on Monday", "Ada lives in Rome."]
        await add(client, *texts)
        body = {"order": "suggested", "limit": 3}
        found = (await client.get(EXAMPLES, params=body)).json()["examples"]
        sure = {each["text"]: each["certainty"] for each in found}
        everything = (await client.get(EXAMPLES, params={"order": "suggested"})).json()["examples"]
        assert {each["text"] for each in everything} == set(texts)
        assert min(each["certainty"] for each in everything) == found[0]["certainty"]
        assert len({"Ada lives in Oslo.", "Ada lives in Rome."} & set(sure)) == 1
