"""Keys, and limits on concurrent requests and time: refusals before a body is read, each with its problem."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette._utils import get_route_path

from lightner.service.messages import Answer, Ask, Family, Named, Refusal
from lightner.service.middleware import path_below_root
from lightner.service.replica import BackboneReplica
from lightner.service.settings import RequestLimits
from lightner.types import LabelSet, TaggedText
from tests.support.serving import bearer, connect, prepare, problem

pytestmark = pytest.mark.anyio
READ, ADMIN = "read key", "admin key"
ALIAS, ROLLBACK = "/v1/domains/movies/alias", "/v1/domains/movies/rollback"
DOMAINS, ENTITIES = "/v1/domains", "/v1/domains/movies/entities"


class Slow:
    """A reader that answers when allowed, and records its requests and cancelled ones."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.asked = asyncio.Semaphore(0)
        self.cancelled = 0

    async def tag(self, asks: Sequence[Ask]) -> list[Answer | Refusal]:
        self.asked.release()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return [Answer(ask.domain, "v000001", tuple(TaggedText((), 1) for _ in ask.texts)) for ask in asks]

    async def describe(self, domain: str, ref: str | None) -> Refusal:
        raise AssertionError("not asked here")

    async def domains(self) -> list[str] | Refusal:
        return ["movies"]

    async def create_domain(self, domain: str, labels: LabelSet) -> Named | Refusal:
        return Named(domain, "live", "v000001")

    async def set_alias(self, domain: str, alias: str, version: str) -> Named | Refusal:
        return Named(domain, alias, version)

    async def rollback(self, domain: str, alias: str) -> Named | Refusal:
        return Named(domain, alias, "v000001")

    async def metrics(self) -> list[Family]:
        return []

    async def backbone(self) -> str:
        return "slow"


class TestBelowARootPath:
    """As under a `route_prefix` of Ray Serve, which gives whole paths, and as after proxies that remove it."""

    @pytest.mark.parametrize(
        ("root", "below"),
        [("/ner", "/ner"), ("/team/ner", "/team/ner"), ("/healthz", "/healthz"), ("/ner", ""), ("/team/ner", "")],
    )
    async def test_open_routes_stay_open_and_all_others_need_the_key(self, root: str, below: str) -> None:
        async with connect(Slow(), read=READ, root_path=root) as client:
            address = f"http://service{below}"
            for path in ("/healthz", "/readyz", "/", "/page.css", "/page.js", "/icon.svg", "/teach", "/teach/main.js"):
                assert (await client.get(address + path)).status_code == 200, path
            for path in ("/v1/domains", "/metrics", "/docs", "/openapi.json", "/healthz/x", "//healthz", "/x" + root):
                problem(await client.get(address + path), 401, "unauthorized")
                problem(await client.get(address + path, headers=bearer("wrong")), 401, "unauthorized")
            assert (await client.get(f"{address}/v1/domains", headers=bearer(READ))).status_code == 200
            assert f"'{root}/openapi.json'" in (await client.get(f"{address}/docs", headers=bearer(READ))).text

    async def test_paths_outside_it_are_not_routes_and_need_the_key(self) -> None:
        async with connect(Slow(), read=READ, root_path="/ner") as client:
            for path in ("/nerd", "/ner-healthz", "/nerhealthz", "/x/healthz"):
                problem(await client.get(path), 401, "unauthorized")
                problem(await client.get(path, headers=bearer(READ)), 404, "not-found")

    async def test_health_the_page_and_metrics_are_not_counted(self) -> None:
        reader = Slow()
        async with connect(reader, limits=RequestLimits(max_at_once=1), root_path="/ner") as client:
            held = asyncio.create_task(client.post(f"/ner{ENTITIES}", json={"texts": ["a"]}))
            await reader.asked.acquire()
            problem(await client.get("/ner/v1/domains"), 429, "too-many-requests")
            for path in ("", "/", "/healthz", "/readyz", "/page.css", "/metrics"):
                assert (await client.get(f"/ner{path}", follow_redirects=True)).status_code == 200, path
            reader.open.set()
            assert (await held).status_code == 200

    async def test_the_services_own_address_without_a_slash_leads_to_the_one_with_it(self) -> None:
        async with connect(Slow(), read=READ, root_path="/ner") as client:
            answer = await client.get("/ner")
            assert (answer.status_code, answer.headers["location"]) == (307, "/ner/")

    @given(st.from_regex(r"(/[ab]?){0,3}", fullmatch=True), st.from_regex(r"(/?[ab/]){0,5}", fullmatch=True))
    def test_a_path_is_taken_from_the_scope_as_the_router_does(self, root: str, path: str) -> None:
        for given_path in (path, root + path):
            scope = {"type": "http", "path": given_path, "root_path": root}
            assert path_below_root(scope) == get_route_path(scope)


