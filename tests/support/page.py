"""Actions on the web page and readings from it, for its tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from playwright.sync_api import Page, expect

from lightner.service.messages import Reader
from lightner.service.middleware import Keys
from lightner.service.routes import create_app
from lightner.service.settings import RequestLimits
from tests.support.teaching import desk_of

TEXT = "Ada lives in Paris and likes soup.\nEmil and Mary of Oslo, on Monday: bread to Rome!"


def app_of(reader: Reader, *, read: str | None = None, limits: RequestLimits | None = None) -> Any:
    return create_app(
        reader, keys=Keys(read, None), limits=limits or RequestLimits(), desk=desk_of("memory:///", reader)
    )


def find(page: Page, text: str) -> None:
    page.get_by_label("Text", exact=True).fill(text)
    page.get_by_role("button", name="Find entities").click()
    expect(page.locator("#find")).not_to_have_attribute("aria-busy", "true")


def marks(page: Page) -> list[dict[str, str]]:
    """Text, label and score of every marked entity."""
    found: list[dict[str, str]] = page.locator("#marked mark").evaluate_all(
        "all => all.map(m => ({text: m.firstChild.data, label: m.children[0].textContent, "
        "score: m.children[1].textContent}))"
    )
    return found


def marked_as(entities: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    return [{"text": e["text"], "label": e["label"], "score": f"{e['score']:.2f}"} for e in entities]


def middle_of(entities: Sequence[dict[str, Any]]) -> float:
    """A minimum score, as the page has them, that about half of the entities reach."""
    return float(round(sorted(each["score"] for each in entities)[len(entities) // 2] - 0.005, 2))


def plain(page: Page) -> str:
    """The displayed text, without labels and scores."""
    text: str = page.locator("#marked").evaluate(
        "m => [...m.childNodes].map(n => n.nodeType === 3 ? n.data : n.firstChild.data).join('')"
    )
    return text
