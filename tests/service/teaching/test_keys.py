"""Which key may teach over HTTP, and whose name a change has."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from lightner.service.replica import BackboneReplica
from tests.support.serving import Place, bearer, connect, problem
from tests.support.teaching import ADMIN, EXAMPLES, LABELS, READ, add

pytestmark = pytest.mark.anyio
ID = "0" * 32
TEACHING: list[tuple[str, str, Any]] = [
    ("GET", "/v1/teaching", None),
    ("GET", LABELS, None),
    ("PUT", LABELS, {"revision": 0, "labels": [{"name": "dish"}]}),
    ("POST", EXAMPLES, {"examples": [{"text": "Ada eats soup."}]}),
    ("GET", EXAMPLES, None),
    ("GET", f"{EXAMPLES}/counts", None),
    ("POST", f"{EXAMPLES}/hold-out", {"share": 0.5}),
    ("POST", f"{EXAMPLES}/import", {"name": "a.conll", "content": "Ada B-PER\n"}),
    ("GET", f"{EXAMPLES}/export", None),
    ("GET", f"{EXAMPLES}/{ID}", None),
    ("PUT", f"{EXAMPLES}/{ID}", {"revision": 1, "spans": [], "state": "done"}),
    ("POST", f"{EXAMPLES}/{ID}/undo", {"revision": 1}),
    ("DELETE", f"{EXAMPLES}/{ID}?revision=1", None),
]


class TestKeys:
    @pytest.mark.parametrize(("method", "path", "body"), TEACHING)
    async def test_the_read_key_can_neither_see_nor_write(
        self, client: httpx.AsyncClient, method: str, path: str, body: Any
    ) -> None:
        refused = await client.request(method, path, json=body, headers=bearer(READ))
        assert "annotate" in problem(refused, 403, "forbidden")["detail"]
        for headers in ({"authorization": ""}, bearer("another")):
            problem(await client.request(method, path, json=body, headers=headers), 401, "unauthorized")
        allowed = await client.request(method, path, json=body)
        assert allowed.status_code not in (401, 403, 405, 500), allowed.text

    async def test_every_route_of_teaching_is_among_them(self, client: httpx.AsyncClient) -> None:
        document = (await client.get("/openapi.json")).json()
        described = {
            (method.upper(), path.replace("{domain}", "dishes").replace("{id}", ID))
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
            if "teaching" in operation["tags"]
        }
        assert described == {(method, path.partition("?")[0]) for method, path, _ in TEACHING}

    async def test_the_annotate_key_reads_and_does_not_administer(self, client: httpx.AsyncClient) -> None:
        assert (await client.get("/v1/domains")).status_code == 200
        for method, path in (("POST", "/v1/domains"), ("PUT", "/v1/domains/movies/alias")):
            assert "the admin key" in problem(await client.request(method, path, json={}), 403, "forbidden")["detail"]

    async def test_without_keys_nobody_teaches(self, place: Place) -> None:
        async with connect(BackboneReplica(place.settings)) as client:
            for method, path, body in TEACHING:
                problem(await client.request(method, path, json=body), 403, "administration-disabled")

    async def test_who_did_it_is_the_name_of_the_key(self, client: httpx.AsyncClient) -> None:
        [id_] = await add(client, "Ada eats soup.")
        change = {"revision": 1, "spans": [], "state": "done"}
        changed = await client.put(f"{EXAMPLES}/{id_}", json=change, headers=bearer(ADMIN))
        assert changed.json()["who"] == "admin"
        history = (await client.get(f"{EXAMPLES}/{id_}")).json()["history"]
        assert [each["who"] for each in history] == ["annotate", "admin"]