class TestReadKey:
    async def test_every_route_but_health_and_the_page_needs_it(self, tmp_path: Path) -> None:
        async with connect(BackboneReplica(prepare(tmp_path).settings), read=READ) as client:
            document = (await client.get("/openapi.json", headers=bearer(READ))).json()
            paths = [path.replace("{domain}", "movies") for path in document["paths"]]
            assert len(paths) >= 9
            open_ones = {"/healthz", "/readyz", "/", "/page.css", "/page.js", "/icon.svg", "/teach", "/teach/main.js"}
            closed = {"/docs", "/openapi.json", "/nothing", "/healthz/x", "/page.js/../v1/domains", "//", "/page.css/"}
            closed |= {"/teach/", "/teach/nothing.js", "/teach/../v1/domains", "/teach/main.js/"}
            for path in {*paths, *open_ones, *closed}:
                answer = await client.get(f"http://service{path}")
                if path in open_ones:
                    assert answer.status_code == 200, path
                else:
                    problem(answer, 401, "unauthorized")
                    assert answer.headers["www-authenticate"] == "Bearer"
            answer = await client.post(ENTITIES, json={"texts": ["a"]}, headers=bearer(READ))
            assert answer.status_code == 200

    @pytest.mark.parametrize(
        "given", ["", READ, "Bearer", "Bearer ", "Bearer read", "Bearer read key2", "Basic read key", "Bearer é"]
    )
    async def test_anything_but_the_key_is_refused_before_the_body_is_parsed(self, given: str) -> None:
        async with connect(Slow(), read=READ) as client:
            headers = {"authorization": given.encode("latin-1"), "content-type": "application/json"}
            answer = await client.post("/v1/entities", content="{", headers=headers)  # type: ignore[arg-type]
        problem(answer, 401, "unauthorized")


async def administer(client: httpx.AsyncClient, key: str | None) -> list[httpx.Response]:
    headers = bearer(key) if key else {}
    return [
        await client.put(ALIAS, json={"version": "v000001"}, headers=headers),
        await client.post(ROLLBACK, json={}, headers=headers),
        await client.post(DOMAINS, json={"domain": "movies", "labels": ["person"]}, headers=headers),
    ]


class TestAdminKey:
    async def test_it_opens_everything(self) -> None:
        async with connect(Slow(), read=READ, admin=ADMIN) as client:
            assert (await client.get("/v1/domains", headers=bearer(ADMIN))).status_code == 200
            for answer in await administer(client, ADMIN):
                assert answer.json() == {"domain": "movies", "alias": "live", "version": "v000001"}

    @pytest.mark.parametrize("read", [READ, None])
    async def test_without_it_nobody_administers(self, read: str | None) -> None:
        async with connect(Slow(), read=read, admin=ADMIN) as client:
            for key in (None, "wrong"):
                for answer in await administer(client, key):
                    problem(answer, 401, "unauthorized")
            for answer in await administer(client, READ):
                problem(answer, *((403, "forbidden") if read else (401, "unauthorized")))
            # Reading without any key stays open.
            assert (await client.get("/v1/domains")).status_code == (401 if read else 200)

    @pytest.mark.parametrize("read", [READ, None])
    async def test_without_an_admin_key_administration_is_refused(self, read: str | None) -> None:
        async with connect(Slow(), read=read) as client:
            for key in (READ, ADMIN) if read is None else (READ,):
                for answer in await administer(client, key):
                    assert "admin key" in problem(answer, 403, "administration-disabled")["detail"]
            for answer in await administer(client, None):
                problem(answer, *((401, "unauthorized") if read else (403, "administration-disabled")))

    async def test_refusal_comes_before_the_body_is_parsed(self) -> None:
        async with connect(Slow(), admin=ADMIN) as client:
            headers = {"content-type": "application/json"}
            problem(await client.put(ALIAS, content="{", headers=headers), 401, "unauthorized")
            problem(await client.put(ALIAS, content="{", headers=headers | bearer(ADMIN)), 422, "invalid-request")
            problem(await client.post(DOMAINS, content="{", headers=headers), 401, "unauthorized")


class TestLimits:
    async def test_requests_beyond_the_limit_are_refused_with_the_time_to_come_back(self) -> None:
        reader = Slow()
        async with connect(reader, limits=RequestLimits(max_at_once=2)) as client:
            in_hand = [asyncio.create_task(client.post(ENTITIES, json={"texts": ["a"]})) for _ in range(2)]
            for _ in in_hand:
                await reader.asked.acquire()
            refused = await client.post(ENTITIES, content="{")
            problem(refused, 429, "too-many-requests")
            assert int(refused.headers["retry-after"]) > 0
            assert [(await client.get(path)).status_code for path in ("/healthz", "/page.css", "/metrics")] == [200] * 3
            reader.open.set()
            assert [(await task).status_code for task in in_hand] == [200, 200]
            assert (await client.post(ENTITIES, json={"texts": ["a"]})).status_code == 200

    async def test_a_cancelled_or_failed_request_frees_its_place(self) -> None:
        reader = Slow()
        async with connect(reader, limits=RequestLimits(max_at_once=1)) as client:
            gone = asyncio.create_task(client.post(ENTITIES, json={"texts": ["a"]}))
            await reader.asked.acquire()
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
            problem(await client.get("/v1/domains/movies"), 500, "failed")
            reader.open.set()
            assert (await client.post(ENTITIES, json={"texts": ["a"]})).status_code == 200

    async def test_a_request_that_takes_too_long_is_ended_and_its_work_cancelled(self) -> None:
        reader = Slow()
        async with connect(reader, limits=RequestLimits(timeout_s=1)) as client:
            answer = await client.post(ENTITIES, json={"texts": ["a"]})
            assert "within 1 s" in problem(answer, 504, "timeout")["detail"]
            assert reader.cancelled == 1
            reader.open.set()
            assert (await client.post(ENTITIES, json={"texts": ["a"]})).status_code == 200

    async def test_so_is_one_whose_body_never_ends(self) -> None:
        async def body() -> AsyncIterator[bytes]:
            while True:
                yield b" "
                await asyncio.sleep(0.01)

        async with connect(Slow(), limits=RequestLimits(timeout_s=0.05)) as client:
            headers = {"content-type": "application/json"}
            problem(await client.post(ENTITIES, content=body(), headers=headers), 504, "timeout")
