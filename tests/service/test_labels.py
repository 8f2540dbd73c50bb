"""Labels in requests and domains made from labels, over HTTP and a real replica: served equals offline."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import httpx
import pytest

from lightner.labels import label_set
from lightner.service import replica as replicas
from lightner.service.messages import Answer, Ask, Reason, Refusal
from lightner.service.metrics import MetricsObserver
from lightner.service.observers import Silent
from lightner.service.prometheus import Figures
from lightner.service.replica import BackboneReplica
from lightner.store.loading import prompt_for
from lightner.tagger import Row, tag_texts
from tests.support.serving import DOMAINS, TEXTS, Place, bearer, connect, entities_of, prepare, problem

pytestmark = pytest.mark.anyio
KEY = "admin key"
TEXT = "Ada and Emil live in Paris and Oslo, on Monday: soup and bread in Rome!"
SETS: tuple[Any, ...] = (
    ["person", "place"],
    {"food": "soup or bread of a city", "when": ["time"], "person": None},
    ["time"],
    {f"l{number}": f"the {number} of a group" for number in range(150)},
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return prepare(tmp_path)


@pytest.fixture
async def client(place: Place) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(BackboneReplica(place.settings), admin=KEY) as client:
        client.headers.update(bearer(KEY))
        yield client


async def results(client: httpx.AsyncClient, items: Sequence[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
    answer = await client.post("/v1/entities", json={"items": items, **more})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["results"]
    return found


class TestItems:
    @pytest.mark.parametrize(
        ("item", "field", "words"),
        [
            ({"text": "a"}, "body.items.0", "either domain or labels"),
            ({"domain": "movies", "labels": ["a"], "text": "a"}, "body.items.0", "either domain or labels"),
            ({"labels": ["a", "a"], "text": "a"}, "body.items.0.labels", "found a name twice, expected distinct names"),
        ],
    )
    async def test_what_is_wrong_with_one_is_said(
        self, client: httpx.AsyncClient, item: dict[str, Any], field: str, words: str
    ) -> None:
        answer = await client.post("/v1/entities", json={"items": [item]})
        [error] = problem(answer, 422, "invalid-request")["errors"]
        assert error["field"] == field
        assert words in error["message"]
        assert "Value error" not in error["message"]

    async def test_items_bring_their_labels_and_are_answered_as_offline(
        self, client: httpx.AsyncClient, place: Place
    ) -> None:
        items = [{"labels": labels, "text": text} for labels in SETS for text in TEXTS]
        expected = [place.offline_labels(labels, text) for labels in SETS for text in TEXTS]
        for asked, offline in zip(await results(client, items), expected, strict=True):
            assert asked == {"domain": None, "entities": entities_of(offline), "windows": offline.windows}
        assert sum(len(each.entities) for each in expected) > 20

    async def test_they_share_batches_with_domains_and_each_is_answered_as_alone(self, place: Place) -> None:
        notes = Batches()
        replica = BackboneReplica(place.settings, lambda: notes)
        await replica.reconfigure({"batch": {"max_wait_s": 0.5}})
        created = await replica.create_domain("untuned", label_set(["person", "city group"]))
        assert not isinstance(created, Refusal)
        named = [*DOMAINS, "untuned"]
        text = TEXTS[0]
        items = [*({"domain": d, "text": text} for d in named), *({"labels": each, "text": text} for each in SETS)]
        async with connect(replica) as client:
            # First to make all prompts; then in one batch, except those of 150 labels; then each by itself.
            await results(client, items)
            notes.batches.clear()
            together = await results(client, items)
            assert notes.batches == [len(items) - 1, 1]
            for item, found in zip(items, together, strict=True):
                [alone] = await results(client, [item])
                assert [drop_score(each) for each in alone["entities"]] == [
                    drop_score(each) for each in found["entities"]
                ]
        _, untuned = place.registry.fetch("untuned")
        offline = [
            *(place.offline(domain, text) for domain in DOMAINS),
            tag_texts(place.backbone, [(prompt_for(untuned, place.backbone), text)])[0],
            *(place.offline_labels(each, text) for each in SETS),
        ]
        assert [each["entities"] for each in together] == [entities_of(each) for each in offline]
        assert sum(len(each.entities) for each in offline) > 8

    async def test_the_order_of_labels_changes_not_a_bit_and_reads_nothing_again(self, place: Place) -> None:
        replica = BackboneReplica(place.settings, lambda: MetricsObserver(Figures({})))
        names = ["person", "place", "food", "time"]
        async with connect(replica) as client:
            found = [
                await results(client, [{"labels": labels, "text": TEXT}])
                for order in permutations(names)
                for labels in (list(order), dict.fromkeys(order))
            ]
            counted = (await client.get("/metrics")).text
        assert all(each == found[0] for each in found)
        assert found[0][0]["entities"]
        assert 'lightner_prompt_loads_total{source="labels"} 1.0' in counted

    async def test_threshold_and_output_are_as_for_domains(self, client: httpx.AsyncClient) -> None:
        item = {"labels": SETS[0], "text": TEXT}
        [every] = await results(client, [item])
        scores = sorted(each["score"] for each in every["entities"])
        [some] = await results(client, [item], threshold=scores[1])
        assert some["entities"] == [each for each in every["entities"] if each["score"] >= scores[1]] != []
        [grouped] = await results(client, [item], output="entity_group")
        assert [(each["entity_group"], each["word"]) for each in grouped["entities"]] == [
            (each["label"], each["text"]) for each in every["entities"]
        ]
        [words] = await results(client, [{"labels": SETS[0], "text": TEXT.split()}])
        assert all("start_word" in each for each in words["entities"])

    async def test_problems_of_labels_are_reported_only_at_their_items(
        self, client: httpx.AsyncClient, place: Place
    ) -> None:
        wrong = [["Person", "person"], {"a": "\u200b"}, ["人", "物"], ["a\u200bb"]]
        items = [*({"labels": each, "text": "a"} for each in wrong), {"domain": "movies", "text": TEXT}]
        *refused, movies = await results(client, items)
        assert movies["entities"] == entities_of(place.offline("movies", TEXT))
        for number, (each, said) in enumerate(
            zip(refused, ("'Person', 'person'", "at least one word", "'人', '物'", "printable"), strict=True)
        ):
            assert (each["domain"], each["problem"]["status"]) == (None, 422)
            assert each["problem"]["type"] == "urn:lightner:problem:unusable-labels"
            assert said in each["problem"]["detail"]
            assert each["problem"]["errors"][0]["field"] == f"body.items.{number}.labels"
            assert "domain" not in each["problem"]

    async def test_too_many_new_sets_are_refused_without_the_rest(self, place: Place) -> None:
        replica = BackboneReplica(place.settings)
        await replica.reconfigure({"prompts": {"max_label_sets": 1}})
        async with connect(replica) as client:
            items = [{"labels": [name], "text": TEXT} for name in ("person", "place")]
            first, second, movies = await results(client, [*items, {"domain": "movies", "text": TEXT}])
            assert first["entities"] == entities_of(place.offline_labels(["person"], TEXT))
            assert movies["entities"] == entities_of(place.offline("movies", TEXT))
            assert (second["problem"]["status"], second["domain"]) == (503, None)
            assert second["problem"]["type"] == "urn:lightner:problem:labels-overloaded"

    async def test_a_request_of_which_nothing_was_read_is_refused_as_a_whole(self, place: Place) -> None:
        replica, held = BackboneReplica(place.settings), asyncio.Event()
        await replica.reconfigure({"prompts": {"max_label_sets": 1}})
        replica._labels._read = lambda _: held.wait()  # type: ignore[assignment]
        async with connect(replica) as client:
            first = asyncio.create_task(replica.tag([Ask(None, ("a",), labels=label_set(["time"]))]))
            await asyncio.sleep(0)
            items = [{"labels": [name], "text": TEXT} for name in ("person", "place")]
            answer = await client.post("/v1/entities", json={"items": items})
            problem(answer, 503, "labels-overloaded")
            assert int(answer.headers["retry-after"]) > 0
            first.cancel()


class Batches(Silent[Row]):
    """The number of rows of each batch."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def on_batch(self, rows: Sequence[Row], padding_share: float, seconds: float) -> None:
        self.batches.append(len(rows))


