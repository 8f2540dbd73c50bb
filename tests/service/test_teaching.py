"""Labels and labelled examples over HTTP, over a real replica and store."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet
import pytest

from lightner.data.formats import read
from lightner.data.formats.documents import Document
from lightner.data.formats.writing import format_by_name, write
from lightner.service.replica import BackboneReplica
from lightner.store.exchange import FORMATS
from lightner.types import Sentence, Span
from tests.support.serving import Place, bearer, connect, prepare, problem
from tests.support.teaching import desk_of

pytestmark = pytest.mark.anyio
READ, ADMIN, ANNOTATE = "read key", "admin key", "annotate key"
LABELS, EXAMPLES = "/v1/domains/dishes/labels", "/v1/domains/dishes/examples"
ID = "0" * 32
ENDINGS = {form: "conll" for form in FORMATS if form.startswith("conll")} | {"label_studio": "json", "gliner": "json"}
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


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return prepare(tmp_path_factory.mktemp("place"))


@pytest.fixture
async def client(place: Place, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A service with a store of examples of its own, and the prompts of `place`; the caller has the annotate key."""
    replica = BackboneReplica(place.settings)
    desk = desk_of(str(tmp_path / "registry"), replica)
    async with connect(replica, read=READ, admin=ADMIN, annotate=ANNOTATE, desk=desk) as client:
        client.headers.update(bearer(ANNOTATE))
        yield client


async def labelled(client: httpx.AsyncClient, *names: str) -> Any:
    body = {"revision": 0, "labels": [{"name": name, "words": None, "colour": "#aa3377"} for name in names]}
    return (await client.put(LABELS, json=body)).json()


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def as_stream(path: Path) -> bytes:
    """A Parquet file's table as `datasets` writes Arrow."""
    table, sink = pyarrow.parquet.read_table(path), pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


async def add(client: httpx.AsyncClient, *texts: str, **more: Any) -> list[str]:
    answer = await client.post(EXAMPLES, json={"examples": [{"text": text} for text in texts], **more})
    assert answer.status_code == 201, answer.text
    return [each["id"] for each in answer.json()["examples"]]


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


