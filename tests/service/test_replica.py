"""The backbone replica without ray: its answers equal the library's offline results."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from lightner.service.messages import HELD_DOMAINS, Answer, Ask, Description, Reason, Refusal
from lightner.service.replica import BackboneReplica
from lightner.service.settings import Settings
from lightner.tagger import Row, ScoredSpans
from lightner.texts import Text
from lightner.types import InputError, TaggedText
from tests.support.serving import DOMAINS, SCORE_TOLERANCE, TEXTS, Place, prepare

pytestmark = pytest.mark.anyio


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return prepare(tmp_path / "a place")


def check_equal(place: Place, asks: list[Ask], outcomes: list[Answer | Refusal]) -> int:
    """Check that every answer equals the offline one; returns the number of entities."""
    entities = 0
    for ask, outcome in zip(asks, outcomes, strict=True):
        assert isinstance(outcome, Answer)
        assert (outcome.domain, outcome.version) == (ask.domain, "v000001")
        for text, tagged in zip(ask.texts, outcome.texts, strict=True):
            assert isinstance(tagged, TaggedText)
            expected = place.offline(ask.domain, text)
            assert tagged.windows == expected.windows
            assert [replace(e, score=0) for e in tagged.entities] == [replace(e, score=0) for e in expected.entities]
            scores = [e.score for e in expected.entities]
            assert [e.score for e in tagged.entities] == pytest.approx(scores, rel=SCORE_TOLERANCE)
            entities += len(tagged.entities)
    return entities


async def test_served_answers_equal_offline_ones(place: Place) -> None:
    replica = BackboneReplica(place.settings)
    texts: tuple[Text, ...] = (*TEXTS, *(tuple(text.split()) for text in TEXTS), ("New York", "\u200b", "Rome"))
    asks = [Ask(domain, texts) for domain in DOMAINS]
    together = await replica.tag(asks)
    assert check_equal(place, asks, together) > 40
    assert max(tagged.windows for tagged in together[0].texts) == 3  # type: ignore[union-attr]
    for ask in asks:
        assert check_equal(place, [ask], await replica.tag([ask])) > 0


async def test_concurrent_requests_of_any_domains_each_get_their_own(place: Place) -> None:
    replica = BackboneReplica(place.settings)
    asks = [Ask(domain, (text,)) for text in TEXTS for domain in DOMAINS] * 2
    outcomes = [only for (only,) in await asyncio.gather(*(replica.tag([ask]) for ask in asks))]
    check_equal(place, asks, outcomes)


async def test_a_refused_domain_leaves_the_others_their_answers(place: Place) -> None:
    place.corrupt("recipes", "v000001")
    replica = BackboneReplica(place.settings)
    asks = [Ask("movies", TEXTS), Ask("recipes", TEXTS), Ask("nowhere", TEXTS), Ask("tickets", TEXTS, "v000001")]
    movies, recipes, nowhere, tickets = await replica.tag(asks)
    assert recipes == Refusal(Reason.UNUSABLE_PROMPT, "recipes", "v000001")
    assert nowhere == Refusal(Reason.UNKNOWN_PROMPT, "nowhere")
    check_equal(place, [asks[0], asks[3]], [movies, tickets])


async def test_a_full_queue_refuses_one_request_and_not_the_one_before(place: Place) -> None:
    replica = BackboneReplica(place.settings)
    await replica.reconfigure({"batch": {"max_queue_rows": 2, "max_wait_s": 0.2}})
    await replica.tag([Ask("movies", ("a",))])
    first, second = await asyncio.gather(
        replica.tag([Ask("movies", ("mary", "emil"))]), replica.tag([Ask("movies", ("ada",))])
    )
    assert [type(outcome) for outcome in (*first, *second)].count(Answer) == 1
    assert Refusal(Reason.OVERLOADED, "movies", "v000001") in (*first, *second)


async def test_a_replica_that_reads_no_text_any_more_is_unhealthy_until_it_does(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = BackboneReplica(place.settings)
    await replica.check_health()

    def broken(*_: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with monkeypatch.context() as device:
        device.setattr("lightner.service.replica.infer", broken)
        [failed] = await replica.tag([Ask("movies", ("Ada",))])
        assert isinstance(failed, Answer)
        assert failed.texts == (Refusal(Reason.FAILED, "movies", "v000001"),)
        with pytest.raises(RuntimeError, match="can no longer read any text"):
            await replica.check_health()
    await replica.check_health()


async def test_texts_that_cannot_be_read_do_not_make_a_replica_unhealthy(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = BackboneReplica(place.settings)
    real = replica._forward

    def choosy(rows: Sequence[Row]) -> list[ScoredSpans]:
        if any("poison" in row.words for row in rows):
            raise RuntimeError("a row that no model can read")
        return real(rows)

    monkeypatch.setattr(replica._batcher, "_run", choosy)
    for _ in range(3):
        [failed] = await replica.tag([Ask("movies", ("poison",))])
        assert isinstance(failed, Answer)
        assert isinstance(failed.texts[0], Refusal)
    both = asyncio.gather(replica.check_health(), replica.tag([Ask(domain, ("Ada",)) for domain in DOMAINS]))
    _, answers = await both
    check_equal(place, [Ask(domain, ("Ada",)) for domain in DOMAINS], answers)


async def test_a_pinned_version_is_read_next_to_the_live_one(place: Place) -> None:
    assert place.publish("movies", seed=2) == "v000002"
    replica = BackboneReplica(place.settings)
    pinned, live = await replica.tag([Ask("movies", TEXTS, "v000001"), Ask("movies", TEXTS)])
    check_equal(place, [Ask("movies", TEXTS)], [pinned])
    assert isinstance(live, Answer)
    assert live.version == "v000002"
    assert live.texts != pinned.texts  # type: ignore[union-attr]


async def test_cards_and_domains_are_returned(place: Place) -> None:
    replica = BackboneReplica(place.settings)
    assert await replica.domains() == sorted(DOMAINS)
    found = await replica.describe("movies", None)
    assert isinstance(found, Description)
    assert (found.version, found.card["labels"], found.card["prompt"]) == (
        "v000001",
        ["LOC", "PER"],
        {"length": 3, "slots": 2},
    )
    assert await replica.describe("nowhere", "live") == Refusal(Reason.UNKNOWN_PROMPT, "nowhere")
    assert await replica.backbone() == str(place.folder)


async def test_limits_change_while_it_runs_and_misspelt_ones_are_refused(place: Place) -> None:
    replica = BackboneReplica(place.settings)
    await replica.reconfigure({"prompts": {"alias_ttl_s": 0.05, "patience_s": 5}})
    (first,) = await replica.tag([Ask("movies", TEXTS)])
    place.publish("movies", seed=2)
    await asyncio.sleep(0.1)
    (second,) = await replica.tag([Ask("movies", TEXTS)])
    assert isinstance(first, Answer)
    assert isinstance(second, Answer)
    assert (first.version, second.version) == ("v000001", "v000002")
    wrongs: tuple[dict[str, object], ...] = ({"prompts": {"alias_tll_s": 1}}, {"cache": {}}, {"batch": {"max_rows": 0}})
    for wrong in wrongs:
        with pytest.raises(ValidationError):
            await replica.reconfigure(wrong)
    await replica.check_health()


async def test_domains_are_preloaded_before_the_first_request(place: Place) -> None:
    replica = BackboneReplica(place.settings)
    assert await replica.record_routing_stats() == {HELD_DOMAINS: []}
    await replica.reconfigure({"prompts": {"preload": ["movies"], "pinned": ["recipes"], "preload_wait_s": 60}})
    assert await replica.record_routing_stats() == {HELD_DOMAINS: ["movies", "recipes"]}


def test_an_unusable_backbone_or_registry_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="backbone"):
        BackboneReplica(Settings(registry=str(tmp_path), backbone=str(tmp_path / "nothing")))
    with pytest.raises(InputError, match="registry"):
        BackboneReplica(prepare(tmp_path).settings.model_copy(update={"registry": "ftp://somewhere"}))
