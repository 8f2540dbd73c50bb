"""The whole of teaching through the page, on a real Ray with the embedded backbone: from an empty registry to a second
version, and the gate between the two."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from lightner.jobs.on_ray import local
from lightner.words import split_words
from tests.support.deployed import ADMIN, Service, wait_until
from tests.support.serving import prepare
from tests.support.teach_page import chosen, clear, go, move_to, start_labelling, visit

pytestmark = [pytest.mark.ray, pytest.mark.browser]
DOMAIN, LABELS = "dishes", ("dish", "restaurant", "city")
# Few steps: that a tuning runs to its end is tested here, not how good it is.
PIN = "{steps: 24, rounds: 2, folds: 2, batch_size: 8, warm_up_steps: 4, prompt_length: 4, learning_rate: 0.01}"
PATIENCE_MS = 600_000
NAMES = {
    "dish": ("lentil soup", "onion tart", "fried rice", "apple pie", "fish stew"),
    "restaurant": ("Blue Spoon", "Casa Rosa", "Old Mill", "Green Door"),
    "city": ("Lisbon", "Ghent", "Turin", "Bergen", "Graz", "Lyon", "Split"),
}
FRAMES = (
    "We ate {dish} at {restaurant} in {city}.",
    "{restaurant} serves the best {dish} of {city}.",
    "Is there {dish} anywhere in {city}?",
    "The {dish} at {restaurant} was cold.",
)

Gold = list[tuple[int, int, str]]


def sentences() -> dict[str, Gold]:
    """Forty texts, and the words of each that have a label."""
    made = {}
    for place in range(100):
        used = {label: names[place % len(names)] for label, names in NAMES.items()}
        text = FRAMES[place % len(FRAMES)].format(**used)
        made[text] = gold_of(text, used)
    return dict(list(made.items())[:40])


def gold_of(text: str, names: dict[str, str]) -> Gold:
    words = split_words(text)
    places = [(text.index(name), name, label) for label, name in names.items() if name in text]
    return [
        (
            next(place for place, word in enumerate(words) if word.start == start),
            next(place for place, word in enumerate(words, start=1) if word.end == start + len(name)),
            label,
        )
        for start, name, label in sorted(places)
    ]


@pytest.fixture(scope="module")
def service(local_ray: local.Head, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A deployed service with the embedded backbone, an empty registry and a place for tunings."""
    folder = tmp_path_factory.mktemp("teaching")
    (folder / "pin.yaml").write_text(PIN, encoding="utf-8")
    service = Service(local_ray, prepare(folder))
    args = service.config["applications"][0]["args"]
    del args["backbone"]
    args |= {
        "registry": str(folder / "registry"),
        "tuning": {"storage": str(folder / "runs"), "pin": str(folder / "pin.yaml")},
    }
    service.deploy()
    yield service
    service.delete()


def shown(page: Page) -> Gold:
    """The spans of the sentence in words."""
    found: list[tuple[int, int, str]] = page.locator("#sentence mark").evaluate_all(
        """all => all.map(mark => {
          const words = [...mark.querySelectorAll('.word')].map(word => Number(word.dataset.word));
          return [words[0], words.at(-1) + 1, mark.querySelector('.label').textContent];
        })"""
    )
    return [(first, end, label) for first, end, label in found]


def words(page: Page) -> tuple[str, ...]:
    return tuple(page.locator("#sentence .word").all_text_contents())


def make_right(page: Page, gold: Gold) -> bool:
    """Correct the sentence by the keyboard where it is wrong; returns whether it was."""
    if shown(page) == gold:
        return False
    if shown(page):
        clear(page)
    for first, end, label in gold:
        move_to(page, first)
        for _ in range(first, end - 1):
            page.keyboard.press("Shift+ArrowRight")
        assert len(chosen(page)) == end - first
        page.keyboard.press(str(LABELS.index(label) + 1))
    assert shown(page) == gold
    return True


def label_all(page: Page, gold: dict[str, Gold]) -> int:
    """Label what is open, the most worthwhile first; returns how many proposals were corrected."""
    by_words = {tuple(word.text for word in split_words(text)): each for text, each in gold.items()}
    corrected = 0
    while by_words:
        before = words(page)
        corrected += make_right(page, by_words.pop(before))
        page.keyboard.press("Enter")
        page.wait_for_function(
            """before => document.getElementById('sentence-panel').hidden
            || [...document.querySelectorAll('#sentence .word')].map(word => word.textContent).join(' ') !== before""",
            arg=" ".join(before),
        )
    return corrected