def drop_score(entity: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entity.items() if name != "score"}


class TestDomains:
    async def test_a_domain_is_made_from_labels_and_answers_like_them(
        self, client: httpx.AsyncClient, place: Place
    ) -> None:
        assert (await client.get("/v1/domains")).json() == {"domains": sorted(DOMAINS)}
        problem(await client.post("/v1/domains/new/entities", json={"texts": [TEXT]}), 404, "unknown-prompt")
        made = await client.post("/v1/domains", json={"domain": "new", "labels": SETS[1]})
        assert (made.status_code, made.json()) == (201, {"domain": "new", "alias": "live", "version": "v000001"})
        assert (await client.get("/v1/domains")).json() == {"domains": sorted([*DOMAINS, "new"])}
        answer = (await client.post("/v1/domains/new/entities", json={"texts": [TEXT]})).json()
        expected = place.offline_labels(SETS[1], TEXT)
        assert answer["prompt_version"] == "v000001"
        assert answer["results"] == [{"entities": entities_of(expected), "windows": expected.windows}]
        assert expected.entities
        card = (await client.get("/v1/domains/new")).json()["card"]
        assert (card["tuning"], card["metrics"]) == ({"tuned_on": 0}, {})
        assert card["labels"] == ["food", "person", "when"]

    async def test_a_domain_that_exists_is_left_alone(self, client: httpx.AsyncClient, place: Place) -> None:
        for domain in ("movies", "movies"):
            refused = await client.post("/v1/domains", json={"domain": domain, "labels": ["person"]})
            assert problem(refused, 409, "domain-exists")["domain"] == "movies"
        assert place.registry.versions("movies") == ("v000001",)

    async def test_only_one_of_two_concurrent_calls_makes_it(self, client: httpx.AsyncClient, place: Place) -> None:
        asks = [client.post("/v1/domains", json={"domain": "new", "labels": [name]}) for name in ("person", "place")]
        answers = await asyncio.gather(*asks)
        assert sorted(answer.status_code for answer in answers) == [201, 409]
        [made] = [answer for answer in answers if answer.status_code == 201]
        assert made.json()["version"] == place.registry.resolve("new")

    async def test_labels_that_cannot_be_used_make_none(self, client: httpx.AsyncClient, place: Place) -> None:
        for labels, said in ((["C", "c"], "'C', 'c'"), ({"a": "\u200b"}, "at least one word")):
            refused = await client.post("/v1/domains", json={"domain": "new", "labels": labels})
            document = problem(refused, 422, "unusable-labels")
            assert (document["domain"], document["errors"][0]["field"]) == ("new", "body.labels")
            assert said in document["detail"]
            assert place.registry.url not in refused.text
        assert place.registry.domains() == tuple(sorted(DOMAINS))

    async def test_a_store_that_fails_says_nothing_internal(self, place: Place) -> None:
        folder = Path(place.registry.url) / "new"
        folder.mkdir()
        (folder / "aliases.json").write_text("{}")
        async with connect(BackboneReplica(place.settings), admin=KEY) as client:
            body = {"domain": "new", "labels": ["person"]}
            refused = await client.post("/v1/domains", json=body, headers=bearer(KEY))
        problem(refused, 502, "unusable-prompt")
        assert place.registry.url not in refused.text


