"""Adding texts in a real Chromium: pasted, from files, and files that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from lightner.data.formats.documents import Document
from lightner.data.formats.writing import write
from lightner.types import Sentence, Span
from tests.support.teach_page import MARY, SOUP, Service, go, saved_as, visit

pytestmark = pytest.mark.browser


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
