"""Labelling in a real Chromium while others label too, and while the service is away."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.teach_page import (
    ANNOTATE,
    MARY,
    SOUP,
    Service,
    clear,
    go,
    label_alone,
    move_to,
    saved_as,
    spans,
    start_labelling,
    visit,
)

pytestmark = pytest.mark.browser


class TestTwoPeople:
    @pytest.mark.parametrize(("choice", "kept"), [("Take theirs", "LOC"), ("Put mine in its place", "PER")])
    def test_the_second_is_told_and_nothing_is_lost(
        self, page: Page, other: Page, service: Service, choice: str, kept: str, keep: Any
    ) -> None:
        id_ = label_alone(page, service, MARY)
        visit(other, service.url, service.domain, key=ANNOTATE)
        start_labelling(other)
        for each, key in ((other, "2"), (page, "1")):
            clear(each)
            move_to(each, 0)
            each.keyboard.press(key)
        other.keyboard.press("Enter")
        expect(other.locator("#nothing-left")).to_be_visible()
        page.keyboard.press("Enter")
        expect(page.locator("#conflict-title")).to_be_focused()
        expect(page.locator("#conflict-about")).to_contain_text("The annotate key labelled it")
        expect(page.locator("#conflict-theirs mark")).to_have_text("EmilLOC")
        assert spans(page) == [("Emil", "PER")]
        keep(page, "two-people")
        page.get_by_role("button", name=choice).click()
        expect(page.locator("#nothing-left")).to_be_visible()
        saved = service.example(id_)
        assert saved_as(saved) == [("Emil", kept)]
        assert "LOC" in {span["label"] for past in saved["history"] for span in past["spans"]}

    def test_one_that_somebody_deleted_can_be_added_again(self, page: Page, service: Service) -> None:
        id_ = label_alone(page, service, MARY)
        clear(page)
        move_to(page, 0)
        page.keyboard.press("1")
        service.of_domain("DELETE", f"examples/{id_}?revision=1")
        page.keyboard.press("Enter")
        expect(page.locator("#conflict-title")).to_contain_text("deleted")
        page.get_by_role("button", name="Add it again with my labels").click()
        expect(page.locator("#nothing-left")).to_be_visible()
        assert saved_as(service.examples("done")[0]) == [("Emil", "PER")]

    def test_a_sentence_that_somebody_has_finished_is_passed_over(self, page: Page, service: Service) -> None:
        service.add(SOUP, MARY, "Rome has bread.")
        order = service.of_domain("GET", "examples?order=suggested")["examples"]
        visit(page, service.url, service.domain)
        start_labelling(page)
        # The second is fetched ahead; of the third the page knows only that it comes next.
        change = {"revision": 1, "spans": [], "state": "done"}
        service.of_domain("PUT", f"examples/{order[2]['id']}", change)
        for done in ("2 of 3", "3 of 3"):
            page.keyboard.press("Enter")
            expect(page.locator("#done-text")).to_have_text(f"{done} labelled")
        expect(page.locator("#nothing-left")).to_be_visible()
        assert service.example(order[2]["id"])["revision"] == 2


class TestAway:
    def test_what_is_decided_while_the_service_is_away_is_saved_when_it_is_back(
        self, page: Page, service: Service, keep: Any
    ) -> None:
        id_ = label_alone(page, service, MARY)
        clear(page)
        move_to(page, 0)
        page.keyboard.press("1")
        page.context.set_offline(True)
        page.keyboard.press("Enter")
        expect(page.locator("#notice")).to_contain_text("The service cannot be reached")
        expect(page.locator("#notice")).to_contain_text("nothing is lost")
        assert spans(page) == [("Emil", "PER")]
        keep(page, "away")
        page.context.set_offline(False)
        expect(page.locator("#nothing-left")).to_be_visible()
        expect(page.locator("#notice")).to_be_hidden()
        assert saved_as(service.example(id_)) == [("Emil", "PER")]

    def test_texts_pasted_while_it_is_away(self, page: Page, service: Service) -> None:
        visit(page, service.url, service.domain)
        go(page, "Texts")
        page.locator("#pasted").fill(MARY)
        page.context.set_offline(True)
        page.get_by_role("button", name="Add texts").click()
        expect(page.locator("#notice")).to_contain_text("The service cannot be reached")
        page.context.set_offline(False)
        page.get_by_role("button", name="Try now").click()
        expect(page.locator("#added-title")).to_have_text("Added 1 sentence")

    def test_labels_given_and_not_saved_survive_a_reload(self, page: Page, service: Service) -> None:
        label_alone(page, service, MARY)
        clear(page)
        move_to(page, 0)
        page.keyboard.press("1")
        page.reload()
        expect(page.locator("#sentence mark")).to_have_count(1)
        assert spans(page) == [("Emil", "PER")]
