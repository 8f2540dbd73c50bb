"""Teaching in a real Chromium over the real service: domain, texts, labelling, trying. `test_teach_with_ray` tunes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from lightner.data.formats.documents import Document
from lightner.data.formats.writing import write
from lightner.service.middleware import Keys
from lightner.service.replica import BackboneReplica
from lightner.service.routes import create_app
from lightner.service.settings import RequestLimits
from lightner.types import Sentence, Span
from tests.support.browser import Watched
from tests.support.served import listening
from tests.support.serving import HOSTILE, Place, prepare
from tests.support.teach_page import (
    ADMIN,
    ANNOTATE,
    Service,
    chosen,
    clear,
    drag,
    expect_words,
    go,
    levels,
    move_to,
    nested_spans,
    proposed_as,
    saved_as,
    spans,
    start_labelling,
    visit,
)
from tests.support.teaching import NamedJobs, desk_of

pytestmark = pytest.mark.browser
SOUP = "Ada lives in Paris and likes soup."
MARY = "Emil and Mary of Oslo bake bread."


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return prepare(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module")
def url(place: Place) -> Iterator[str]:
    reader = BackboneReplica(place.settings)
    desk = desk_of(place.registry.url, reader, jobs=NamedJobs())
    with listening(create_app(reader, keys=Keys("r", ADMIN, ANNOTATE), limits=RequestLimits(), desk=desk)) as url:
        yield url


@pytest.fixture
def service(place: Place, url: str) -> Service:
    """A published domain of its own for each test, with the labels PER and LOC."""
    domain = f"d{uuid.uuid4().hex[:10]}"
    place.publish(domain)
    service = Service(url, domain)
    service.label("PER", "LOC")
    return service


@pytest.fixture
def other(browser: Browser) -> Iterator[Page]:
    """Another person's browser."""
    context = browser.new_context(viewport={"width": 1000, "height": 900})
    yield context.new_page()
    context.close()


def label_alone(page: Page, service: Service, text: str) -> str:
    """Add a text and begin to label it; returns its id."""
    [id_] = service.add(text)
    visit(page, service.url, service.domain)
    start_labelling(page)
    return id_


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


