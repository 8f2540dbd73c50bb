"""Aliases moved and rolled back over HTTP, over a real replica and registry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from lightner.service.replica import BackboneReplica
from tests.support.serving import Place, bearer, connect, prepare, problem

pytestmark = pytest.mark.anyio
KEY = "admin key"
PATIENCE_S = 120.0


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return prepare(tmp_path)


@asynccontextmanager
async def serve(place: Place) -> AsyncIterator[httpx.AsyncClient]:
    replica = BackboneReplica(place.settings)
    # Too long for the cache to look again during the test; and a busy machine may take a while to load.
    await replica.reconfigure({"prompts": {"alias_ttl_s": 3600, "refusal_ttl_s": 3600, "patience_s": 10}})
    async with connect(replica, admin=KEY) as client:
        client.headers.update(bearer(KEY))
        yield client


async def live(client: httpx.AsyncClient, domain: str = "movies", **body: str) -> str:
    answer = await client.post(f"/v1/domains/{domain}/entities", json={"texts": ["Ada"], **body})
    version: str = answer.json()["prompt_version"]
    return version


async def test_an_alias_moves_and_the_next_request_sees_it(place: Place) -> None:
    place.publish("movies", seed=2)
    async with serve(place) as client:
        assert await live(client) == "v000002"
        moved = await client.put("/v1/domains/movies/alias", json={"version": "v000001"})
        assert (moved.status_code, moved.json()) == (
            200,
            {"domain": "movies", "alias": "live", "version": "v000001"},
        )
        assert await live(client) == "v000001"
        again = await client.put("/v1/domains/movies/alias", json={"alias": "live", "version": "v000001"})
        assert again.status_code == 200
    assert place.registry.aliases("movies") == {"live": "v000001"}


async def test_a_rollback_returns_to_the_version_before_and_twice_to_the_one_before_that(place: Place) -> None:
    for seed in (2, 3):
        place.publish("movies", seed=seed)
    async with serve(place) as client:
        assert await live(client) == "v000003"
        for expected in ("v000002", "v000001"):
            answer = await client.post("/v1/domains/movies/rollback", json={})
            assert answer.json() == {"domain": "movies", "alias": "live", "version": expected}
            assert await live(client) == expected
        problem(await client.post("/v1/domains/movies/rollback", json={}), 404, "unknown-prompt")
        assert await live(client) == "v000001"


async def test_a_new_alias_is_known_at_once_even_where_it_was_asked_for_before(place: Place) -> None:
    async with serve(place) as client:
        early = await client.post("/v1/domains/movies/entities", json={"texts": ["Ada"], "prompt": "canary"})
        problem(early, 404, "unknown-prompt")
        await client.put("/v1/domains/movies/alias", json={"alias": "canary", "version": "v000001"})
        assert await live(client, prompt="canary") == "v000001"


async def test_an_unpublished_version_is_not_found_and_nothing_moves(place: Place) -> None:
    async with serve(place) as client:
        for domain, version in (("movies", "v000009"), ("nowhere", "v000001")):
            answer = await client.put(f"/v1/domains/{domain}/alias", json={"version": version})
            assert problem(answer, 404, "unknown-prompt")["domain"] == domain
        problem(await client.post("/v1/domains/nowhere/rollback", json={}), 404, "unknown-prompt")
        assert await live(client) == "v000001"
    assert place.registry.aliases("movies") == {"live": "v000001"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.version"),
        ({"version": "live"}, "body.version"),
        ({"version": "v000001", "alias": "v000002"}, "body.alias"),
        ({"version": "v000001", "alias": "../x"}, "body.alias"),
        ({"version": "v000001", "force": True}, "body.force"),
    ],
)
async def test_malformed_requests_are_refused_at_the_field_at_fault(
    place: Place, body: dict[str, object], field: str
) -> None:
    async with serve(place) as client:
        answer = await client.put("/v1/domains/movies/alias", json=body)
        assert [each["field"] for each in problem(answer, 422, "invalid-request")["errors"]] == [field]


async def test_a_damaged_list_of_aliases_is_reported_without_its_place(place: Place) -> None:
    (Path(place.registry.url) / "movies" / "aliases.json").write_text("{")
    async with serve(place) as client:
        answer = await client.put("/v1/domains/movies/alias", json={"version": "v000001"})
        problem(answer, 502, "unusable-prompt")
        assert place.registry.url not in answer.text


async def test_requests_under_a_moving_alias_are_never_refused_and_never_mixed(place: Place) -> None:
    place.publish("movies", seed=2)
    texts = ["Ada lives in Paris and likes soup."] * 4
    expected = {
        f"v00000{seed}": [(e.start, e.end, e.label) for e in place.offline("movies", texts[0], seed).entities]
        for seed in (1, 2)
    }
    async with serve(place) as client:
        over, answers = asyncio.Event(), list[httpx.Response]()

        async def read() -> None:
            while not over.is_set():
                answers.append(await client.post("/v1/domains/movies/entities", json={"texts": texts}))

        readers = [asyncio.create_task(read()) for _ in range(3)]
        moves = 0
        # A busy machine may read nothing between two moves.
        async with asyncio.timeout(PATIENCE_S):
            while moves < 10 or len({answer.json().get("prompt_version") for answer in answers}) < 2:
                answer = await client.put("/v1/domains/movies/alias", json={"version": f"v00000{1 + moves % 2}"})
                assert answer.status_code == 200
                moves += 1
                await asyncio.sleep(0.02)
        over.set()
        await asyncio.gather(*readers)
    for answer in answers:
        assert answer.status_code == 200
        for result in answer.json()["results"]:
            found = [(each["start"], each["end"], each["label"]) for each in result["entities"]]
            assert found == expected[answer.json()["prompt_version"]]
