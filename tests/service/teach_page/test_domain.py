"""Choosing a domain and its labels in a real Chromium, and the key of the page."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.teach_page import ANNOTATE, Service, visit

pytestmark = pytest.mark.browser


class TestDomain:
    def test_a_domain_with_three_labels_by_keyboard_alone(self, page: Page, url: str, keep: Any) -> None:
        name = f"d{uuid.uuid4().hex[:10]}"
        visit(page, url)
        page.locator("#tab-domain").focus()
        for _ in range(2):
            page.keyboard.press("Tab")
        page.keyboard.type(name)
        page.keyboard.press("Enter")
        expect(page.locator("#label-rows .name").first).to_be_focused()
        page.keyboard.type("dish")
        page.keyboard.press("Tab")
        page.keyboard.type("what somebody eats")
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")
        for label in ("place", "person"):
            page.keyboard.type(label)
            page.keyboard.press("Enter")
        keep(page, "labels")
        page.keyboard.press("Enter")
        expect(page.locator("#to-texts")).to_be_focused()
        labels = Service(url, name).of_domain("GET", "labels")["labels"]
        assert [(each["name"], each["words"]) for each in labels] == [
            ("dish", "what somebody eats"),
            ("place", None),
            ("person", None),
        ]
        assert len({each["colour"] for each in labels}) == 3
        page.keyboard.press("Enter")
        expect(page.locator("#texts-title")).to_be_focused()

    @pytest.mark.parametrize(
        ("names", "said"),
        [([], "there is none yet"), (["dish", "place", "dish"], "dish is there twice")],
    )
    def test_labels_that_cannot_be_are_not_sent(self, page: Page, url: str, names: list[str], said: str) -> None:
        visit(page, url)
        page.get_by_label("New domain").fill("unsaved")
        page.get_by_role("button", name="Create").click()
        for row, name in enumerate(names):
            page.get_by_label("Name").nth(row).fill(name)
        page.get_by_role("button", name="Save labels").click()
        expect(page.locator("#notice")).to_contain_text(said)
        assert "unsaved" not in Service(url).call("GET", "teaching")["domains"]

    def test_words_that_were_a_list_stay_one(self, page: Page, service: Service) -> None:
        labels = [{"name": "PER", "words": ["person", "human"], "colour": "#aa3377"}]
        service.of_domain("PUT", "labels", {"revision": 1, "labels": labels})
        visit(page, service.url, service.domain)
        page.get_by_role("button", name="Add a label").click()
        page.keyboard.type("dish")
        page.get_by_role("button", name="Save labels").click()
        expect(page.locator("#notice")).to_contain_text("2 labels")
        assert service.of_domain("GET", "labels")["labels"][0] == labels[0]

    def test_of_two_who_change_labels_the_second_chooses(self, page: Page, service: Service) -> None:
        visit(page, service.url, service.domain)
        page.get_by_role("button", name="Add a label").click()
        page.keyboard.type("dish")
        others = [{"name": name, "words": None, "colour": None} for name in ("PER", "LOC", "drink")]
        service.of_domain("PUT", "labels", {"revision": 1, "labels": others})
        page.get_by_role("button", name="Save labels").click()
        expect(page.locator("#labels-theirs")).to_contain_text("drink")
        expect(page.locator("#labels-conflict-title")).to_be_focused()
        assert page.locator("#label-rows .name").nth(2).input_value() == "dish"
        page.get_by_role("button", name="Put mine in their place").click()
        expect(page.locator("#notice")).to_contain_text("3 labels")
        names = [each["name"] for each in service.of_domain("GET", "labels")["labels"]]
        assert names == ["PER", "LOC", "dish"]

    def test_labels_typed_and_not_saved_survive_a_reload(self, page: Page, service: Service) -> None:
        visit(page, service.url, service.domain)
        page.get_by_role("button", name="Add a label").click()
        page.keyboard.type("dish")
        page.reload()
        expect(page.locator("#label-rows .name").nth(2)).to_have_value("dish")


class TestKey:
    def test_it_leaves_the_address_and_lasts_as_long_as_the_tab(self, page: Page, url: str) -> None:
        visit(page, url)
        assert page.url == f"{url}/teach"
        page.reload()
        expect(page.locator("#steps")).to_be_visible()
        assert page.evaluate("localStorage.length") == 0

    def test_a_wrong_key_and_one_that_may_not_are_asked_for_again(self, page: Page, url: str) -> None:
        page.goto(f"{url}/teach")
        expect(page.get_by_label("Key")).to_be_focused()
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#notice")).to_contain_text("not the right one")
        page.get_by_label("Key").fill("r")
        page.keyboard.press("Enter")
        expect(page.locator("#notice")).to_contain_text("the admin or the annotate key is needed")
        page.get_by_role("button", name="Use another key").click()
        page.get_by_label("Key").fill(ANNOTATE)
        page.keyboard.press("Enter")
        expect(page.locator("#steps")).to_be_visible()
