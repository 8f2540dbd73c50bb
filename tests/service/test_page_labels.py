"""Labels typed into the web page, in a real Chromium over the real service; `test_page` has the other tests."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from lightner.service.replica import BackboneReplica
from lightner.service.settings import Settings
from lightner.store.registry import Registry
from tests.support.browser import Watched
from tests.support.page import TEXT, app_of, find, marked_as, marks, plain
from tests.support.served import listening
from tests.support.serving import Place

pytestmark = pytest.mark.browser
LABELS = {"person": None, "city": None, "company": "a firm that makes or sells something"}
TYPED = "person, city,\ncompany: a firm that makes or sells something"
FLIGHT = "Maria flew from Oslo to Siemens in Munich. Emil stayed in Rome."


@pytest.fixture(scope="module")
def url(place: Place) -> Iterator[str]:
    with listening(app_of(BackboneReplica(place.settings))) as url:
        yield url


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service without any domain, with the embedded backbone, which understands label words."""
    registry = str(tmp_path_factory.mktemp("empty") / "prompts")
    with listening(app_of(BackboneReplica(Settings(registry=registry)))) as url:
        yield url


def answer_of(url: str, labels: Any, text: str) -> list[dict[str, Any]]:
    body = {"items": [{"labels": labels, "text": text}]}
    [result] = httpx.post(f"{url}/v1/entities", json=body).json()["results"]
    entities: list[dict[str, Any]] = result["entities"]
    return entities


class TestWithoutDomains:
    def test_three_names_and_a_text_are_enough(self, page: Page, empty: str, keep: Any) -> None:
        page.goto(empty)
        expect(page.get_by_role("heading", name="No domain is published yet")).to_be_visible()
        expect(page.get_by_role("button", name="Choose a domain instead")).to_be_hidden()
        page.get_by_label("Labels").fill(TYPED)
        find(page, FLIGHT)
        expected = answer_of(empty, LABELS, FLIGHT)
        assert {each["label"] for each in expected} >= {"person", "city"}
        assert marks(page) == marked_as(expected)
        assert plain(page) == FLIGHT
        expect(page.locator("#summary")).to_contain_text(f"{len(expected)} entities")
        expect(page.locator("#summary")).not_to_contain_text("version")
        assert page.evaluate("document.activeElement.id") == "result-title"
        keep(page, "labels-found")

    def test_a_domain_that_appears_is_found_by_looking_again(self, page: Page, place: Place, tmp_path: Path) -> None:
        registry = str(tmp_path / "prompts")
        with listening(app_of(BackboneReplica(place.settings.model_copy(update={"registry": registry})))) as url:
            page.goto(url)
            expect(page.get_by_label("Labels")).to_be_visible()
            Registry.open(registry).publish(place.artifact("movies"))
            page.get_by_role("button", name="look again").click()
            expect(page.get_by_label("Domain")).to_have_value("movies")
            expect(page.get_by_label("Labels")).to_be_hidden()


class TestBesideDomains:
    def test_labels_are_typed_instead_and_back_again(self, page: Page, url: str) -> None:
        page.goto(url)
        find(page, TEXT)
        expect(page.locator("#result")).to_be_visible()
        page.get_by_role("button", name="Type labels instead").click()
        expect(page.get_by_label("Labels")).to_be_focused()
        expect(page.get_by_label("Domain")).to_be_hidden()
        expect(page.locator("#result")).to_be_hidden()
        page.keyboard.type("person, place")
        page.keyboard.press("Control+Enter")
        expect(page.locator("#result")).to_be_visible()
        assert marks(page) == marked_as(answer_of(url, ["person", "place"], TEXT)) != []
        page.get_by_role("button", name="Choose a domain instead").click()
        expect(page.get_by_label("Domain")).to_be_focused()
        expect(page.locator("#result")).to_be_hidden()
        page.get_by_label("Domain").select_option("movies")
        find(page, TEXT)
        expect(page.locator("#summary")).to_contain_text("version v000001")

    def test_the_copied_request_has_the_same_labels(self, page: Page, url: str) -> None:
        page.goto(url)
        page.get_by_role("button", name="Type labels instead").click()
        page.get_by_label("Labels").fill('person, __proto__: it\'s "a" place')
        find(page, TEXT)
        found = marks(page)
        assert found == marked_as(answer_of(url, {"person": None, "__proto__": 'it\'s "a" place'}, TEXT)) != []
        page.get_by_role("button", name="Copy curl").click()
        expect(page.locator("#copy-curl")).to_have_text("Copied")
        command = page.evaluate("navigator.clipboard.readText()")
        done = subprocess.run(["sh", "-c", f"{command} --silent"], capture_output=True, check=True)
        assert marked_as(json.loads(done.stdout)["results"][0]["entities"]) == found
        page.get_by_role("button", name="Copy JSON").click()
        expect(page.locator("#copy-json")).to_have_text("Copied")
        copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
        assert marked_as(copied["results"][0]["entities"]) == found

    @pytest.mark.parametrize(
        ("typed", "said"),
        [
            ("", "There are no labels yet"),
            (" , \n,", "There are no labels yet"),
            ("person, place, person", "A label is there twice: person"),
            (": a city", "A label has no name: before the colon in : a city"),
        ],
    )
    def test_invalid_labels_are_not_sent(self, page: Page, url: str, typed: str, said: str) -> None:
        page.goto(url)
        page.get_by_role("button", name="Type labels instead").click()
        watched = Watched(page)
        page.get_by_label("Labels").fill(typed)
        find(page, TEXT)
        expect(page.locator("#notice")).to_contain_text(said)
        assert page.evaluate("document.activeElement.id") == "labels"
        assert watched.addresses == []

    def test_the_services_problem_with_labels_is_shown(self, page: Page, url: str, keep: Any) -> None:
        page.goto(url)
        page.get_by_role("button", name="Type labels instead").click()
        page.get_by_label("Labels").fill("C, C++, person")
        find(page, TEXT)
        expect(page.locator("#notice")).to_contain_text("Unusable labels")
        expect(page.locator("#notice")).to_contain_text("'C', 'C++'")
        expect(page.locator("#result")).to_be_hidden()
        keep(page, "labels-refused")

    def test_hostile_labels_are_text(self, page: Page, url: str) -> None:
        hostile = """<img src=x onerror="document.title='taken'"><b>Oslo</b>"""
        page.goto(url)
        page.get_by_role("button", name="Type labels instead").click()
        page.get_by_label("Labels").fill(f"{hostile}: person")
        find(page, TEXT)
        expected = answer_of(url, {hostile: "person"}, TEXT)
        assert {each["label"] for each in expected} == {hostile}
        assert marks(page) == marked_as(expected)
        expect(page.locator(":is(img, b), body script")).to_have_count(0)
        assert page.title() == "LightNER"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1000, 360])
def test_no_fault_is_found_by_axe(page: Page, empty: str, scheme: Any, width: int, keep: Any) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.goto(empty)
    page.get_by_label("Labels").fill(TYPED)
    find(page, FLIGHT)
    assert len(marks(page)) > 0
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    keep(page, f"labels-{scheme}-{width}")


def test_the_keyboard_is_enough(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.get_by_role("button", name="Find entities")).to_be_visible()
    page.get_by_role("button", name="Type labels instead").focus()
    page.keyboard.press("Enter")
    order = [page.evaluate("document.activeElement.id")]
    for _ in range(3):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id"))
    assert order == ["labels", "use-domain", "text", "find"]