class TestTexts:
    def test_pasted_texts_are_split_and_duplicates_are_reported(self, page: Page, service: Service, keep: Any) -> None:
        visit(page, service.url, service.domain)
        go(page, "Texts")
        page.locator("#pasted").fill(f"{SOUP} {MARY}\n\n{SOUP}\n\nمرحبا من روما. 我住在东京。🍞 soup!")
        page.get_by_role("button", name="Add texts").click()
        expect(page.locator("#added-title")).to_be_focused()
        expect(page.locator("#added-title")).to_contain_text("1 was there already")
        page.get_by_text("1 duplicate").click()
        expect(page.locator("#duplicates-list li")).to_have_text([SOUP])
        expect(page.locator("#pasted")).to_have_value("")
        added = [each["text"] for each in service.examples("open")]
        assert added[:2] == [SOUP, MARY]
        assert "我住在东京。" in added
        keep(page, "added")
        page.get_by_role("button", name="Next: label").click()
        expect(page.locator("#sentence")).to_be_focused()

    def test_a_text_a_line(self, page: Page, service: Service) -> None:
        visit(page, service.url, service.domain)
        go(page, "Texts")
        page.locator("#pasted").fill("Ada. Mary.\nsoup\n\n")
        page.get_by_label("a line").check()
        page.get_by_role("button", name="Add texts").click()
        expect(page.locator("#added-title")).to_have_text("Added 2 sentences")
        assert [each["text"] for each in service.examples("open")] == ["Ada. Mary.", "soup"]

    def test_more_than_one_request_takes(self, page: Page, service: Service) -> None:
        visit(page, service.url, service.domain)
        go(page, "Texts")
        page.locator("#pasted").fill("\n".join(f"soup {number}" for number in range(450)))
        page.get_by_label("a line").check()
        page.get_by_role("button", name="Add texts").click()
        expect(page.locator("#added-title")).to_have_text("Added 450 sentences")

    @pytest.mark.parametrize(
        ("name", "content", "texts"),
        [
            ("a.txt", "Ada bakes.\nMary eats.", ["Ada bakes.", "Mary eats."]),
            ("a.csv", 'id,review\n1,"Ada said ""soup"", twice"\n2,Mary\r\n', ['Ada said "soup", twice', "Mary"]),
            ("a.tsv", "text\tid\nAda, Mary\t1\n", ["Ada, Mary"]),
            ("a.jsonl", '{"text": "Ada"}\n{"text": "Mary", "id": 3}\n', ["Ada", "Mary"]),
            ("a.json", '["Ada", "Mary"]', ["Ada", "Mary"]),
        ],
    )
    def test_files_of_texts(self, page: Page, service: Service, name: str, content: str, texts: list[str]) -> None:
        visit(page, service.url, service.domain)
        go(page, "Texts")
        page.get_by_label("a line").check()
        page.get_by_label("File", exact=True).set_input_files(
            {"name": name, "mimeType": "text/plain", "buffer": content.encode()}
        )
        page.get_by_role("button", name="Add the file").click()
        expect(page.locator("#added-title")).to_contain_text("Added")
        assert [each["text"] for each in service.examples("open")] == texts

    def test_labelled_files_bring_their_labels(self, page: Page, service: Service) -> None:
        visit(page, service.url, service.domain)
        go(page, "Texts")
        content = b"Ada B-PER\neats O\nsoup B-dish\n\nMary B-PER\n"
        page.get_by_label("File", exact=True).set_input_files(
            {"name": "a b\u00fc.conll", "mimeType": "", "buffer": content}
        )
        page.get_by_role("button", name="Add the file").click()
        expect(page.locator("#added-notes")).to_contain_text("New labels: dish")
        first = next(each for each in service.examples("done") if "soup" in each["text"])
        assert saved_as(first) == [("Ada", "PER"), ("soup", "dish")]
        go(page, "Label")
        expect(page.locator("#label-counts")).to_contain_text("dish 1 4 more needed")

    def test_a_fault_with_a_known_repair_is_one_click_from_it(self, page: Page, service: Service) -> None:
        visit(page, service.url, service.domain)
        go(page, "Texts")
        content = json.dumps({"text": "Ada eats", "entities": [[0, 2, "PER"]]}).encode()
        page.get_by_label("File", exact=True).set_input_files({"name": "a.jsonl", "mimeType": "", "buffer": content})
        page.get_by_role("button", name="Add the file").click()
        expect(page.locator("#notice")).to_contain_text("Invalid request")
        page.get_by_role("button", name="Repair: grow to word").click()
        expect(page.locator("#added-title")).to_have_text("Added 1 sentence")
        assert saved_as(service.examples("done")[0]) == [("Ada", "PER")]

    def test_a_dropped_binary_file_brings_its_labels(self, page: Page, service: Service, tmp_path: Path) -> None:
        sentence = Sentence(("Ada", "eats", "soup"), (Span(0, 1, "PER"), Span(2, 3, "dish")), text="Ada eats soup")
        write(tmp_path / "a.parquet", [Document.of(sentence)], "datasets")
        visit(page, service.url, service.domain)
        go(page, "Texts")
        transfer = page.evaluate_handle(
            "bytes => { const t = new DataTransfer(); t.items.add(new File([new Uint8Array(bytes)], 'a.parquet'));"
            " return t; }",
            list((tmp_path / "a.parquet").read_bytes()),
        )
        page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
        expect(page.locator("#file-size")).to_contain_text("bytes")
        expect(page.get_by_label("It has")).to_have_value("labelled")
        page.get_by_role("button", name="Add the file").click()
        expect(page.locator("#added-title")).to_have_text("Added 1 sentence", timeout=60_000)
        assert saved_as(service.examples("done")[0]) == [("Ada", "PER"), ("soup", "dish")]

    def test_a_damaged_binary_file_is_refused(self, page: Page, service: Service) -> None:
        visit(page, service.url, service.domain)
        go(page, "Texts")
        page.get_by_label("File", exact=True).set_input_files({"name": "a.arrow", "mimeType": "", "buffer": b"ARROW1"})
        page.get_by_role("button", name="Add the file").click()
        expect(page.locator("#notice")).to_contain_text("a.arrow: found a table that", timeout=60_000)

    def test_a_dropped_file_that_is_no_text_is_refused(self, page: Page, service: Service) -> None:
        visit(page, service.url, service.domain)
        go(page, "Texts")
        transfer = page.evaluate_handle(
            "() => { const t = new DataTransfer();"
            " t.items.add(new File([new Uint8Array([255, 0])], 'a.txt')); return t; }"
        )
        page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
        expect(page.locator("#notice")).to_contain_text("a.txt is no text in UTF-8")


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
