"""The client's answers, equal to the library's, and values that it takes or refuses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas
import pytest

from lightner import client as contract
from lightner.client import Client, Item, Problem, ProblemError, Tagged
from lightner.service import schemas
from lightner.texts import WORD_PATTERN
from lightner.types import InputError
from tests.conftest import free_port
from tests.support.client import READ, expected
from tests.support.serving import TEXTS, Place


class TestTagging:
    def test_a_single_string_is_not_a_list_of_texts(self, client: Client) -> None:
        with pytest.raises(InputError, match="found the string 'mary', expected a list of texts"):
            client.tag("movies", "mary")

    def test_texts_are_answered_as_offline(self, client: Client, place: Place) -> None:
        found = client.tag("movies", TEXTS)
        assert found == [expected(place, "movies", text) for text in TEXTS]
        assert sum(len(each.entities) for each in found) > 5

    @pytest.mark.parametrize("texts_per_request", [1, 2, 256])
    def test_many_texts_are_split_into_requests_and_come_back_in_order(
        self, url: str, place: Place, texts_per_request: int
    ) -> None:
        texts = TEXTS[:3] * 2
        with Client(url, key=READ, texts_per_request=texts_per_request) as client:
            assert client.tag("movies", texts) == [expected(place, "movies", text) for text in texts]

    def test_more_characters_than_one_request_may_have_are_split_too(self, client: Client) -> None:
        texts = [" " * contract.MAX_TEXT_CHARACTERS] * 9
        assert [each.windows for each in client.tag("movies", texts)] == [1] * 9

    def test_no_texts_need_no_request(self) -> None:
        with Client(f"http://127.0.0.1:{free_port()}") as client:
            assert client.tag("movies", []) == client.tag_mixed([]) == []

    def test_words_are_answered_in_words(self, client: Client) -> None:
        words = ("Ada", "lives", "in", "New York", "and", "likes", "soup")
        (tagged,) = client.tag("movies", [words])
        assert len(tagged.entities) > 0
        for each in tagged.entities:
            assert " ".join(words[each.start_word : each.end_word]) == each.text

    @pytest.mark.parametrize(("prompt", "version"), [("v000001", 1), ("before", 1), ("v000002", 2), (None, 2)])
    def test_a_version_or_an_alias_may_be_named(
        self, client: Client, place: Place, prompt: str | None, version: int
    ) -> None:
        assert client.tag("reviews", [TEXTS[0]], prompt=prompt) == [expected(place, "reviews", TEXTS[0], version)]
        assert client.describe("reviews", prompt).prompt_version == f"v{version:06d}"

    def test_items_of_one_domain_may_name_different_prompts(self, client: Client, place: Place) -> None:
        named = [("v000001", 1), (None, 2), ("before", 1), ("v000002", 2), ("v000001", 1)]
        found = client.tag_mixed([Item("reviews", TEXTS[0], prompt) for prompt, _ in named])
        assert found == [expected(place, "reviews", TEXTS[0], version) for _, version in named]

    def test_thresholds_may_be_those_that_were_fitted_or_of_one_label(self, client: Client) -> None:
        def places(found: Sequence[Any]) -> list[list[tuple[int, int, str]]]:
            return [[(each.start, each.end, each.label) for each in tagged.entities] for tagged in found]

        everything = places(client.tag("movies", TEXTS))
        assert places(client.tag("movies", TEXTS, threshold="tuned")) == everything, "none were fitted"
        kept = [[place for place in found if place[-1] != "LOC"] for found in everything]
        assert kept != everything
        assert places(client.tag("movies", TEXTS, thresholds={"LOC": 1.0})) == kept
        assert places(client.tag_mixed([Item("movies", TEXTS[0])], thresholds={"LOC": 1.0})) == kept[:1]
        with pytest.raises(ProblemError, match="found no such label"):
            client.tag("movies", TEXTS, thresholds={"city": 0.5})

    def test_a_threshold_may_be_named(self, client: Client) -> None:
        (every,) = client.tag("movies", [TEXTS[-1]])
        middle = sorted(each.score for each in every.entities)[len(every.entities) // 2]
        (some,) = client.tag("movies", [TEXTS[-1]], threshold=middle)
        assert 0 < len(some.entities) < len(every.entities)

    def test_items_of_a_failing_domain_are_problems_and_the_others_answers(self, client: Client, place: Place) -> None:
        items = [Item("movies", "mary"), Item("damaged", "mary"), Item("nowhere", "mary"), Item("recipes", ["mary"])]
        movies, damaged, nowhere, recipes = client.tag_mixed(items)
        assert movies == expected(place, "movies", "mary")
        assert isinstance(recipes, Tagged)
        assert isinstance(damaged, Problem)
        assert isinstance(nowhere, Problem)
        assert (damaged.status, damaged.prompt_version, nowhere.status) == (502, "v000001", 404)
        assert nowhere.errors == {"body.items.2.domain": "there is no such domain, alias or version"}

    def test_the_client_takes_the_same_values_as_the_service(self) -> None:
        for limit in ("MAX_TEXTS", "MAX_TEXT_CHARACTERS", "MAX_TOTAL_CHARACTERS", "MAX_LABEL_CHARACTERS"):
            assert getattr(contract, limit) == getattr(schemas, limit)
        assert WORD_PATTERN == schemas.WORD_PATTERN

    def test_values_that_no_service_takes_are_refused_here_and_named(self, client: Client) -> None:
        with pytest.raises(InputError, match=r"texts\[1\]: found 100001 characters"):
            client.tag("movies", ["a", "a" * 100_001])
        with pytest.raises(InputError, match=r"texts\[0\]\[1\]: found half of a surrogate pair"):
            client.tag("movies", [["a", "\ud83c"]])
        with pytest.raises(InputError, match=r"texts\[0\]: found half of a surrogate pair"):
            client.tag("movies", ["a \ud83c"])
        with pytest.raises(InputError, match=r"domain: found '\.\./domains'"):
            client.tag("../domains", ["a"])
        for url in ("localhost:8000", "http://localhost:80x", "http://[::1", "", None):
            with pytest.raises(InputError, match=r"url: found .*, expected http"):
                Client(url)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="texts_per_request: found 257"):
            Client("http://localhost:8000", texts_per_request=257)

    def test_texts_come_from_any_iterable(self, client: Client, place: Place) -> None:
        series = pandas.Series(TEXTS[:3], index=[5, 6, 7])
        expected_ones = [expected(place, "movies", text) for text in TEXTS[:3]]
        assert client.tag("movies", series) == client.tag("movies", (text for text in series)) == expected_ones
        assert client.tag_mixed(Item("movies", text) for text in series) == expected_ones

    @pytest.mark.parametrize(
        ("texts", "said"),
        [
            (None, "texts: found None, expected a list of texts"),
            (pandas.DataFrame({"text": ["a"]}), "texts: found a DataFrame, expected a list of texts"),
            (["a", math.nan], "texts[1]: found nan (float), expected a string or a list of words"),
            ([["a", 3]], "texts[0][1]: found 3 (int), expected a word as a string"),
        ],
    )
    def test_a_value_that_is_not_a_text_is_named_with_its_place(self, client: Client, texts: Any, said: str) -> None:
        with pytest.raises(InputError) as caught:
            client.tag("movies", texts)
        assert str(caught.value).startswith(said)

    @pytest.mark.parametrize(
        ("items", "said"),
        [
            ({"domain": "movies"}, "items: found a dict, expected a list of items"),
            ([("movies", "a")], "items[0]: found ('movies', 'a') (tuple), expected an Item"),
            ([Item("movies", "a"), Item("movies", math.nan)], "items[1].text: found nan (float), expected a string"),  # type: ignore[arg-type]
            ([Item("Movies!", "a")], "items[0].domain: found 'Movies!', expected lower-case"),
            ([Item("movies", "a", 3)], "items[0].prompt: found 3, expected lower-case"),  # type: ignore[arg-type]
            ([Item("movies", "a" * 100_001)], "items[0].text: found 100001 characters"),
            ([Item("movies")], "items[0].text: found None, expected a string"),
            ([Item(text="a")], "items[0]: found neither a domain nor labels, expected one of them"),
            ([Item("movies", "a", labels=["b"])], "items[0]: found both a domain and labels, expected one of them"),
            ([Item(text="a", labels=["b"], prompt="live")], "items[0].prompt: found 'live' beside labels"),
            ([Item(text="a", labels="person")], "items[0].labels: found the string 'person', expected a list"),
            ([Item(text="a", labels=["b", 3])], "items[0].labels: found 3 (int), expected a string"),  # type: ignore[list-item]
            ([Item(text="a", labels={"b": 3})], "items[0].labels['b']: found 3 (int), expected a list"),  # type: ignore[dict-item]
            ([Item(text="a", labels={"b": ["\ud83c"]})], "items[0].labels['b']: found half of a surrogate pair"),
            ([Item(text="a", labels={"b": "c" * 20_000})], "items[0].labels: found 20002 characters, expected at most"),
        ],
    )
    def test_a_value_that_is_not_an_item_is_named_with_its_place(self, client: Client, items: Any, said: str) -> None:
        with pytest.raises(InputError) as caught:
            client.tag_mixed(items)
        assert str(caught.value).startswith(said)

    @pytest.mark.parametrize("threshold", [math.nan, -0.1, 2, "0.5", None])
    def test_a_threshold_is_a_probability(self, client: Client, threshold: Any) -> None:
        with pytest.raises(InputError, match=r"threshold: found .*, expected a number from 0 to 1"):
            client.tag("movies", ["a"], threshold=threshold)
        with pytest.raises(InputError, match=r"threshold: found .*, expected a number from 0 to 1"):
            client.tag_mixed([Item("movies", "a")], threshold=threshold)

    def test_a_prompt_is_a_name(self, client: Client) -> None:
        with pytest.raises(InputError, match=r"prompt: found '\.\./live', expected lower-case"):
            client.tag("movies", ["a"], prompt="../live")
