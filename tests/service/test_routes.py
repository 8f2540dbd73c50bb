"""The HTTP side over a real replica, in this process: routes, limits, errors, keys, documentation."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import pytest

from lightner.service.messages import Answer, Ask, Description, Family, Named, Refusal
from lightner.service.replica import BackboneReplica
from lightner.service.schemas import MAX_BODY_BYTES, MAX_TEXTS
from lightner.types import LabelSet
from tests.support.serving import (
    DOMAINS,
    TEXTS,
    Place,
    bearer,
    connect,
    entities_of,
    prepare,
    prepare_with_damage,
    problem,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return prepare_with_damage(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module")
async def client(place: Place) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(BackboneReplica(place.settings)) as client:
        yield client


class TestEntities:
    async def test_texts_of_a_domain_are_answered_as_offline(self, client: httpx.AsyncClient, place: Place) -> None:
        for domain in DOMAINS:
            answer = await client.post(f"/v1/domains/{domain}/entities", json={"texts": TEXTS})
            offline = [place.offline(domain, text) for text in TEXTS]
            assert answer.status_code == 200
            assert answer.json() == {
                "domain": domain,
                "prompt_version": "v000001",
                "results": [{"entities": entities_of(each), "windows": each.windows} for each in offline],
            }

    async def test_mixed_domains_in_one_request_are_answered_as_offline(
        self, client: httpx.AsyncClient, place: Place
    ) -> None:
        pairs = [(domain, text) for text in TEXTS for domain in DOMAINS]
        items = [{"domain": domain, "text": text} for domain, text in pairs]
        answer = await client.post("/v1/entities", json={"items": items})
        assert answer.status_code == 200
        offline = [(domain, place.offline(domain, text)) for domain, text in pairs]
        assert answer.json()["results"] == [
            {
                "domain": domain,
                "prompt_version": "v000001",
                "entities": entities_of(each),
                "windows": each.windows,
            }
            for domain, each in offline
        ]

    async def test_items_of_one_domain_may_name_different_prompts(self, tmp_path: Path) -> None:
        place = prepare(tmp_path)
        place.publish("movies", seed=2)
        place.registry.set_alias("movies", "before", "v000001")
        named = [("v000001", 1), (None, 2), ("before", 1), ("v000002", 2), ("v000001", 1)]
        items = [{"domain": "movies", "text": TEXTS[0], "prompt": prompt} for prompt, _ in named]
        async with connect(BackboneReplica(place.settings)) as client:
            answer = await client.post("/v1/entities", json={"items": items})
        assert [(each["prompt_version"], each["entities"]) for each in answer.json()["results"]] == [
            (f"v00000{seed}", entities_of(place.offline("movies", TEXTS[0], seed))) for _, seed in named
        ]

    async def test_offsets_are_characters_of_the_text(self, client: httpx.AsyncClient) -> None:
        texts = ["Mary 🍞 lives in\tOslo — Ada", TEXTS[-1]]
        answer = await client.post("/v1/domains/movies/entities", json={"texts": texts})
        found = [(text, each) for text, result in zip(texts, answer.json()["results"], strict=True)
                 for each in result["entities"]]  # fmt: skip
        assert len(found) > 1
        for text, entity in found:
            assert text[entity["start"] : entity["end"]] == entity["text"] != ""

    async def test_entities_below_the_threshold_are_left_out(self, client: httpx.AsyncClient) -> None:
        async def scores(threshold: float) -> list[float]:
            request = {"texts": [TEXTS[-1]], "threshold": threshold}
            (result,) = (await client.post("/v1/domains/movies/entities", json=request)).json()["results"]
            item = {"items": [{"domain": "movies", "text": TEXTS[-1]}], "threshold": threshold}
            (mixed,) = (await client.post("/v1/entities", json=item)).json()["results"]
            assert [each["score"] for each in mixed["entities"]] == [each["score"] for each in result["entities"]]
            return [each["score"] for each in result["entities"]]

        every = await scores(0)
        middle = sorted(every)[len(every) // 2]
        assert await scores(middle) == [score for score in every if score >= middle] != every
        assert await scores(1) == []

    async def test_a_problem_of_one_domain_is_reported_only_at_its_items(
        self, client: httpx.AsyncClient, place: Place
    ) -> None:
        domains = ["damaged", "movies", "nowhere", "tickets"]
        items = [{"domain": domain, "text": TEXTS[0]} for domain in domains]
        answer = await client.post("/v1/entities", json={"items": items})
        assert answer.status_code == 200
        damaged, movies, nowhere, tickets = answer.json()["results"]
        assert movies["entities"] == entities_of(place.offline("movies", TEXTS[0]))
        assert tickets["entities"] == entities_of(place.offline("tickets", TEXTS[0]))
        assert (damaged["problem"]["status"], damaged["problem"]["prompt_version"]) == (502, "v000001")
        assert (nowhere["problem"]["status"], nowhere["domain"]) == (404, "nowhere")
        assert nowhere["problem"]["errors"][0]["field"] == "body.items.2.domain"


class TestDomains:
    async def test_domains_are_listed(self, client: httpx.AsyncClient) -> None:
        assert (await client.get("/v1/domains")).json() == {"domains": sorted([*DOMAINS, "damaged"])}

    async def test_a_card_has_the_labels_of_its_prompt(self, client: httpx.AsyncClient) -> None:
        for path in ("/v1/domains/recipes", "/v1/domains/recipes?prompt=v000001"):
            found = (await client.get(path)).json()
            assert (found["domain"], found["prompt_version"]) == ("recipes", "v000001")
            assert found["card"]["labels"] == ["city group", "food", "time"]

    async def test_unknown_and_damaged_ones_have_none(self, client: httpx.AsyncClient) -> None:
        problem(await client.get("/v1/domains/nowhere"), 404, "unknown-prompt")
        problem(await client.get("/v1/domains/recipes?prompt=canary"), 404, "unknown-prompt")
        problem(await client.get("/v1/domains/damaged"), 502, "unusable-prompt")
        problem(await client.get("/v1/domains/recipes?prompt=A"), 422, "invalid-request")


class TestErrors:
    async def test_an_unknown_domain_alias_or_version_is_not_found(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/domains/nowhere/entities", json={"texts": ["a"]})
        assert problem(answer, 404, "unknown-prompt")["domain"] == "nowhere"
        for prompt in ("canary", "v000009"):
            answer = await client.post("/v1/domains/movies/entities", json={"texts": ["a"], "prompt": prompt})
            problem(answer, 404, "unknown-prompt")

    async def test_a_damaged_prompt_is_named_without_internal_details(
        self, client: httpx.AsyncClient, place: Place
    ) -> None:
        answer = await client.post("/v1/domains/damaged/entities", json={"texts": ["a"]})
        document = problem(answer, 502, "unusable-prompt")
        assert (document["domain"], document["prompt_version"]) == ("damaged", "v000001")
        assert place.registry.url not in answer.text
        assert "sha256" not in answer.text

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ("{", "body.1"),
            ("[]", "body"),
            ('{"texts": ["a"], "threshold": NaN}', "body.threshold"),
            ('{"text": ["a"]}', "body.texts"),
            ('{"texts": ["a", 3]}', "body.texts.1"),
            ('{"texts": ["a"], "threshold": 2}', "body.threshold"),
            ('{"texts": ["a"], "prompt": "../../etc"}', "body.prompt"),
            ('{"texts": ["a"], "labels": []}', "body.labels"),
            ('{"texts": ["\\ud800"]}', "body.texts.0"),
            ('{"texts": [["a", ""]]}', "body.texts.0.1"),
            ('{"texts": [["\\u0085a"]]}', "body.texts.0.0"),
            ('{"texts": [["a\\ufeff"]]}', "body.texts.0.0"),
            (b'{"texts": ["\xff"]}', "body"),
            ('{"texts": ["a", ["a", "b "]]}', "body.texts.1.1"),
            ('{"texts": [["a", ["b"]]]}', "body.texts.0.1"),
            ('{"texts": ["a"], "output": "spans"}', "body.output"),
            (json.dumps({"texts": ["a"] * (MAX_TEXTS + 1)}), "body.texts"),
        ],
    )
    async def test_a_malformed_request_is_refused_with_the_field_at_fault(
        self, client: httpx.AsyncClient, body: str | bytes, field: str
    ) -> None:
        headers = {"content-type": "application/json"}
        answer = await client.post("/v1/domains/movies/entities", content=body, headers=headers)
        document = problem(answer, 422, "invalid-request")
        assert field in [each["field"] for each in document["errors"]]
        assert field in document["detail"]

    @pytest.mark.parametrize("name", ["Movies", "%2e%2e", "a%00", "a%20b", "s3:", "a" * 129, "é"])
    async def test_a_name_that_no_domain_can_have_is_refused(self, client: httpx.AsyncClient, name: str) -> None:
        answer = await client.post(f"/v1/domains/{name}/entities", json={"texts": ["a"]})
        assert problem(answer, 422, "invalid-request")["errors"][0]["field"] == "path.domain"

    async def test_an_excessively_nested_body_is_refused(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/entities", content="[" * 100_000, headers={"content-type": "application/json"})
        assert problem(answer, 422, "invalid-request")["errors"][0]["field"].startswith("body")

    async def test_a_body_that_is_announced_as_too_large_is_refused_unread(self, client: httpx.AsyncClient) -> None:
        headers = {"content-length": str(MAX_BODY_BYTES + 1)}
        refused = await client.post("/v1/entities", content=untouched(), headers=headers)
        problem(refused, 413, "request-entity-too-large")

    async def test_a_body_that_turns_out_too_large_is_refused(self, client: httpx.AsyncClient) -> None:
        async def endless() -> AsyncIterator[bytes]:
            for _ in range(MAX_BODY_BYTES // 2**16 + 2):
                yield b" " * 2**16

        headers = {"content-type": "application/json"}
        problem(await client.post("/v1/entities", content=endless(), headers=headers), 413, "request-entity-too-large")

    async def test_without_a_key_no_body_is_read(self) -> None:
        async with connect(Broken(), read="read key") as client:
            for length in (9, MAX_BODY_BYTES + 1):
                headers = {"content-length": str(length)}
                refused = await client.post("/v1/entities", content=untouched(), headers=headers)
                problem(refused, 401, "unauthorized")

    async def test_unknown_routes_and_methods_are_problems_too(self, client: httpx.AsyncClient) -> None:
        problem(await client.get("/v2"), 404, "not-found")
        answer = await client.get("/v1/entities")
        problem(answer, 405, "method-not-allowed")
        assert answer.headers["allow"] == "POST"

    async def test_overload_is_reported_with_the_time_to_retry(self, place: Place) -> None:
        replica = BackboneReplica(place.settings)
        await replica.reconfigure({"batch": {"max_queue_rows": 1, "max_wait_s": 0.2}})
        async with connect(replica) as client:
            await client.post("/v1/domains/movies/entities", json={"texts": ["mary"]})
            many = {"items": [{"domain": domain, "text": "mary"} for domain in DOMAINS for _ in range(2)]}
            answers = await asyncio.gather(*(client.post("/v1/entities", json=many) for _ in range(2)))
        # An idle service reads a request of any size and any domains; the second one finds the first waiting.
        assert sorted(answer.status_code for answer in answers) == [200, 503]
        [answer] = [answer for answer in answers if answer.status_code == 503]
        assert problem(answer, 503, "overloaded")["domain"] in DOMAINS
        assert int(answer.headers["retry-after"]) > 0

    async def test_another_content_type_is_named_in_the_answer(self, client: httpx.AsyncClient) -> None:
        form = {"content-type": "application/x-www-form-urlencoded"}
        answer = await client.post("/v1/domains/movies/entities", content='{"texts": ["a"]}', headers=form)
        [error] = problem(answer, 422, "invalid-request")["errors"]
        assert error["field"] == "body"
        assert error["message"] == f"Content type should be application/json, found '{form['content-type']}'"

    async def test_a_failure_is_logged_and_reported_without_its_text(self, caplog: pytest.LogCaptureFixture) -> None:
        async with connect(Broken(), admin="admin") as client:
            answer = await client.post("/v1/domains/movies/entities", json={"texts": ["a"]})
            problem(answer, 500, "failed")
            problem(await client.get("/v1/domains"), 500, "failed")
            moved = await client.put("/v1/domains/movies/alias", json={"version": "v000001"}, headers=bearer("admin"))
            problem(moved, 500, "failed")
            problem(await client.get("/readyz"), 503, "service-unavailable")
            uncounted = await client.get("/metrics")
            problem(uncounted, 503, "service-unavailable")
            assert int(uncounted.headers["retry-after"]) > 0
            assert (await client.get("/healthz")).status_code == 200
        assert "secret" not in answer.text + uncounted.text
        assert "secret" in caplog.text


class TestDocumentation:
    async def test_every_route_and_its_problems_are_described(self, client: httpx.AsyncClient) -> None:
        document = (await client.get("/openapi.json")).json()
        taught = ("examples", "tunings", "labels", "label-studio")
        assert sorted(path for path in document["paths"] if not any(each in path for each in taught)) == [
            "/healthz", "/metrics", "/readyz", "/v1/domains", "/v1/domains/{domain}", "/v1/domains/{domain}/alias",
            "/v1/domains/{domain}/entities", "/v1/domains/{domain}/rollback", "/v1/entities", "/v1/teaching",
        ]  # fmt: skip
        described = document["paths"]["/v1/domains/{domain}/entities"]["post"]["responses"]
        assert set(described) == {"200", "401", "404", "413", "422", "429", "502", "503", "504"}
        for status in set(described) - {"200"}:
            schema = described[status]["content"]["application/problem+json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Problem"}
        assert "status" in document["components"]["schemas"]["Problem"]["properties"]

    async def test_the_page_loads_nothing_from_elsewhere(self, client: httpx.AsyncClient) -> None:
        page = (await client.get("/docs")).text
        found = re.findall(r"""(?:src|href)="([^"]+)""", page)
        assert len(found) >= 2
        for path in found:
            assert path.startswith("/"), path
            assert (await client.get(path)).status_code == 200

    async def test_health_says_which_backbone_is_ready(self, client: httpx.AsyncClient, place: Place) -> None:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert (await client.get("/readyz")).json() == {"status": "ready", "backbone": str(place.folder)}


async def untouched() -> AsyncIterator[bytes]:
    """A body that must not be read."""
    raise AssertionError("the body was read")
    yield b""


class Broken:
    """A reader that cannot be reached."""

    async def tag(self, asks: Sequence[Ask]) -> list[Answer | Refusal]:
        raise RuntimeError("secret")

    async def describe(self, domain: str, ref: str | None) -> Description | Refusal:
        raise RuntimeError("secret")

    async def domains(self) -> list[str] | Refusal:
        raise RuntimeError("secret")

    async def create_domain(self, domain: str, labels: LabelSet) -> Named | Refusal:
        raise RuntimeError("secret")

    async def set_alias(self, domain: str, alias: str, version: str) -> Named | Refusal:
        raise RuntimeError("secret")

    async def rollback(self, domain: str, alias: str) -> Named | Refusal:
        raise RuntimeError("secret")

    async def metrics(self) -> list[Family]:
        raise RuntimeError("secret")

    async def backbone(self) -> str:
        raise RuntimeError("secret")
