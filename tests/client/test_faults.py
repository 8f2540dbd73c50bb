"""The client where something fails: problems, retries, an answer in another form, and a killed service."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from lightner.client import Client, Problem, ProblemError, Tagged, UnexpectedAnswerError, UnreachableError
from lightner.types import InputError
from tests.conftest import free_port
from tests.support.client import ADMIN, READ, expected
from tests.support.served import PATIENCE_S, Process, hold, listening
from tests.support.serving import TEXTS, Place


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