class TestFlood:
    async def test_new_label_sets_evict_no_domain_and_stay_within_their_bytes(self, place: Place) -> None:
        replica = BackboneReplica(place.settings)
        prompt_bytes = (await replica.tag([Ask("movies", ("a",))])) and replica._prompts.nbytes
        await replica.reconfigure({"prompts": {"max_bytes": prompt_bytes, "max_label_bytes": 4 * prompt_bytes}})
        for number in range(30):
            [answer] = await replica.tag([Ask(None, (TEXT,), labels=label_set([f"l{number}", "person"]))])
            assert isinstance(answer, Answer)
            assert replica._labels.nbytes <= 4 * prompt_bytes
        assert replica._prompts.resident == (("movies", "v000001"),)
        assert replica._labels.nbytes > 0

    async def test_labels_are_read_in_the_thread_of_the_batches_and_the_event_loop_stays_free(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        threads: set[str] = set()
        real = replicas._next

        def noting(steps: Any) -> Any:
            threads.add(threading.current_thread().name)
            return real(steps)

        monkeypatch.setattr(replicas, "_next", noting)
        replica = BackboneReplica(place.settings)
        [answer] = await replica.tag([Ask(None, (TEXT,), labels=label_set(SETS[-1]))])
        assert isinstance(answer, Answer)
        assert [name.startswith("forward") for name in threads] == [True]

    async def test_while_labels_are_read_domains_are_answered_between_the_steps(self, place: Place) -> None:
        notes = Batches()
        replica = BackboneReplica(place.settings, lambda: notes)
        await replica.tag([Ask("movies", (TEXT,))])
        notes.batches.clear()
        reading = asyncio.create_task(replica.tag([Ask(None, (TEXT,), labels=label_set(SETS[-1]))]))
        answered = 0
        while not reading.done():
            await replica.tag([Ask("movies", ("Ada",))])
            answered += 1
        assert answered > 2
        assert not isinstance((await reading)[0], Refusal)


async def test_labels_of_requests_never_become_labels_of_metrics(place: Place) -> None:
    replica = BackboneReplica(place.settings, lambda: MetricsObserver(Figures({})))
    async with connect(replica) as client:
        items = [{"labels": {"zebra": "a striped animal"}, "text": "a"}, {"labels": ["人", "物"], "text": "a"}]
        for _ in range(2):
            await results(client, items)
        counted = (await client.get("/metrics")).text
    assert 'lightner_requests_total{domain="(labels)",outcome="answered"} 2.0' in counted
    assert 'lightner_requests_total{domain="(labels)",outcome="unusable-labels"} 2.0' in counted
    assert 'lightner_prompt_lookups_total{result="labels-hit"} 1.0' in counted
    assert 'lightner_prompt_lookups_total{result="labels-miss"} 3.0' in counted
    assert 'lightner_prompts_resident{tier="labels"} 1.0' in counted
    assert f'lightner_prompt_failures_total{{reason="{Reason.UNUSABLE_LABELS.value}"}} 2.0' in counted
    assert "zebra" not in counted
    assert "人" not in counted
