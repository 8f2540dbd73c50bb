"""Labelling in a real Chromium: by mouse, keyboard and touch, undone, skipped, in any script."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.serving import Place
from tests.support.teach_page import (
    MARY,
    SOUP,
    Service,
    chosen,
    clear,
    drag,
    expect_words,
    go,
    label_alone,
    levels,
    move_to,
    nested_spans,
    proposed_as,
    saved_as,
    spans,
    start_labelling,
    visit,
)

pytestmark = pytest.mark.browser


class TestLabelling:
    def test_a_proposal_is_accepted_as_it_is(self, page: Page, service: Service) -> None:
        id_ = label_alone(page, service, SOUP)
        proposed = proposed_as(service.example(id_))
        assert len(proposed) > 0
        assert spans(page) == proposed
        expect(page.locator("#sentence-about")).to_contain_text("proposed by version v000001")
        expect(page.locator("#sentence .score").first).to_be_visible()
        page.keyboard.press("Enter")
        expect(page.locator("#nothing-title")).to_be_focused()
        saved = service.example(id_)
        assert (saved["state"], saved["provenance"], saved_as(saved)) == ("done", "accepted", proposed)
        expect(page.locator("#done-text")).to_have_text("1 of 1 labelled")

    def test_corrected_by_the_mouse(self, page: Page, service: Service, keep: Any) -> None:
        id_ = label_alone(page, service, MARY)
        clear(page)
        drag(page, 2, 4)
        assert chosen(page) == ["Mary", "of", "Oslo"]
        page.get_by_role("button", name="PER").click()
        assert spans(page) == [("Mary of Oslo", "PER")]
        keep(page, "dragged")
        page.locator("#word-4").dblclick()
        assert chosen(page) == ["Oslo"]
        page.get_by_role("button", name="LOC").click()
        assert spans(page) == [("Oslo", "LOC")]
        page.locator("#word-0").click()
        page.get_by_role("button", name="PER").click()
        page.locator("#word-4").click()
        page.get_by_role("button", name="PER").click()
        assert spans(page) == [("Emil", "PER"), ("Oslo", "PER")]
        page.get_by_role("button", name="Remove label").click()
        page.get_by_role("button", name="Accept").click()
        expect(page.locator("#nothing-left")).to_be_visible()
        saved = service.example(id_)
        assert (saved["provenance"], saved_as(saved)) == ("corrected", [("Emil", "PER")])

    def test_corrected_by_the_keyboard_and_undone(self, page: Page, service: Service) -> None:
        id_ = label_alone(page, service, MARY)
        proposed = spans(page)
        clear(page)
        move_to(page, 2)
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("Shift+ArrowRight")
        assert chosen(page) == ["Mary", "of", "Oslo"]
        page.keyboard.press("2")
        assert spans(page) == [("Mary of Oslo", "LOC")]
        page.keyboard.press("z")
        page.keyboard.press("z")
        assert spans(page) == proposed
        clear(page)
        move_to(page, 0)
        page.keyboard.press("p")
        page.keyboard.press("End")
        page.keyboard.press("l")
        page.keyboard.press("Enter")
        expect(page.locator("#nothing-left")).to_be_visible()
        saved = service.example(id_)
        assert saved_as(saved)[0] == ("Emil", "PER")
        assert [each["label"] for each in saved["spans"]] == ["PER", "LOC"]

    def test_labels_within_one_another_by_the_keyboard(self, page: Page, service: Service, keep: Any) -> None:
        id_ = label_alone(page, service, MARY)
        clear(page)
        page.get_by_label("a label may lie within another").check()
        move_to(page, 2)
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("p")
        for word in (2, 4):
            page.locator(f"#word-{word}").dblclick()
            page.keyboard.press("l")
        assert nested_spans(page) == [("Mary of Oslo", "PER"), ("Mary", "LOC"), ("Oslo", "LOC")]
        assert levels(page) == ["1", None, None]
        keep(page, "nested")
        page.locator("#word-4").click()
        assert chosen(page) == ["Oslo"], "a word means the innermost label that it has"
        page.keyboard.press("Delete")
        assert nested_spans(page) == [("Mary of Oslo", "PER"), ("Mary", "LOC")]
        drag(page, 0, 2)
        page.keyboard.press("l")
        assert nested_spans(page) == [("Emil and Mary", "LOC"), ("Mary", "LOC")], "labels do not cross"
        page.keyboard.press("z")
        page.keyboard.press("Enter")
        expect(page.locator("#nothing-left")).to_be_visible()
        assert set(saved_as(service.example(id_))) == {("Mary of Oslo", "PER"), ("Mary", "LOC")}

    def test_nested_proposals_are_shown_accepted_and_tried(self, page: Page, place: Place, service: Service) -> None:
        made = place.artifact("movies")
        place.registry.publish(replace(made, card=replace(made.card, domain=service.domain, nested=True)))
        id_ = label_alone(page, service, SOUP)
        entities = service.example(id_)["proposals"]["entities"]
        outermost_first = sorted(entities, key=lambda each: (each["start"], -each["end"]))
        proposed = [(each["text"], each["label"]) for each in outermost_first]
        assert nested_spans(page) == proposed
        assert any(each is not None for each in levels(page))
        expect(page.get_by_label("a label may lie within another")).to_be_checked()
        page.locator("#sentence").press("Enter")
        expect(page.locator("#nothing-left")).to_be_visible()
        assert set(saved_as(service.example(id_))) == set(proposed)
        go(page, "Try")
        page.get_by_label("Text", exact=True).fill(SOUP)
        page.locator("#find").click()
        expect(page.locator("#answer-text mark")).to_have_count(len(proposed))
        assert nested_spans(page, "#answer-text") == proposed

    def test_a_decision_is_undone_with_what_was_done(self, page: Page, service: Service) -> None:
        id_ = label_alone(page, service, MARY)
        service.add(SOUP)
        proposed = spans(page)
        clear(page)
        move_to(page, 0)
        page.keyboard.press("1")
        page.keyboard.press("Enter")
        expect_words(page, "Ada", "lives", "in", "Paris", "and", "likes", "soup", ".")
        page.keyboard.press("z")
        expect_words(page, "Emil", "and", "Mary", "of", "Oslo", "bake", "bread", ".")
        assert spans(page) == [("Emil", "PER")]
        assert service.example(id_)["state"] == "open"
        page.keyboard.press("z")
        assert spans(page) == proposed
        page.keyboard.press("Enter")
        expect_words(page, "Ada", "lives", "in", "Paris", "and", "likes", "soup", ".")
        assert saved_as(service.example(id_)) == proposed

    def test_a_skipped_one_is_not_learned_from_and_comes_back_by_undo(self, page: Page, service: Service) -> None:
        id_ = label_alone(page, service, MARY)
        page.keyboard.press("s")
        expect(page.locator("#nothing-left")).to_be_visible()
        assert service.example(id_)["state"] == "skipped"
        expect(page.locator("#done-text")).to_have_text("0 of 0 labelled · 1 skipped")
        page.locator("#listing summary").click()
        page.locator("#list-state").select_option("skipped")
        page.locator("#list").get_by_role("button", name=MARY).click()
        expect(page.locator("#sentence-about")).to_contain_text("skipped")
        page.keyboard.press("z")
        expect(page.locator("#sentence-about")).to_contain_text("proposed by")
        assert service.example(id_)["state"] == "open"

    def test_a_key_that_is_held_down_accepts_once(self, page: Page, service: Service) -> None:
        label_alone(page, service, MARY)
        service.add(SOUP)
        page.keyboard.down("Enter")
        expect_words(page, "Ada", "lives", "in", "Paris", "and", "likes", "soup", ".")
        page.keyboard.down("Enter")
        page.keyboard.up("Enter")
        page.wait_for_load_state("networkidle")
        assert len(service.examples("done")) == 1

    def test_a_sentence_is_deleted_at_the_second_press(self, page: Page, service: Service) -> None:
        label_alone(page, service, MARY)
        page.get_by_role("button", name="Delete sentence").click()
        assert len(service.examples("open")) == 1
        page.get_by_role("button", name="Delete it for good?").click()
        expect(page.locator("#nothing-left")).to_be_visible()
        assert service.examples("open") == []

    def test_a_domain_without_a_prompt_has_proposals_of_its_labels(self, page: Page, url: str) -> None:
        service = Service(url, f"d{uuid.uuid4().hex[:10]}")
        service.label("person", "city")
        id_ = label_alone(page, service, SOUP)
        expect(page.locator("#sentence-about")).to_contain_text("the labels’ words alone")
        assert spans(page) == proposed_as(service.example(id_))

    @pytest.mark.parametrize(
        ("text", "word"),
        [
            ("👩‍🍳🍞 Mary 𝒳𝒴 in Oslo 🇳🇴", "Oslo"),
            ("我住在东京。", "京"),
            ("𝒳𝒴 lives in Rome", "𝒳𝒴"),
            ("שלום Ada גרה ב Oslo עם Emil", "Oslo"),
            ("الطعام soup في Rome مع Mary", "Rome"),
        ],
    )
    def test_offsets_are_right_whatever_the_script(self, page: Page, service: Service, text: str, word: str) -> None:
        id_ = label_alone(page, service, text)
        clear(page)
        place = page.locator("#sentence .word").all_text_contents().index(word)
        page.locator(f"#word-{place}").click()
        page.keyboard.press("2")
        page.keyboard.press("Enter")
        expect(page.locator("#nothing-left")).to_be_visible()
        assert saved_as(service.example(id_)) == [(word, "LOC")]

    def test_in_right_to_left_text_the_left_arrow_leads_on(self, page: Page, service: Service, keep: Any) -> None:
        label_alone(page, service, "שלום Ada גרה ב Oslo")
        page.locator("#sentence").press("Home")
        page.keyboard.press("ArrowLeft")
        assert page.locator(".word.cursor").text_content() == "Ada"
        page.keyboard.press("ArrowRight")
        assert page.locator(".word.cursor").text_content() == "שלום"
        keep(page, "right-to-left")

    def test_up_and_down_lead_to_the_nearest_word_of_another_line(self, page: Page, service: Service) -> None:
        label_alone(page, service, "soup and bread " * 30)
        page.locator("#sentence").press("Home")
        page.keyboard.press("ArrowDown")
        boxes = [page.locator(selector).bounding_box() for selector in ("#word-0", ".word.cursor")]
        (first, below) = [box for box in boxes if box is not None]
        assert 20 < below["y"] - first["y"] < 80
        assert abs(below["x"] - first["x"]) < 60
        page.keyboard.press("ArrowUp")
        assert page.locator(".word.cursor").get_attribute("id") == "word-0"

    def test_touch_is_enough(self, browser: Browser, service: Service) -> None:
        [id_] = service.add(MARY)
        context = browser.new_context(viewport={"width": 375, "height": 800}, has_touch=True, is_mobile=True)
        page = context.new_page()
        visit(page, service.url, service.domain)
        start_labelling(page)
        clear(page)
        page.locator("#word-2").tap()
        assert chosen(page) == ["Mary"]
        page.locator("#word-4").tap()
        assert chosen(page) == ["Mary", "of", "Oslo"]
        page.get_by_role("button", name="LOC").tap()
        assert spans(page) == [("Mary of Oslo", "LOC")]
        page.locator("#word-0").tap()
        assert chosen(page) == ["Emil"]
        page.get_by_role("button", name="PER").tap()
        page.get_by_role("button", name="Accept").tap()
        expect(page.locator("#nothing-left")).to_be_visible()
        assert saved_as(service.example(id_)) == [("Emil", "PER"), ("Mary of Oslo", "LOC")]
        context.close()

    def test_all_sentences_as_a_file(self, page: Page, service: Service, tmp_path: Path) -> None:
        label_alone(page, service, MARY)
        page.locator("#listing summary").click()
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Save", exact=True).click()
        waiting.value.save_as(tmp_path / "saved.jsonl")
        assert waiting.value.suggested_filename == f"{service.domain}.jsonl"
        assert json.loads((tmp_path / "saved.jsonl").read_text(encoding="utf-8"))["text"] == MARY
