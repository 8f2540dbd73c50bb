"""Labels of the call in place of a domain, and the administration of domains, by the client."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lightner.client import Client, Item, Named, Problem, ProblemError
from lightner.types import InputError, TaggedText
from tests.support.client import ADMIN, READ, expected
from tests.support.serving import DOMAINS, SCORE_TOLERANCE, TEXTS, Place


class TestLabels:
    def test_texts_are_read_by_labels_of_the_call(self, client: Client, place: Place) -> None:
        for labels in (["person", "place"], {"person": "who lives in a city", "place": ["city"], "time": None}):
            found = client.tag_labels(labels, TEXTS)
            assert found == [about(place.offline_labels(labels, text)) for text in TEXTS]
            assert sum(len(each.entities) for each in found) > 3
        assert client.tag_labels(["person"], []) == []

    def test_items_of_domains_and_with_labels_mix(self, client: Client, place: Place) -> None:
        labels = ["place", "person"]
        items = [Item("movies", TEXTS[0]), Item(text=TEXTS[0], labels=labels), Item(text="a", labels=["C", "C++"])]
        movies, by_labels, refused = client.tag_mixed(items)
        assert movies == expected(place, "movies", TEXTS[0])
        assert by_labels == about(place.offline_labels(labels, TEXTS[0]))
        assert isinstance(refused, Problem)
        assert (refused.status, refused.type) == (422, "urn:lightner:problem:unusable-labels")
        with pytest.raises(ProblemError, match="'C', 'C\\+\\+'"):
            client.tag_labels(["C", "C++"], ["a"])

    def test_no_more_labels_than_a_request_may_have_are_sent_at_once(self, client: Client) -> None:
        sets = [
            {"person": f"{number} of a group", **{f"l{n}": f"{n} " + "person " * 20 for n in range(90)}}
            for number in range(4)
        ]
        found = client.tag_mixed([Item(text="ada", labels=labels) for labels in sets for _ in range(2)])
        assert [type(each) for each in found] == [TaggedText] * 8

    def test_many_items_may_have_the_same_labels(self, url: str) -> None:
        labels = {f"l{number}": f"{number} " + "a " * 80 for number in range(100)}
        with Client(url, key=READ, texts_per_request=256) as client:
            assert len(client.tag_labels(labels, ["ada"] * 40)) == 40

    def test_a_domain_is_made_of_labels(self, url: str, place: Place) -> None:
        with Client(url, key=ADMIN, patience_s=0) as admin:
            made = admin.create_domain("made", {"person": None, "place": "a city"})
            assert made == Named("made", "live", "v000001")
            assert "made" in admin.domains()
            [found] = admin.tag("made", [TEXTS[0]])
            offline = place.offline_labels({"person": None, "place": "a city"}, TEXTS[0])
            assert TaggedText(found.entities, found.windows) == about(offline)
            with pytest.raises(ProblemError) as caught:
                admin.create_domain("made", ["person"])
            assert caught.value.problem.type == "urn:lightner:problem:domain-exists"
            with pytest.raises(InputError, match="labels: found the string 'person'"):
                admin.create_domain("new", "person")
        with Client(url, key=READ, patience_s=0) as client, pytest.raises(ProblemError, match="403 Forbidden"):
            client.create_domain("new", ["person"])


def about(tagged: TaggedText) -> TaggedText:
    """The same, with scores that equal those nearby."""
    scores: list[Any] = [pytest.approx(e.score, rel=SCORE_TOLERANCE) for e in tagged.entities]
    entities = [replace(e, score=score) for e, score in zip(tagged.entities, scores, strict=True)]
    return TaggedText(tuple(entities), tagged.windows)


class TestAdministration:
    def test_domains_and_cards_are_read(self, client: Client) -> None:
        assert set(client.domains()) - {"made"} == {*DOMAINS, "damaged", "reviews"}
        found = client.describe("recipes", "live")
        assert (found.domain, found.prompt_version, found.card["labels"]) == (
            "recipes", "v000001", ["city group", "food", "time"],
        )  # fmt: skip

    def test_an_alias_moves_with_the_admin_key_only(self, client: Client, url: str, place: Place) -> None:
        place.publish("news", seed=1)
        place.publish("news", seed=2)
        with pytest.raises(ProblemError) as caught:
            client.set_alias("news", "v000001")
        assert (caught.value.problem.status, caught.value.passing) == (403, False)
        with Client(url, key=ADMIN) as admin:
            assert admin.set_alias("news", "v000001", alias="canary") == Named("news", "canary", "v000001")
            assert admin.rollback("news") == Named("news", "live", "v000001")
            with pytest.raises(ProblemError, match="404 Unknown prompt"):
                admin.rollback("news")
            assert admin.tag("news", ["mary"])[0].prompt_version == "v000001"