class TestFiles:
    @pytest.mark.parametrize("form", FORMATS)
    async def test_what_is_exported_is_read_back_equal(
        self, client: httpx.AsyncClient, tmp_path: Path, form: str
    ) -> None:
        await labelled(client, "dish", "place")
        spans = [{"start": 9, "end": 13, "label": "dish"}, {"start": 17, "end": 24, "label": "place"}]
        texts = ["Ada eats soup in 𝕳öln-Ost.", "Ben sleeps."]
        examples = [{"text": text, "spans": those} for text, those in zip(texts, ([spans[0]], []), strict=True)]
        await client.post(EXAMPLES, json={"examples": examples})
        await add(client, "Nobody has read this.")
        content = (await client.get(f"{EXAMPLES}/export", params={"format": form})).text
        if form == "examples":
            assert len(content.splitlines()) == 3
        else:
            path = tmp_path / f"out.{ENDINGS.get(form.partition('-')[0], 'jsonl')}"
            path.write_text(content)
            assert [(s.words[:4], [(span.start, span.end, span.label) for span in s.spans]) for s in read(path)] == [
                (("Ada", "eats", "soup", "in"), [(2, 3, "dish")]),
                (("Ben", "sleeps", "."), []),
            ]
        again = {"name": f"again.{ENDINGS.get(form.partition('-')[0], 'jsonl')}", "content": content}
        answer = (await client.post(f"{EXAMPLES}/import", json=again)).json()
        assert (answer["added"], answer["duplicates"]) == (0, 3 if form == "examples" else 2)
        other = (await client.post("/v1/domains/others/examples/import", json=again)).json()
        assert (other["added"], other["labels"]) == (3 if form == "examples" else 2, ["dish"])
        counts = (await client.get("/v1/domains/others/examples/counts")).json()
        assert (counts["states"]["done"], counts["labels"]["dish"]) == (2, {"sentences": 1, "mentions": 1})

    async def test_every_format_of_text_can_be_asked_for(self, client: httpx.AsyncClient) -> None:
        document = (await client.get("/openapi.json")).json()
        parameters = document["paths"]["/v1/domains/{domain}/examples/export"]["get"]["parameters"]
        [described] = [each["schema"]["enum"] for each in parameters if each["name"] == "format"]
        assert sorted(described) == sorted(FORMATS)

    async def test_a_text_that_someone_wrote_is_imported_as_it_is(self, client: httpx.AsyncClient) -> None:
        record = {"text": "Ada eats\tsoup.", "label": [[9, 13, "dish"]]}
        body = {"name": "a.jsonl", "content": json.dumps(record)}
        assert (await client.post(f"{EXAMPLES}/import", json=body)).json()["added"] == 1
        [found] = (await client.get(EXAMPLES)).json()["examples"]
        assert (found["text"], found["spans"]) == (record["text"], [{"start": 9, "end": 13, "label": "dish"}])

    async def test_our_own_form_keeps_history_and_who(self, client: httpx.AsyncClient) -> None:
        [id_] = await add(client, "Ada eats soup.")
        await client.put(f"{EXAMPLES}/{id_}", json={"revision": 1, "spans": [], "state": "done"}, headers=bearer(ADMIN))
        content = (await client.get(f"{EXAMPLES}/export")).text
        await client.post("/v1/domains/others/examples/import", json={"name": "a.jsonl", "content": content})
        assert (await client.get(f"/v1/domains/others/examples/{id_}")).json() == (
            await client.get(f"{EXAMPLES}/{id_}")
        ).json()

    @pytest.mark.parametrize(
        ("file", "message"),
        [
            ({"name": "a.conll", "content": "nothing here"}, "a.conll"),
            ({"name": "a.jsonl", "content": "{"}, "a.jsonl"),
            ({"name": "../a.conll", "content": "Ada B-PER\n"}, "body.name"),
            ({"name": ".ssh", "content": "Ada B-PER\n"}, "body.name"),
            ({"name": "a.conll", "content": "Ada B-PER\n", "columns": "x"}, "columns"),
            ({"name": "a.conll", "content": "Ada B-PER\n", "repairs": ["x"]}, "repair"),
            ({"name": "a.parquet", "content": "PAR1"}, "found text under the name 'a.parquet', expected bytes"),
            ({"name": "a.ann", "content": "T1\tPER 0 3\tAda"}, "lightner data convert a.ann a.jsonl"),
            ({"name": "a.zip", "content_base64": "UEsDBA=="}, "lightner data convert a.zip a.jsonl"),
            ({"name": "a.conll", "content": "Ada\0B-PER\n"}, "found a NUL character, expected text"),
            ({"name": "a.conll", "content_base64": "not base64"}, "body.content_base64"),
            ({"name": "a.conll"}, "found neither of content and content_base64"),
            ({"name": "a.conll", "content": "Ada B-PER\n", "content_base64": "QWRh"}, "found both of content"),
            (
                {"name": "a.parquet", "content_base64": encoded(b"PAR1" + b"\0" * 50 + b"PAR1")},
                "a.parquet: found a table",
            ),
            ({"name": "json.py", "content_base64": encoded(b"raise SystemExit(3) # \xff\n")}, "json.py:1: found byte"),
            ({"name": "a.jsonl", "content": json.dumps({"format_version": 1, "revisions": []})}, "a.jsonl:1"),
        ],
    )
    async def test_a_file_that_cannot_be_read_is_refused_with_the_place(
        self, client: httpx.AsyncClient, file: Any, message: str
    ) -> None:
        refused = problem(await client.post(f"{EXAMPLES}/import", json=file), 422, "invalid-request")
        assert message in json.dumps(refused)
        assert "/tmp" not in json.dumps(refused)
        assert (await client.get(EXAMPLES)).json()["total"] == 0

    @pytest.mark.parametrize("suffix", ["parquet", "arrow", "spacy", "jsonl"])
    async def test_a_file_is_imported_by_its_bytes(
        self, client: httpx.AsyncClient, tmp_path: Path, suffix: str
    ) -> None:
        if suffix == "spacy":
            pytest.importorskip("spacy", reason="spaCy is not installed (pip install 'lightner-ray[spacy]')")
        sentences = [
            Sentence(("Ada", "eats", "soup", "."), (Span(0, 1, "person"), Span(2, 3, "dish")), text="Ada eats  soup."),
            Sentence(("Ben", "sleeps"), text="Ben sleeps"),
        ]
        path = tmp_path / f"a.{'parquet' if suffix == 'arrow' else suffix}"
        write(path, [Document.of(each) for each in sentences], format_by_name(path))
        content = as_stream(path) if suffix == "arrow" else path.read_bytes()
        body = {"name": f"a.{suffix}", "content_base64": encoded(content), "state": "open"}
        answer = (await client.post(f"{EXAMPLES}/import", json=body)).json()
        assert answer == {"added": 2, "duplicates": 0, "labels": ["dish", "person"], "notes": []}
        first, second = (await client.get(EXAMPLES)).json()["examples"]
        assert (first["text"], second["text"], first["state"]) == ("Ada eats  soup.", "Ben sleeps", "open")
        assert [(each["start"], each["end"], each["label"]) for each in first["spans"]] == [
            (0, 3, "person"), (10, 14, "dish")
        ]  # fmt: skip
        assert (await client.post(f"{EXAMPLES}/import", json=body)).json()["duplicates"] == 2

    async def test_a_small_file_with_much_text_is_refused(self, client: httpx.AsyncClient, tmp_path: Path) -> None:
        words = ["soup"] * 200
        tables = pyarrow.table({"tokens": [words] * 500, "ner_tags": [["O"] * 200] * 500})
        pyarrow.parquet.write_table(tables, tmp_path / "a.parquet")
        content = (tmp_path / "a.parquet").read_bytes()
        assert len(content) < 10_000
        body = {"name": "a.parquet", "content_base64": encoded(content)}
        refused = problem(await client.post(f"{EXAMPLES}/import", json=body), 422, "invalid-request")
        assert "found 499500 characters in its sentences, expected at most 400000" in refused["detail"]
        assert (await client.get(EXAMPLES)).json()["total"] == 0

    async def test_without_examples_there_is_nothing_to_export(self, client: httpx.AsyncClient) -> None:
        problem(await client.get(f"{EXAMPLES}/export"), 422, "invalid-request")
