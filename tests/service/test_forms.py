"""Forms of texts in requests and of entities in answers, over a real replica."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from lightner.service.replica import BackboneReplica
from lightner.service.schemas import MAX_BODY_BYTES, MAX_TEXT_CHARACTERS, MAX_TOTAL_CHARACTERS
from lightner.store.loading import prompt_for
from lightner.tagger import tag_words
from tests.support.serving import SCORE_TOLERANCE, TEXTS, Place, connect, problem, roughly

pytestmark = pytest.mark.anyio
SENTENCES: tuple[list[str], ...] = (
    ["Ada", "lives", "in", "New York", "and", "likes", "soup", "."],
    [],
    ["mary"],
    ["🍞👩‍🍳", "to", "Rome", "\u200b", "שלום", "Oslo", "𝒳"],
    ["the", "city", "of", "Rome"] * 60,
)


@pytest.fixture(scope="module")
async def client(place: Place) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(BackboneReplica(place.settings)) as client:
        yield client


async def entities(client: httpx.AsyncClient, texts: object, **options: object) -> list[dict[str, Any]]:
    answer = await client.post("/v1/domains/movies/entities", json={"texts": texts, **options})
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


class TestWords:
    async def test_words_are_read_as_given(self, client: httpx.AsyncClient, place: Place) -> None:
        prompt = prompt_for(place.artifact("movies"), place.backbone)
        given = [sentence for sentence in SENTENCES if sentence]
        offline = tag_words(place.backbone, [(prompt, tuple(sentence)) for sentence in given])
        results = await entities(client, SENTENCES)
        assert results.pop(1) == {"entities": [], "windows": 1}
        assert sum(map(len, offline)) > 5
        for result, spans in zip(results, offline, strict=True):
            assert [(e["start_word"], e["end_word"], e["label"], e["score"]) for e in result["entities"]] == [
                (span.start, span.end, span.label, pytest.approx(score, rel=SCORE_TOLERANCE)) for span, score in spans
            ]
        assert results[-1]["windows"] > 1

    async def test_characters_are_those_of_the_words_with_spaces_between(self, client: httpx.AsyncClient) -> None:
        found = 0
        for sentence, result in zip(SENTENCES, await entities(client, SENTENCES), strict=True):
            text = " ".join(sentence)
            for each in result["entities"]:
                words = sentence[each["start_word"] : each["end_word"]]
                assert text[each["start"] : each["end"]] == each["text"] == " ".join(words) != ""
                found += 1
        assert found > 5

    async def test_strings_and_words_mix_and_answer_alike_where_they_split_alike(
        self, client: httpx.AsyncClient
    ) -> None:
        text = "Ada lives in Paris and likes soup"
        as_text, as_words = await entities(client, [text, text.split()])
        assert len(as_text["entities"]) > 0
        for one, other in zip(as_text["entities"], as_words["entities"], strict=True):
            assert (other.pop("start_word"), other.pop("end_word")) != (None, None)
            assert other == roughly(one)
            assert set(one) == {"start", "end", "text", "label", "score"}

    async def test_items_may_be_words_too(self, client: httpx.AsyncClient) -> None:
        items = [{"domain": domain, "text": SENTENCES[0]} for domain in ("movies", "recipes")]
        movies, recipes = (await client.post("/v1/entities", json={"items": items})).json()["results"]
        (alone,) = await entities(client, [SENTENCES[0]])
        assert alone["entities"]
        assert [each["start_word"] for each in movies["entities"]] == [each["start_word"] for each in alone["entities"]]
        assert recipes["entities"]
        assert all("end_word" in each for each in recipes["entities"])

    async def test_the_largest_request_in_words_is_not_too_large_a_body(self, client: httpx.AsyncClient) -> None:
        # The most bytes that JSON can need: one character beyond the basic plane, escaped, and two more for a comma.
        sentence = ["\U0001f35e"] * (MAX_TEXT_CHARACTERS // 2)
        body = json.dumps({"texts": [sentence] * (MAX_TOTAL_CHARACTERS // MAX_TEXT_CHARACTERS)}).encode()
        assert len(body) < MAX_BODY_BYTES
        answer = await client.post(
            "/v1/domains/nowhere/entities", content=body, headers={"content-type": "application/json"}
        )
        problem(answer, 404, "unknown-prompt")


class TestEntityGroups:
    async def test_entities_are_named_as_the_transformers_pipeline_does(self, client: httpx.AsyncClient) -> None:
        plain = await entities(client, TEXTS)
        grouped = await entities(client, TEXTS, output="entity_group")
        assert sum(len(each["entities"]) for each in plain) > 5
        assert [each["windows"] for each in grouped] == [each["windows"] for each in plain]
        assert [each["entities"] for each in grouped] == [
            [
                {
                    "entity_group": e["label"],
                    "score": pytest.approx(e["score"], rel=SCORE_TOLERANCE),
                    "word": e["text"],
                    "start": e["start"],
                    "end": e["end"],
                }
                for e in each["entities"]
            ]
            for each in plain
        ]

    async def test_with_words_given_they_are_counted_too(self, client: httpx.AsyncClient) -> None:
        (result,) = await entities(client, [SENTENCES[0]], output="entity_group", threshold=0)
        (plain,) = await entities(client, [SENTENCES[0]])
        assert plain["entities"]
        assert [(e["start_word"], e["end_word"], e["word"]) for e in result["entities"]] == [
            (e["start_word"], e["end_word"], e["text"]) for e in plain["entities"]
        ]

    async def test_mixed_requests_have_it_too(self, client: httpx.AsyncClient) -> None:
        body = {"items": [{"domain": "movies", "text": TEXTS[0]}], "output": "entity_group"}
        (result,) = (await client.post("/v1/entities", json=body)).json()["results"]
        (alone,) = await entities(client, [TEXTS[0]], output="entity_group")
        assert alone["entities"]
        assert [each["entity_group"] for each in result["entities"]] == [
            each["entity_group"] for each in alone["entities"]
        ]


async def test_a_list_full_of_faults_is_answered_with_the_first_ones(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/domains/movies/entities", json={"texts": [[1] * 10_000] * 100})
    assert len(problem(answer, 422, "invalid-request")["errors"]) == 16
    assert len(answer.content) < 5000
