"""The service on a real Ray, deployed from serve/config.yaml, over HTTP: behaviour that needs separate processes."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from lightner.client import Client, Named, ProblemError
from lightner.jobs.on_ray import local
from tests.support.deployed import ADMIN, PREFIX, READ, Service, wait_until
from tests.support.serving import DOMAINS, TEXTS, bearer, entities_of, prepare

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def service(local_ray: local.Head, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(local_ray, prepare(tmp_path_factory.mktemp("a place")))
    service.add_below_prefix()
    service.deploy()
    yield service
    service.delete()


def test_one_at_a_time_equals_mixed_in_one_request_equals_offline(service: Service) -> None:
    pairs = [(domain, text) for text in TEXTS for domain in DOMAINS]
    offline = [service.place.offline(domain, text) for domain, text in pairs]
    expected = [
        {"domain": domain, "prompt_version": "v000001", "entities": entities_of(each), "windows": each.windows}
        for (domain, _), each in zip(pairs, offline, strict=True)
    ]
    items = [{"domain": domain, "text": text} for domain, text in pairs]
    assert service.http.post("/v1/entities", json={"items": items}).json()["results"] == expected
    alone = [service.ask(domain, text).json() for domain, text in pairs]
    assert [
        {"domain": each["domain"], "prompt_version": each["prompt_version"], **each["results"][0]} for each in alone
    ] == expected
    assert sum(len(each.entities) for each in offline) > 20


def test_labels_cross_processes_and_make_a_domain(service: Service) -> None:
    labels = {"person": "who lives in a city", "place": ["city"], "time": None}
    text = TEXTS[0]
    expected = service.place.offline_labels(labels, text)
    items = [{"labels": labels, "text": text}, {"labels": ["C", "C++"], "text": text}]
    found, refused = service.http.post("/v1/entities", json={"items": items}).json()["results"]
    assert found == {"domain": None, "entities": entities_of(expected), "windows": expected.windows}
    assert "'C', 'C++'" in refused["problem"]["detail"]
    body = {"domain": "made", "labels": labels}
    with Client(str(service.http.base_url), key=ADMIN) as admin:
        assert admin.create_domain("made", labels) == Named("made", "live", "v000001")
    assert service.http.post("/v1/domains", json=body, headers=bearer(ADMIN)).status_code == 409
    [made] = service.ask("made", text).json()["results"]
    assert made == {"entities": entities_of(expected), "windows": expected.windows}
    assert expected.entities


def test_health_domains_cards_and_documentation_are_there(service: Service) -> None:
    assert service.http.get("/healthz").json() == {"status": "ok"}
    assert service.http.get("/readyz").json()["status"] == "ready"
    assert set(service.http.get("/v1/domains").json()["domains"]) >= set(DOMAINS)
    assert service.http.get("/v1/domains/tickets").json()["card"]["labels"] == ["person"]
    assert "/static-offline-docs/swagger-ui-bundle.js" in service.http.get("/docs").text
    assert service.http.get("/static-offline-docs/swagger-ui-bundle.js").status_code == 200


def test_an_unknown_domain_is_404_and_a_malformed_request_422(service: Service) -> None:
    unknown = service.ask("nowhere", "a")
    assert (unknown.status_code, unknown.headers["content-type"]) == (404, "application/problem+json")
    assert unknown.json()["domain"] == "nowhere"
    malformed = service.http.post("/v1/domains/movies/entities", json={"texts": ["a", 1]})
    assert (malformed.status_code, malformed.headers["content-type"]) == (422, "application/problem+json")
    assert [each["field"] for each in malformed.json()["errors"]] == ["body.texts.1"]
    assert service.ask("..%2f..%2fetc", "a").status_code in (404, 422)


def test_a_corrupt_prompt_is_refused_while_others_answer(service: Service) -> None:
    version = service.place.publish("damaged")
    service.place.corrupt("damaged", version)
    refused = service.ask("damaged", "Ada")
    assert (refused.status_code, refused.headers["content-type"]) == (502, "application/problem+json")
    assert (refused.json()["domain"], refused.json()["prompt_version"]) == ("damaged", version)
    assert service.place.registry.url not in refused.text
    assert service.ask("movies", *TEXTS).status_code == 200


def test_a_new_version_is_picked_up_without_a_restart(service: Service) -> None:
    pid = service.backbone_pid()
    first, second = service.place.publish("news", seed=1), TEXTS[0]
    assert service.ask("news", second).json()["prompt_version"] == first == "v000001"
    service.place.publish("news", seed=2)
    wait_until(lambda: service.ask("news", second).json()["prompt_version"] == "v000002", lambda: "still the old one")
    (result,) = service.ask("news", second).json()["results"]
    assert result["entities"] == entities_of(service.place.offline("news", second, seed=2))
    assert service.place.registry.rollback("news") == "v000001"
    wait_until(lambda: service.ask("news", second).json()["prompt_version"] == "v000001", lambda: "still the new one")
    assert service.backbone_pid() == pid


def test_an_alias_is_moved_by_the_client_with_the_admin_key_only(service: Service) -> None:
    service.place.publish("moving", seed=1)
    service.place.publish("moving", seed=2)
    url = str(service.http.base_url)
    with Client(url) as anyone, pytest.raises(ProblemError, match="401"):
        anyone.set_alias("moving", "v000001")
    with Client(url, key=ADMIN) as admin:
        (before,) = admin.tag("moving", [TEXTS[0]])
        assert admin.rollback("moving") == Named("moving", "live", "v000001")
        (after,) = admin.tag("moving", [TEXTS[0].split()])
        assert (before.prompt_version, after.prompt_version) == ("v000002", "v000001")
        assert admin.set_alias("moving", "v000002") == Named("moving", "live", "v000002")
        assert admin.tag("moving", [TEXTS[0]]) == [before]


def test_the_page_is_there(service: Service) -> None:
    for path in ("/", "/page.js", "/page.css", "/icon.svg"):
        answer = service.http.get(path)
        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_below_a_prefix_health_and_the_page_need_no_key_and_all_else_does(service: Service) -> None:
    for path in ("/healthz", "/readyz", "/", "/page.js", "/page.css", "/icon.svg"):
        assert service.http.get(PREFIX + path).status_code == 200, path
    without_slash = service.http.get(PREFIX)
    assert (without_slash.status_code, without_slash.headers["location"]) == (307, f"{PREFIX}/")
    for path in ("/v1/domains", "/metrics", "/docs", "/openapi.json", "/healthz/x"):
        assert service.http.get(PREFIX + path).status_code == 401, path
    shown = service.http.get(f"{PREFIX}/docs", headers={"authorization": f"Bearer {READ}"}).text
    assert f"{PREFIX}/static-offline-docs/swagger-ui-bundle.js" in shown
    assert service.http.get("/v1/domains").status_code == 200  # the other application stays open
    for slash in ("", "/"):
        with Client(f"{service.http.base_url}{PREFIX}{slash}", key=READ) as client:
            assert set(client.domains()) >= set(DOMAINS)
            (tagged,) = client.tag("movies", [TEXTS[0]])
            assert [each.text for each in tagged.entities] == [
                each.text for each in service.place.offline("movies", TEXTS[0]).entities
            ]


def test_metrics_are_of_every_replica_or_not_to_be_had(service: Service) -> None:
    assert service.ask("movies", TEXTS[0]).status_code == 200
    assert "lightner_texts_total{" in service.http.get("/metrics").text
    pid = service.backbone_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        missing = service.http.get("/metrics")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (missing.status_code, missing.headers["content-type"]) == (503, "application/problem+json")
    assert int(missing.headers["retry-after"]) > 0
    assert "lightner_texts_total" in service.http.get("/metrics").text


def test_limits_change_without_a_restart(service: Service) -> None:
    pid = service.backbone_pid()
    service.limits["batch"]["max_queue_rows"] = 1
    service.limits["batch"]["max_wait_s"] = 0.5
    service.deploy()
    items = [{"domain": domain, "text": "mary"} for domain in DOMAINS for _ in range(2)]

    def two_at_once() -> list[httpx.Response]:
        with ThreadPoolExecutor(2) as users:
            both = [users.submit(service.http.post, "/v1/entities", json={"items": items}) for _ in range(2)]
        return sorted((each.result() for each in both), key=lambda answer: answer.status_code)

    wait_until(lambda: two_at_once()[1].status_code == 503, lambda: "no 503")
    read, overloaded = two_at_once()
    assert read.status_code == 200
    assert overloaded.json()["type"] == "urn:lightner:problem:overloaded"
    assert int(overloaded.headers["retry-after"]) > 0
    service.limits["batch"]["max_queue_rows"] = 4096
    service.limits["batch"]["max_wait_s"] = 0.002
    service.deploy()
    wait_until(lambda: service.http.post("/v1/entities", json={"items": items}).status_code == 200, lambda: "no 200")
    assert service.backbone_pid() == pid


def test_after_a_kill_of_the_replica_every_request_is_answered(service: Service) -> None:
    pid = service.backbone_pid()
    expected = {domain: entities_of(service.place.offline(domain, TEXTS[0])) for domain in DOMAINS}
    over = threading.Event()

    def user(domain: str) -> list[httpx.Response]:
        answers = []
        while not over.is_set():
            answers.append(service.ask(domain, TEXTS[0]))
        return answers

    with ThreadPoolExecutor() as users:
        futures = {domain: users.submit(user, domain) for domain in DOMAINS}
        try:
            time.sleep(1)
            os.kill(pid, signal.SIGKILL)
            assert service.ask("movies", TEXTS[0]).status_code == 200
            wait_until(lambda: service.backbone_pid() not in (pid, 0), lambda: "the replica was not replaced")
        finally:
            over.set()
        answers = {domain: future.result() for domain, future in futures.items()}
    for domain, those in answers.items():
        assert {answer.status_code for answer in those} == {200}
        assert len(those) > 1
        for answer in those:
            assert answer.json()["results"][0]["entities"] == expected[domain]


def test_texts_that_nobody_waits_for_are_not_read(service: Service) -> None:
    """The last test, since it replaces the service."""
    service.config["applications"][0]["args"]["requests"]["timeout_s"] = 1.5
    service.limits["batch"]["max_queue_rows"] = 10**6
    service.deploy()
    wait_until(lambda: service.ask("movies", "Ada").status_code == 200, lambda: "no 200 in time")
    # Enough requests for most of them to be late: a fast machine reads a few in time.
    for requests in (8, 16, 32):
        rows, read, late = asked_at_once(service, requests)
        if late > requests / 2:
            break
    assert late > requests / 2, (requests, late)
    # At least half of the rows of the late ones.
    assert read < rows * (1 - late / requests / 2), (read, rows, requests, late)


def asked_at_once(service: Service, requests: int) -> tuple[int, float, int]:
    """Send large requests at once; returns the numbers of their rows, of rows read, and of requests that were late."""
    text = " ".join([TEXTS[3]] * 60)  # repeated, it is about as much as a request may hold
    before = service.figure("lightner_batch_rows_sum")
    with ThreadPoolExecutor(requests) as users:
        asked = [users.submit(service.ask, "movies", *[text] * 33) for _ in range(requests)]
    statuses = [each.result().status_code for each in asked]
    assert set(statuses) <= {200, 504}
    wait_until(lambda: service.figure("lightner_queue_rows") == 0, lambda: service.figure("lightner_queue_rows"))
    read = service.figure("lightner_batch_rows_sum") - before
    return requests * 33 * service.place.offline("movies", text).windows, read, statuses.count(504)
