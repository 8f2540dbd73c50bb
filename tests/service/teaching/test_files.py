"""Files of examples over HTTP: exported, imported by text or bytes, and refused with the place."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet
import pytest

from lightner.data.formats import read
from lightner.data.formats.documents import Document
from lightner.data.formats.writing import format_by_name, write
from lightner.store.exchange import FORMATS
from lightner.types import Sentence, Span
from tests.support.serving import bearer, problem
from tests.support.teaching import ADMIN, EXAMPLES, add, labelled

pytestmark = pytest.mark.anyio
ENDINGS = {form: "conll" for form in FORMATS if form.startswith("conll")} | {"label_studio": "json", "gliner": "json"}


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def as_stream(path: Path) -> bytes:
    """A Parquet file's table as `datasets` writes Arrow."""
    table, sink = pyarrow.parquet.read_table(path), pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


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
