"""Actions on the teaching page and readings from it, for its tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx
from playwright.sync_api import Page, expect

ADMIN, ANNOTATE = "admin key", "annotate key"
SOUP = "Ada lives in Paris and likes soup."
MARY = "Emil and Mary of Oslo bake bread."


class Service:
    """The service as another program sees it, with the admin key."""

    def __init__(self, url: str, domain: str = "dishes") -> None:
        self.url = url
        self.domain = domain

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = httpx.request(
            method, f"{self.url}/v1/{path}", json=body, headers={"authorization": f"Bearer {ADMIN}"}, timeout=60
        )
        assert answer.is_success, answer.text
        return answer.json()

    def of_domain(self, method: str, path: str, body: Any = None) -> Any:
        return self.call(method, f"domains/{self.domain}/{path}", body)

    def label(self, *names: str) -> None:
        labels = [{"name": name, "words": None, "colour": None} for name in names]
        self.of_domain("PUT", "labels", {"revision": 0, "labels": labels})

    def add(self, *texts: str) -> list[str]:
        answer = self.of_domain("POST", "examples", {"examples": [{"text": text} for text in texts]})
        return [each["id"] for each in answer["examples"]]

    def example(self, id_: str) -> Any:
        return self.of_domain("GET", f"examples/{id_}")

    def examples(self, state: str) -> Any:
        return self.of_domain("GET", f"examples?state={state}")["examples"]


def visit(page: Page, url: str, domain: str | None = None, *, key: str = ADMIN) -> None:
    """Open the page as `lightner teach` does, and choose a domain that exists."""
    page.goto(f"{url}/teach#key={key}")
    expect(page.locator("#steps")).to_be_visible()
    if domain is not None:
        page.locator("#domain").select_option(domain)
        expect(page.locator("#where-name")).to_have_text(domain)


def go(page: Page, step: str) -> None:
    page.get_by_role("tab", name=step).click()
    expect(page.locator(f"#{step.lower()}-step")).to_be_visible()


def start_labelling(page: Page) -> None:
    go(page, "Label")
    expect(page.locator("#sentence")).to_be_focused()


def label_alone(page: Page, service: Service, text: str) -> str:
    """Add a text and begin to label it; returns its id."""
    [id_] = service.add(text)
    visit(page, service.url, service.domain)
    start_labelling(page)
    return id_


def expect_words(page: Page, *expected: str) -> None:
    """Wait until the sentence with these words is the one that is being labelled."""
    expect(page.locator("#sentence .word")).to_have_text(expected)


def spans(page: Page) -> list[tuple[str, str]]:
    """Text and label of each span of the sentence."""
    found: list[list[str]] = page.locator("#sentence mark").evaluate_all(
        "all => all.map(m => [[...m.childNodes].filter(n => !n.ariaHidden).map(n => n.textContent).join(''), "
        "m.querySelector('.label').textContent])"
    )
    return [(text, label) for text, label in found]


def nested_spans(page: Page, root: str = "#sentence") -> list[tuple[str, str]]:
    """Text and label of each mark, an outer one before those within it."""
    found: list[list[str]] = page.locator(f"{root} mark").evaluate_all(
        "all => all.map(mark => { const copy = mark.cloneNode(true); "
        "const label = [...copy.children].find(each => each.className === 'label').textContent; "
        "for (const each of copy.querySelectorAll('.label, .score')) each.remove(); "
        "return [copy.textContent, label]; })"
    )
    return [(text, label) for text, label in found]


def levels(page: Page) -> list[str | None]:
    """On how many levels each mark of the sentence has others within it."""
    found: list[str | None] = page.locator("#sentence mark").evaluate_all(
        "all => all.map(m => m.dataset.levels ?? null)"
    )
    return found


def move_to(page: Page, word: int) -> None:
    """Put the cursor on a word by the keyboard."""
    page.locator("#sentence").press("Home")
    for _ in range(word):
        page.keyboard.press("ArrowRight")


def drag(page: Page, first: int, last: int) -> None:
    """Choose words by the mouse."""
    boxes = [page.locator(f"#word-{word}").bounding_box() for word in (first, last)]
    (x, y), (to_x, to_y) = [(b["x"] + b["width"] / 2, b["y"] + b["height"] / 2) for b in boxes if b is not None]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move((x + to_x) / 2, (y + to_y) / 2)
    page.mouse.move(to_x, to_y)
    page.mouse.up()


def chosen(page: Page) -> list[str]:
    found: list[str] = page.locator("#sentence .word[aria-selected=true]").all_text_contents()
    return found


def clear(page: Page) -> None:
    """Take all labels off the sentence, by the keyboard."""
    page.locator("#sentence").press("Home")
    page.keyboard.press("Shift+End")
    page.keyboard.press("Delete")
    expect(page.locator("#sentence mark")).to_have_count(0)


def saved_as(example: Any) -> list[tuple[str, str]]:
    """Text and label of each span of an example of the service."""
    text: str = example["text"]
    return [(text[each["start"] : each["end"]], each["label"]) for each in example["spans"]]


def proposed_as(example: Any) -> list[tuple[str, str]]:
    entities: Sequence[Any] = example["proposals"]["entities"]
    return [(each["text"], each["label"]) for each in entities]
