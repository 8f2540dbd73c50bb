"""The teaching page's steps for everybody: axe, a phone's width, the keyboard, and a tuning that is watched."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from lightner.service.middleware import Keys
from lightner.service.replica import BackboneReplica
from lightner.service.routes import create_app
from lightner.service.settings import RequestLimits
from lightner.service.teaching.tuner import JobState
from lightner.store.tunings import Ending, Point, Progress, Tunings
from tests.support.served import listening
from tests.support.serving import Place
from tests.support.teach_page import (
    ADMIN,
    ANNOTATE,
    MARY,
    Service,
    clear,
    expect_words,
    go,
    spans,
    start_labelling,
    visit,
)
from tests.support.teaching import NamedJobs, desk_of

pytestmark = pytest.mark.browser
WHEN = "2026-11-29T10:00:00+00:00"


@pytest.fixture(scope="module")
def jobs() -> NamedJobs:
    return NamedJobs()


@pytest.fixture(scope="module")
def url(place: Place, jobs: NamedJobs) -> Iterator[str]:
    reader = BackboneReplica(place.settings)
    desk = desk_of(place.registry.url, reader, jobs=jobs)
    with listening(create_app(reader, keys=Keys(None, ADMIN, ANNOTATE), limits=RequestLimits(), desk=desk)) as url:
        yield url


@pytest.fixture
def service(place: Place, url: str) -> Service:
    """A published domain of its own for each test, with two versions, twelve finished sentences and one open one."""
    service = Service(url, f"d{uuid.uuid4().hex[:10]}")
    place.publish(service.domain, seed=1)
    place.publish(service.domain, seed=2)
    service.label("PER", "LOC")
    span = {"start": 0, "end": 4, "label": "PER"}
    examples = [{"text": f"Mary {number}", "spans": [span]} for number in range(12)]
    service.of_domain("POST", "examples", {"examples": [*examples, {"text": MARY}]})
    return service


def result_of(service: Service, version: str) -> dict[str, Any]:
    """A result as a job writes it."""
    example = service.examples("done")[0]
    found = {"start": 0, "end": 4, "label": "LOC"}
    return {
        "outcome": "candidate",
        "version": version,
        "verdict": "The new version was kept and is not live, since it is worse: F1 0.50 after 0.61.",
        "seconds": 95.0,
        "f1": {"before": 0.61, "after": 0.5},
        "labels": {
            "PER": {"before": 0.7, "after": 0.55, "sentences": 12},
            "LOC": {"before": None, "after": 0.4, "sentences": 0},
        },
        "confusions": [{"gold": "PER", "found": "LOC", "count": 3}],
        "errors": {"right": 9, "wrong_type": 3, "wrong_words": 0, "spurious": 1, "missed": 0},
        "disagreements": [
            {"id": example["id"], "text": example["text"], "labelled": example["spans"], "found": [found]}
        ],
    }


class TestTuning:
    def test_it_is_planned_started_watched_and_decided_about(
        self, page: Page, service: Service, jobs: NamedJobs, place: Place, keep: Any
    ) -> None:
        store = Tunings.open(place.registry.url)
        visit(page, service.url, service.domain)
        go(page, "Tune")
        expect(page.locator("#plan")).to_contain_text("would learn from 12 sentences")
        expect(page.locator("#plan-thin")).to_contain_text("LOC")
        page.locator("#budget").select_option("5")
        page.get_by_role("button", name="Tune", exact=True).click()
        expect(page.locator("#running-title")).to_be_focused()
        expect(page.locator("#running-about")).to_contain_text("waiting")
        [tuning] = service.of_domain("GET", "tunings")["tunings"]
        assert tuning["options"]["budget_minutes"] == 5
        jobs.states = dict.fromkeys(jobs.states, JobState.RUNNING)
        curve = (Point(1.0, 0.1), Point(2.0, 0.4), Point(3.0, 0.5))
        progress = Progress("scan", 3, 8, 0.5, 3.0, 95.0, WHEN, curve)
        store.write_progress(service.domain, tuning["id"], progress)
        expect(page.locator("#running-about")).to_contain_text("round 3 of 8 · F1 so far 0.50 · about 1 min 35 s left")
        expect(page.get_by_role("img", name="F1 so far: 0.50 after 3 seconds")).to_be_visible()
        keep(page, "running")
        assert Axe().run(page).violations_count == 0
        store.write_result(service.domain, tuning["id"], result_of(service, "v000001"))
        store.end(service.domain, tuning["id"], Ending.FINISHED)
        expect(page.locator("#outcome-title")).to_be_focused()
        expect(page.locator("#verdict")).to_contain_text("since it is worse")
        expect(page.locator("#figures tbody tr").first).to_have_text("PER120.700.55")
        expect(page.locator("#figures")).to_contain_text("PER taken for LOC 3 times")
        expect(page.locator("#figures")).to_contain_text("9 right, 3 with another label")
        expect(page.locator("#live")).to_have_text("Version v000002 is live.")
        keep(page, "result")
        page.get_by_role("button", name="Make it live").click()
        expect(page.locator("#live")).to_have_text("Version v000001 is live.")
        expect(page.get_by_role("button", name="Make it live")).to_be_hidden()
        page.get_by_role("button", name="Roll back").click()
        expect(page.locator("#live")).to_have_text("Version v000002 is live.")
        page.locator("#figures").get_by_role("button", name="Mary").click()
        expect(page.locator("#sentence")).to_be_focused()
        expect_words(page, "Mary", "0")
        expect(page.locator("#sentence-about")).to_contain_text("found: Mary (LOC)")
        assert spans(page) == [("Mary", "PER")]

    def test_one_that_runs_is_found_again_and_stopped(self, page: Page, service: Service, jobs: NamedJobs) -> None:
        begun = service.of_domain("POST", "tunings", {})
        jobs.states = dict.fromkeys(jobs.states, JobState.RUNNING)
        visit(page, service.url, service.domain)
        go(page, "Tune")
        page.reload()
        expect(page.locator("#running")).to_be_visible()
        page.get_by_role("button", name="Stop").click()
        expect(page.locator("#verdict")).to_contain_text("It was stopped")
        [tuning] = service.of_domain("GET", "tunings")["tunings"]
        assert (tuning["id"], tuning["state"]) == (begun["id"], "stopped")

    def test_nothing_is_started_before_it_is_known_what_runs(self, page: Page, service: Service) -> None:
        visit(page, service.url, service.domain)
        page.context.set_offline(True)
        go(page, "Tune")
        expect(page.locator("#notice")).to_contain_text("The service cannot be reached")
        expect(page.get_by_role("button", name="Tune", exact=True)).to_be_disabled()
        page.context.set_offline(False)
        expect(page.get_by_role("button", name="Tune", exact=True)).to_be_enabled()

    def test_one_that_fails_says_why(self, page: Page, service: Service, place: Place) -> None:
        begun = service.of_domain("POST", "tunings", {})
        visit(page, service.url, service.domain)
        go(page, "Tune")
        expect(page.locator("#running")).to_be_visible()
        Tunings.open(place.registry.url).end(service.domain, begun["id"], Ending.FAILED, reason="the disk is full")
        expect(page.locator("#verdict")).to_have_text("It failed: the disk is full")

    def test_too_few_sentences_are_said_before(self, page: Page, url: str) -> None:
        service = Service(url, f"d{uuid.uuid4().hex[:10]}")
        service.label("PER")
        visit(page, url, service.domain)
        go(page, "Tune")
        expect(page.locator("#plan")).to_contain_text("Not yet: ")
        expect(page.get_by_role("button", name="Tune", exact=True)).to_be_disabled()

    def test_a_share_is_held_out(self, page: Page, service: Service) -> None:
        visit(page, service.url, service.domain)
        go(page, "Tune")
        page.get_by_text("Hold sentences out for a test").click()
        page.locator("#share").select_option("0.3")
        page.get_by_role("button", name="Hold out").click()
        expect(page.locator("#notice")).to_contain_text("held out")
        held = len(service.examples("test"))
        assert held > 1
        expect(page.locator("#plan")).to_contain_text(f"{12 - held} sentences, and {held} sentences held out")

    def test_the_annotate_key_is_told_that_another_is_needed(self, page: Page, service: Service, place: Place) -> None:
        begun = service.of_domain("POST", "tunings", {})
        store = Tunings.open(place.registry.url)
        store.write_result(service.domain, begun["id"], result_of(service, "v000001"))
        store.end(service.domain, begun["id"], Ending.FINISHED)
        visit(page, service.url, service.domain, key=ANNOTATE)
        go(page, "Tune")
        page.get_by_role("button", name="Make it live").click()
        expect(page.locator("#notice")).to_contain_text("the admin key is needed")
        page.get_by_role("button", name="Use another key").click()
        page.get_by_label("Key").fill(ADMIN)
        page.keyboard.press("Enter")
        expect(page.locator("#live")).to_have_text("Version v000001 is live.")


def shown_domain(page: Page, service: Service) -> None:
    page.get_by_role("button", name="Add a label").click()


def shown_texts(page: Page, service: Service) -> None:
    go(page, "Texts")
    page.locator("#pasted").fill(f"{MARY}\n\nSoup!")
    page.get_by_role("button", name="Add texts").click()
    expect(page.locator("#added")).to_be_visible()
    content = b'text,stars\n"Mary, Ada",3\n'
    page.get_by_label("File", exact=True).set_input_files({"name": "a.csv", "mimeType": "", "buffer": content})
    expect(page.locator("#chosen")).to_be_visible()


def shown_label(page: Page, service: Service) -> None:
    start_labelling(page)
    change = {"revision": 1, "spans": [{"start": 0, "end": 4, "label": "LOC"}], "state": "done"}
    for each in service.examples("open"):
        service.of_domain("PUT", f"examples/{each['id']}", change)
    clear(page)
    page.locator("#sentence").press("1")
    page.keyboard.press("Enter")
    expect(page.locator("#conflict")).to_be_visible()
    page.locator("#listing summary").click()
    expect(page.locator("#list li").first).to_be_visible()


def shown_tune(page: Page, service: Service) -> None:
    begun = service.of_domain("POST", "tunings", {})
    service.of_domain("DELETE", f"tunings/{begun['id']}")
    go(page, "Tune")
    page.get_by_text("Hold sentences out for a test").click()
    expect(page.locator("#verdict")).to_be_visible()


def shown_try(page: Page, service: Service) -> None:
    go(page, "Try")
    page.locator("#text").fill(MARY)
    page.get_by_role("button", name="Find entities").click()
    expect(page.locator("#answer")).to_be_visible()


STEPS: dict[str, Callable[[Page, Service], None]] = {
    "domain": shown_domain,
    "texts": shown_texts,
    "label": shown_label,
    "tune": shown_tune,
    "try": shown_try,
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1000, 375])
def test_no_fault_is_found_by_axe(page: Page, service: Service, scheme: Any, width: int, keep: Any) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    visit(page, service.url, service.domain)
    for name, show in STEPS.items():
        show(page, service)
        page.mouse.move(1, 1)
        results = Axe().run(page)
        assert results.violations_count == 0, f"{name}: {results.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        keep(page, f"{name}-{scheme}-{width}")


def test_tabs_are_led_through_by_arrows(page: Page, service: Service) -> None:
    visit(page, service.url, service.domain)
    page.locator("#tab-domain").focus()
    names = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowRight", "Home", "End"):
        page.keyboard.press(key)
        names.append(page.evaluate("document.activeElement.textContent"))
    assert names == ["Texts", "Label", "Texts", "Try", "Domain", "Domain", "Try"]
    page.keyboard.press("Enter")
    expect(page.locator("#try-step")).to_be_visible()
    expect(page.get_by_role("tab", name="Try")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("tab", name="Domain")).to_have_attribute("tabindex", "-1")


def test_the_keys_of_labelling_act_there_alone(page: Page, service: Service) -> None:
    visit(page, service.url, service.domain)
    start_labelling(page)
    page.get_by_role("button", name="Skip").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "undo"
    page.locator("#listing summary").focus()
    page.keyboard.press("s")
    page.keyboard.press("Enter")
    expect(page.locator("#listing")).to_have_attribute("open", "")
    assert [each["text"] for each in service.examples("open")] == [MARY]
