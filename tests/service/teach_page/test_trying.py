"""Trying a prompt in a real Chromium, and hostile texts."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import Watched
from tests.support.serving import HOSTILE, Place
from tests.support.teach_page import MARY, SOUP, Service, clear, expect_words, go, label_alone, visit

pytestmark = pytest.mark.browser


class TestTrying:
    def test_a_wrong_answer_becomes_an_example(self, page: Page, service: Service, keep: Any) -> None:
        visit(page, service.url, service.domain)
        go(page, "Try")
        page.locator("#text").fill(f"{SOUP} 🍞 {MARY}")
        page.keyboard.press("Control+Enter")
        expect(page.locator("#answer-title")).to_be_focused()
        expect(page.locator("#answer-about")).to_contain_text("by version v000001")
        rows = page.locator("#answer-rows tr")
        assert rows.count() > 0
        keep(page, "tried")
        [wrong] = [row for row in rows.all() if row.locator("td").first.text_content() in ("Mary", "Emil", "Oslo")][:1]
        wrong.get_by_role("button").click()
        expect(page.locator("#sentence")).to_be_focused()
        expect_words(page, *page.locator("#sentence .word").all_text_contents())
        assert "Mary" in page.locator("#sentence .word").all_text_contents()
        assert "Ada" not in page.locator("#sentence .word").all_text_contents()
        clear(page)
        page.keyboard.press("End")
        page.keyboard.press("2")
        page.keyboard.press("Enter")
        expect(page.locator("#done-text")).to_contain_text("1 of 2 labelled")
        [done] = service.examples("done")
        assert [each["label"] for each in done["spans"]] == ["LOC"]

    def test_a_damaged_prompt_is_reported_and_not_asked_again(self, page: Page, url: str, place: Place) -> None:
        service = Service(url, f"d{uuid.uuid4().hex[:10]}")
        place.corrupt(service.domain, place.publish(service.domain))
        service.label("PER")
        visit(page, url, service.domain)
        go(page, "Try")
        page.locator("#text").fill(SOUP)
        page.get_by_role("button", name="Find entities").click()
        expect(page.locator("#notice")).to_contain_text("Unusable prompt")
        expect(page.locator("#notice")).not_to_contain_text("tries again")

    def test_without_a_prompt_the_labels_answer(self, page: Page, url: str) -> None:
        service = Service(url, f"d{uuid.uuid4().hex[:10]}")
        service.label("person", "city")
        visit(page, url, service.domain)
        go(page, "Try")
        page.locator("#text").fill(SOUP)
        page.get_by_role("button", name="Find entities").click()
        expect(page.locator("#answer-about")).to_contain_text("the labels’ words alone")
        page.get_by_role("button", name="Correct this").click()
        expect(page.locator("#sentence")).to_be_focused()


class TestSafety:
    def test_hostile_texts_and_labels_are_text(self, page: Page, url: str) -> None:
        service = Service(url, f"d{uuid.uuid4().hex[:10]}")
        service.label("<b>person</b>", "__proto__")
        label_alone(page, service, HOSTILE)
        expect(page.locator("#label-buttons")).to_contain_text("<b>person</b>")
        page.locator("#sentence").press("1")
        page.keyboard.press("Enter")
        expect(page.locator("#label-counts")).to_contain_text("__proto__ 0")
        expect(page.locator("main :is(img, b), body script")).to_have_count(0)
        assert page.title() == "Teach LightNER"

    def test_nothing_is_loaded_from_elsewhere(self, page: Page, service: Service) -> None:
        watched = Watched(page)
        label_alone(page, service, MARY)
        assert all(address.startswith(f"{service.url}/") for address in watched.addresses)
        answer = httpx.get(f"{service.url}/teach")
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