def create(page: Page) -> None:
    page.get_by_label("New domain").fill(DOMAIN)
    page.keyboard.press("Enter")
    expect(page.locator("#label-rows .name").first).to_be_focused()
    for name in LABELS:
        page.keyboard.type(name)
        page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.locator("#to-texts")).to_be_focused()


def tune(page: Page, keep: Any, name: str) -> str:
    """Tune and wait for the verdict."""
    go(page, "Tune")
    page.get_by_role("button", name="Tune", exact=True).click()
    expect(page.locator("#running-title")).to_be_focused()
    round_or_end = page.locator("#running-about:has-text('round'), #outcome:visible")
    expect(round_or_end.first).to_be_visible(timeout=PATIENCE_MS)
    keep(page, f"{name}-runs")
    expect(page.locator("#outcome-title")).to_be_focused(timeout=PATIENCE_MS)
    expect(page.locator("#live")).to_contain_text("is live")
    keep(page, f"{name}-result")
    return page.locator("#verdict").text_content() or ""


def ask(service: Service, text: str) -> Any:
    body = {"texts": [text]}
    return httpx.post(f"{service.http.base_url}/v1/domains/{DOMAIN}/entities", json=body, timeout=60).json()


def test_from_an_empty_registry_to_a_second_version(page: Page, service: Service, keep: Any, tmp_path: Path) -> None:
    url = str(service.http.base_url).rstrip("/")
    service.http.headers["authorization"] = f"Bearer {ADMIN}"
    assert service.http.get("/v1/domains").json()["domains"] == []
    gold = sentences()
    visit(page, url, key=ADMIN)
    create(page)
    go(page, "Texts")
    page.locator("#pasted").fill(" ".join(gold))
    page.get_by_role("button", name="Add texts").click()
    expect(page.locator("#added-title")).to_have_text("Added 40 sentences")
    start_labelling(page)
    expect(page.locator("#sentence-about")).to_contain_text("the labels’ words alone")
    keep(page, "proposed")
    corrected = label_all(page, gold)
    expect(page.locator("#done-text")).to_have_text("40 of 40 labelled")
    examples = service.http.get(f"/v1/domains/{DOMAIN}/examples?state=done&limit=100").json()["examples"]
    provenances = [each["provenance"] for each in examples]
    assert (provenances.count("corrected"), provenances.count("accepted")) == (corrected, 40 - corrected)
    assert 0 < corrected < 40
    keep(page, "labelled")

    assert "The new version is live" in tune(page, keep, "first")
    expect(page.locator("#live")).to_have_text("Version v000001 is live.")
    text = "They praised the onion tart of Old Mill in Riga."
    wait_until(lambda: ask(service, text).get("prompt_version") == "v000001", lambda: ask(service, text))

    go(page, "Try")
    page.locator("#text").fill(text)
    page.get_by_role("button", name="Find entities").click()
    expect(page.locator("#answer-about")).to_contain_text("by version v000001")
    keep(page, "tried")
    page.get_by_role("button", name="Correct this").click()
    expect(page.locator("#sentence")).to_be_focused()
    expect(page.locator("#sentence-about")).to_contain_text("proposed by version v000001")
    names = {"dish": "onion tart", "restaurant": "Old Mill", "city": "Riga"}
    make_right(page, gold_of(text, names))
    page.keyboard.press("Enter")
    expect(page.locator("#done-text")).to_have_text("41 of 41 labelled")

    verdict = tune(page, keep, "second")
    assert re.search(r"The new version (is live|was kept and is not live)", verdict)
    live = "v000002" if "is live" in verdict.replace("is not live", "") else "v000001"
    expect(page.locator("#live")).to_have_text(f"Version {live} is live.")
    tunings = service.http.get(f"/v1/domains/{DOMAIN}/tunings").json()["tunings"]
    assert [each["state"] for each in tunings] == ["finished", "finished"]
    assert tunings[0]["result"]["version"] == "v000002"
    assert tunings[0]["result"]["f1"]["before"] == tunings[1]["result"]["f1"]["after"] is not None
