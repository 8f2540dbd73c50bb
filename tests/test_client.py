"""The client against the real service on uvicorn: answers, errors, retries, and a killed service."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pandas
import pytest
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from lightner import client as contract
from lightner.client import (
    Client,
    Entity,
    Item,
    Named,
    Problem,
    ProblemError,
    Tagged,
    UnexpectedAnswerError,
    UnreachableError,
)
from lightner.service import schemas
from lightner.service.middleware import Keys
from lightner.service.replica import BackboneReplica
from lightner.service.routes import create_app
from lightner.service.settings import RequestLimits
from lightner.texts import WORD_PATTERN
from lightner.types import InputError, TaggedText
from tests.conftest import free_port
from tests.support.served import PATIENCE_S, Process, hold, listening
from tests.support.serving import DOMAINS, SCORE_TOLERANCE, TEXTS, Place, prepare_with_damage
from tests.support.teaching import desk_of

READ, ADMIN = "read key", "admin key"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """`prepare_with_damage`, and a domain `reviews` of two versions whose alias `before` names the first."""
    place = prepare_with_damage(tmp_path_factory.mktemp("place"))
    for seed in (1, 2):
        place.publish("reviews", seed)
    place.registry.set_alias("reviews", "before", "v000001")
    return place


@pytest.fixture(scope="module")
def url(place: Place) -> Iterator[str]:
    reader = BackboneReplica(place.settings)
    app = create_app(
        reader, keys=Keys(READ, ADMIN), limits=RequestLimits(max_at_once=8), desk=desk_of(place.registry.url, reader)
    )
    with listening(app) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url, key=READ, patience_s=0) as client:
        yield client


def expected(place: Place, domain: str, text: str, version: int = 1) -> Tagged:
    offline = place.offline(domain, text, seed=version)
    scores: list[Any] = [pytest.approx(e.score, rel=SCORE_TOLERANCE) for e in offline.entities]
    entities = tuple(
        Entity(e.start, e.end, e.text, e.label, score) for e, score in zip(offline.entities, scores, strict=True)
    )
    return Tagged(domain, f"v{version:06d}", entities, offline.windows)


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


class TestErrors:
    def test_a_problem_is_reported_unchanged_and_not_retried(self, url: str) -> None:
        with Client(url, key=READ, patience_s=60) as client:
            began = time.monotonic()
            with pytest.raises(ProblemError, match="502 Unusable prompt") as caught:
                client.tag("damaged", ["mary"])
            assert caught.value.problem.prompt_version == "v000001"
            assert time.monotonic() - began < 30
        with Client(url, key=ADMIN, patience_s=60) as client:
            with pytest.raises(ProblemError) as caught:
                client.set_alias("movies", "no version")
            assert list(caught.value.problem.errors) == ["body.version"]
            assert caught.value.retry_after_s is None
            assert time.monotonic() - began < 30

    def test_a_wrong_key_is_refused(self, url: str) -> None:
        for key in (None, "wrong"):
            with Client(url, key=key) as client, pytest.raises(ProblemError, match="401 Unauthorized"):
                client.domains()

    @pytest.mark.parametrize("key", ["s3cret\n", " s3cret", "s3cr\u00e9t"])
    def test_a_key_that_no_header_can_hold_is_refused_at_once_and_not_shown(self, url: str, key: str) -> None:
        with pytest.raises(InputError, match="key: found white space around it") as caught:
            Client(url, key=key)
        assert "s3cr" not in str(caught.value)

    def test_where_nobody_listens_patience_ends(self) -> None:
        began = time.monotonic()
        with Client(f"http://127.0.0.1:{free_port()}", patience_s=1) as client, pytest.raises(UnreachableError):
            client.domains()
        assert time.monotonic() - began < 30

    def test_an_overloaded_service_is_asked_again_when_it_said(self, url: str, place: Place) -> None:
        held = [hold(url, key=READ) for _ in range(8)]
        with Client(url, key=READ, patience_s=0) as hasty, pytest.raises(ProblemError) as caught:
            hasty.domains()
        assert (caught.value.problem.status, caught.value.retry_after_s) == (429, 1)
        began = time.monotonic()
        threading.Timer(1, lambda: list(map(socket.socket.close, held))).start()
        with Client(url, key=READ) as client:
            assert client.tag("movies", ["mary"]) == [expected(place, "movies", "mary")]
        assert time.monotonic() - began >= 1


class Scripted:
    """A proxy between client and service that gives the answers in turn, and then the last one for ever."""

    def __init__(self, *answers: Response | None) -> None:
        self.times: list[float] = []
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._answers[min(len(self.times), len(self._answers) - 1)]
        self.times.append(time.monotonic())
        if answer is None:
            # uvicorn breaks the connection off.
            return
        await answer(scope, receive, send)


DOMAINS_ANSWER = Response('{"domains": ["movies"]}', media_type="application/json")


class TestBetween:
    @pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
    def test_an_unexplained_failure_is_asked_again(self, status: int) -> None:
        app = Scripted(PlainTextResponse("Internal Server Error", status), DOMAINS_ANSWER)
        with listening(app) as url, Client(url) as client:
            assert client.domains() == ["movies"]
        assert len(app.times) == 2

    def test_the_service_says_when_to_come_back(self) -> None:
        app = Scripted(PlainTextResponse("busy", 503, {"retry-after": "1"}), DOMAINS_ANSWER)
        with listening(app) as url, Client(url) as client:
            client.domains()
        assert app.times[1] - app.times[0] >= 1

    @pytest.mark.parametrize("form", ["seconds", "date"])
    def test_a_time_beyond_patience_is_not_waited_for(self, form: str) -> None:
        date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
        when = {"seconds": "3600", "date": date}[form]
        app = Scripted(PlainTextResponse("busy", 503, {"retry-after": when}), DOMAINS_ANSWER)
        with listening(app) as url, Client(url) as client, pytest.raises(ProblemError) as caught:
            client.domains()
        assert caught.value.problem == Problem("about:blank", "Service Unavailable", 503, "the answer says no more")
        assert caught.value.retry_after_s == pytest.approx(3600, abs=PATIENCE_S)
        assert len(app.times) == 1

    @pytest.mark.parametrize("when", ["soon", "-5", "Tue, 99 Nov 2026", "²"])
    def test_an_invalid_time_is_ignored(self, when: str) -> None:
        app = Scripted(PlainTextResponse("busy", 503, {"retry-after": when}), DOMAINS_ANSWER)
        with listening(app) as url, Client(url) as client:
            assert client.domains() == ["movies"]

    def test_permanent_failures_are_not_retried(self) -> None:
        app = Scripted(PlainTextResponse("no", 418), DOMAINS_ANSWER)
        with listening(app) as url, Client(url) as client, pytest.raises(ProblemError, match="418"):
            client.domains()
        assert len(app.times) == 1

    def test_a_rollback_is_never_repeated(self) -> None:
        app = Scripted(PlainTextResponse("busy", 503), DOMAINS_ANSWER)
        with listening(app) as url, Client(url) as client, pytest.raises(ProblemError, match="503"):
            client.rollback("movies")
        assert len(app.times) == 1

    @pytest.mark.parametrize("body", ["<html>", "[]", '{"domain": []}', '{"domains": 3}'])
    def test_an_answer_in_another_form_is_reported_as_such(self, body: str) -> None:
        app = Scripted(Response(body, media_type="application/json"))
        with listening(app) as url, Client(url) as client, pytest.raises(UnexpectedAnswerError, match="another form"):
            client.domains()

    def test_a_service_that_does_not_answer_in_time_is_unreachable(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            with Client(url, timeout_s=0.2, patience_s=0) as client, pytest.raises(UnreachableError, match="GET"):
                client.domains()


def test_a_service_that_is_killed_and_returns_costs_no_answer(place: Place) -> None:
    service = Process(place.registry.url, place.folder)
    found: list[Tagged] = []
    over = threading.Event()

    def ask() -> None:
        with Client(service.url, patience_s=PATIENCE_S) as client:
            while not over.is_set():
                found.extend(client.tag("movies", [TEXTS[0]]))

    def wait_for(answers: int) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while len(found) < answers and not asking.done():
            assert time.monotonic() < deadline, f"{len(found)} answers, and no more"
            time.sleep(0.05)

    service.start()
    try:
        service.ready()
        with ThreadPoolExecutor() as users:
            asking = users.submit(ask)
            try:
                wait_for(3)
                service.kill()
                before = len(found)
                service.start()
                wait_for(before + 3)
            finally:
                over.set()
        asking.result()
    finally:
        service.kill()
    assert len(found) >= before + 3
    assert found == [expected(place, "movies", TEXTS[0])] * len(found)
