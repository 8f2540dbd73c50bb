"""The web page in a real Chromium over the real service: its contents in each state, and no injected scripts."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from starlette.types import Receive, Scope, Send

from lightner.service.page import FILES
from lightner.service.replica import BackboneReplica
from lightner.service.settings import RequestLimits
from lightner.store.registry import Registry
from tests.support.browser import Watched
from tests.support.page import TEXT, app_of, find, marked_as, marks, middle_of, plain
from tests.support.served import hold, listening
from tests.support.serving import HOSTILE, Hostile, Place, prepare_with_damage
from tests.support.teach_page import nested_spans

pytestmark = pytest.mark.browser
KEY = "read key"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    made = prepare_with_damage(tmp_path_factory.mktemp("place"))
    movies = made.artifact("movies")
    made.registry.publish(replace(movies, card=replace(movies.card, domain="nested", nested=True)))
    return made


@pytest.fixture(scope="module")
def reader(place: Place) -> BackboneReplica:
    return BackboneReplica(place.settings)


@pytest.fixture(scope="module")
def url(reader: BackboneReplica) -> Iterator[str]:
    with listening(app_of(reader)) as url:
        yield url


def answer_of(url: str, domain: str, text: str) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.post(f"{url}/v1/domains/{domain}/entities", json={"texts": [text]}).json()
    return answer


@pytest.fixture(scope="module")
def below(reader: BackboneReplica) -> Iterator[str]:
    """The service at `/ner` of a server, as under a `route_prefix` of Ray Serve."""
    app = app_of(reader)

    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "root_path": "/ner"}, receive, send)

    with listening(mounted) as url:
        yield f"{url}/ner"


class TestBelowARootPath:
    @pytest.mark.parametrize("slash", ["", "/"])
    def test_the_page_finds_its_files_and_its_service(self, page: Page, below: str, slash: str) -> None:
        watched = Watched(page)
        page.goto(below + slash)
        page.get_by_label("Domain").select_option("movies")
        find(page, TEXT)
        expected = answer_of(below, "movies", TEXT)["results"][0]["entities"]
        assert marks(page) == marked_as(expected) != []
        page.get_by_role("button", name="Copy curl").click()
        expect(page.locator("#copy-curl")).to_have_text("Copied")
        assert f"{below}/v1/domains/movies/entities" in page.evaluate("navigator.clipboard.readText()")
        assert {address for address in watched.addresses if not address.startswith(f"{below}/")} <= {below}

    def test_its_link_leads_to_the_documentation(self, page: Page, below: str) -> None:
        page.goto(below)
        page.get_by_role("link", name="API").click()
        expect(page).to_have_url(f"{below}/docs")
        expect(page.locator(".opblock-summary-path").first).to_be_visible()


class TestFinding:
    def test_entities_of_a_text_are_marked_with_label_and_score(self, page: Page, url: str, keep: Any) -> None:
        page.goto(url)
        page.get_by_label("Domain").select_option("movies")
        expect(page.locator("#about")).to_contain_text("version v000001")
        find(page, TEXT)
        expected = answer_of(url, "movies", TEXT)["results"][0]["entities"]
        assert len(expected) > 2
        assert marks(page) == marked_as(expected)
        assert plain(page) == TEXT
        assert page.locator("#rows tr").count() == len(expected)
        expect(page.locator("#summary")).to_contain_text(f"{len(expected)} entities")
        colours = page.locator("#about .tag").evaluate_all("all => all.map(t => [t.textContent, t.dataset.hue])")
        for label, colour in page.locator("#rows .tag").evaluate_all(
            "all => all.map(t => [t.textContent, t.dataset.hue])"
        ):
            assert [label, colour] in colours
        keep(page, "found-light")
        page.emulate_media(color_scheme="dark")
        keep(page, "found-dark")

    def test_nested_entities_are_underlined_one_below_the_other(self, page: Page, url: str, keep: Any) -> None:
        expected = answer_of(url, "nested", TEXT)["results"][0]["entities"]
        page.goto(url)
        page.get_by_label("Domain").select_option("nested")
        find(page, TEXT)
        outermost_first = sorted(expected, key=lambda each: (each["start"], -each["end"]))
        assert nested_spans(page, "#marked") == [(each["text"], each["label"]) for each in outermost_first]
        below = page.locator("#marked mark[data-levels]").first.evaluate(
            "m => { const inner = m.querySelector('mark').getClientRects()[0];"
            " const middle = (inner.top + inner.bottom) / 2;"
            " const line = [...m.getClientRects()].find(each => each.top < middle && middle < each.bottom);"
            " return line.bottom - inner.bottom; }"
        )
        assert below > 2, "the line of the outer one is below that of the inner one"
        assert page.locator("#rows tr").count() == len(expected)
        assert not Axe().run(page).response["violations"]
        keep(page, "nested-light")
        page.emulate_media(color_scheme="dark")
        keep(page, "nested-dark")

    @pytest.mark.parametrize(
        "text",
        [
            "👩‍🍳🍞 Mary 𝒳𝒴 lives in Oslo 🇳🇴 and Ada 👍🏽 in Rome",
            "שלום Ada גרה ב Oslo עם Emil 🍞 soup",
            "الطعام soup في Rome مع Mary",
            "line one\n\n  Ada\tlives in\u00a0Paris\u200b and Rome  \n",
        ],
    )
    def test_marks_are_where_the_service_says_whatever_the_script(self, page: Page, url: str, text: str) -> None:
        page.goto(url)
        page.get_by_label("Domain").select_option("movies")
        find(page, text)
        expected = answer_of(url, "movies", text)["results"][0]["entities"]
        assert len(expected) > 0
        assert marks(page) == marked_as(expected)
        assert plain(page) == text
        for entity in expected:
            assert text[entity["start"] : entity["end"]] == entity["text"]

    def test_the_slider_hides_without_asking_again(self, page: Page, url: str) -> None:
        page.goto(url)
        page.get_by_label("Domain").select_option("movies")
        find(page, TEXT)
        entities = answer_of(url, "movies", TEXT)["results"][0]["entities"]
        threshold = middle_of(entities)
        watched = Watched(page)
        page.get_by_label("Minimum score").fill(f"{threshold:.2f}")
        kept = [entity for entity in entities if entity["score"] >= threshold]
        assert 0 < len(kept) < len(entities)
        assert marks(page) == marked_as(kept)
        expect(page.locator("#summary")).to_contain_text(f"{len(entities) - len(kept)} below the minimum")
        page.get_by_label("Minimum score").fill("1")
        assert marks(page) == []
        expect(page.locator("#summary")).to_contain_text("no entities")
        assert watched.addresses == []

    def test_a_long_text_says_in_how_many_windows_it_was_read(self, page: Page, url: str) -> None:
        page.goto(url)
        page.get_by_label("Domain").select_option("movies")
        text = "the city of Rome " * 70
        find(page, text)
        expect(page.locator("#summary")).to_contain_text("read in 3 windows")
        assert plain(page) == text

    def test_without_a_text_nothing_is_asked(self, page: Page, url: str) -> None:
        page.goto(url)
        expect(page.get_by_role("button", name="Find entities")).to_be_visible()
        find(page, "  \n ")
        expect(page.locator("#notice")).to_contain_text("There is no text yet")
        assert page.evaluate("document.activeElement.id") == "text"


class TestCopying:
    def test_json_is_the_answer_as_shown(self, page: Page, url: str) -> None:
        page.goto(url)
        page.get_by_label("Domain").select_option("movies")
        find(page, TEXT)
        expected = answer_of(url, "movies", TEXT)
        page.get_by_role("button", name="Copy JSON").click()
        expect(page.locator("#copy-json")).to_have_text("Copied")
        found = json.loads(page.evaluate("navigator.clipboard.readText()"))
        assert found == expected

    def test_curl_asks_the_same(self, page: Page, url: str) -> None:
        page.goto(url)
        page.get_by_label("Domain").select_option("movies")
        text = TEXT + """ it's "quoted" $HOME `id` \\n 🍞"""
        find(page, text)
        every = answer_of(url, "movies", text)["results"][0]["entities"]
        page.get_by_label("Minimum score").fill(f"{middle_of(every):.2f}")
        page.get_by_role("button", name="Copy curl").click()
        expect(page.locator("#copy-curl")).to_have_text("Copied")
        command = page.evaluate("navigator.clipboard.readText()")
        done = subprocess.run(["sh", "-c", f"{command} --silent"], capture_output=True, check=True)
        entities = json.loads(done.stdout)["results"][0]["entities"]
        assert 0 < len(entities) < len(every)
        assert marked_as(entities) == marks(page)

    def test_where_the_browser_has_no_clipboard_for_it_the_old_way_works(self, page: Page, url: str) -> None:
        page.add_init_script("Object.defineProperty(Navigator.prototype, 'clipboard', {value: undefined})")
        page.goto(url)
        page.get_by_label("Domain").select_option("movies")
        find(page, TEXT)
        page.get_by_role("button", name="Copy JSON").click()
        expect(page.locator("#copy-json")).to_have_text("Copied")
        expect(page.locator("textarea")).to_have_count(2)


class TestStates:
    def test_no_domain_yet(self, page: Page, place: Place, tmp_path: Path, keep: Any) -> None:
        empty = BackboneReplica(place.settings.model_copy(update={"registry": str(tmp_path / "empty")}))
        with listening(app_of(empty)) as url:
            page.goto(url)
            expect(page.get_by_role("heading", name="No domain is published yet")).to_be_visible()
            expect(page.get_by_label("Domain")).to_be_hidden()
            keep(page, "none")
            Registry.open(str(tmp_path / "empty")).publish(place.artifact("movies"))
            page.get_by_role("button", name="look again").click()
            expect(page.get_by_label("Domain")).to_have_value("movies")
            find(page, "mary")
            expect(page.locator("#result")).to_be_visible()

    def test_a_domain_that_fails_and_one_that_does_not(self, page: Page, url: str, keep: Any) -> None:
        page.goto(url)
        page.get_by_label("Domain").select_option("damaged")
        expect(page.locator("#about")).to_contain_text("This domain cannot be used now")
        find(page, TEXT)
        expect(page.locator("#notice")).to_contain_text("Unusable prompt")
        expect(page.locator("#result")).to_be_hidden()
        keep(page, "failed")
        page.get_by_label("Domain").select_option("movies")
        expect(page.locator("#notice")).to_be_hidden()
        find(page, TEXT)
        assert len(marks(page)) > 0

    def test_an_overloaded_service(self, page: Page, reader: BackboneReplica, keep: Any) -> None:
        with listening(app_of(reader, limits=RequestLimits(max_at_once=1))) as url:
            page.goto(url)
            page.get_by_label("Domain").select_option("movies")
            expect(page.locator("#about")).to_contain_text("version")
            held = hold(url, key="")
            find(page, TEXT)
            expect(page.locator("#notice")).to_contain_text("Too many requests")
            expect(page.locator("#notice")).to_contain_text("in 1 s")
            keep(page, "overloaded")
            held.close()
            page.get_by_role("button", name="Try again").click()
            expect(page.locator("#result")).to_be_visible()
            expect(page.locator("#notice")).to_be_hidden()

    def test_a_service_that_stops(self, page: Page, reader: BackboneReplica) -> None:
        with listening(app_of(reader)) as url:
            page.goto(url)
            expect(page.get_by_role("button", name="Find entities")).to_be_visible()
        find(page, TEXT)
        expect(page.locator("#notice")).to_contain_text("The service cannot be reached")

    def test_a_service_that_wants_a_key(self, page: Page, reader: BackboneReplica, keep: Any) -> None:
        with listening(app_of(reader, read=KEY)) as url:
            page.goto(url)
            field = page.get_by_label("Key")
            expect(field).to_be_focused()
            expect(page.locator("#ask")).to_be_hidden()
            keep(page, "key")
            field.fill("wrong")
            field.press("Enter")
            expect(page.locator("#notice")).to_contain_text("not the right one")
            field.fill(KEY)
            page.get_by_role("button", name="Use key").click()
            page.get_by_label("Domain").select_option("movies")
            expect(page.locator("#key-form")).to_be_hidden()
            find(page, TEXT)
            assert len(marks(page)) > 0
            page.get_by_role("button", name="Copy curl").click()
            expect(page.locator("#copy-curl")).to_have_text("Copied")
            command = page.evaluate("navigator.clipboard.readText()")
            assert KEY not in command
            environment = {**os.environ, "LIGHTNER_READ_KEY": KEY}
            done = subprocess.run(["sh", "-c", f"{command} -s"], capture_output=True, check=True, env=environment)
            assert marked_as(json.loads(done.stdout)["results"][0]["entities"]) == marks(page)
            assert page.evaluate("localStorage.length + sessionStorage.length") == 0
            page.reload()
            expect(page.get_by_label("Key")).to_have_value("")


class TestSafety:
    def test_hostile_text_is_text(self, page: Page, url: str, keep: Any) -> None:
        page.goto(url)
        page.get_by_label("Domain").select_option("movies")
        find(page, HOSTILE)
        assert plain(page) == HOSTILE
        expect(page.locator("#marked :is(img, script, b)")).to_have_count(0)
        assert page.title() == "LightNER"
        keep(page, "hostile")

    def test_hostile_names_are_text_too(self, page: Page, keep: Any) -> None:
        with listening(app_of(Hostile())) as url:
            page.goto(url)
            page.get_by_label("Domain").select_option("movies")
            expect(page.locator("#about")).to_contain_text(HOSTILE)
            find(page, "mary had a loaf")
            assert marks(page) == [{"text": "mary", "label": HOSTILE, "score": "0.50"}]
            keep(page, "hostile-names")
            for name in (HOSTILE, "../../x?y#z"):
                watched = Watched(page)
                page.get_by_label("Domain").select_option(name)
                expect(page.locator("#about")).to_contain_text("This domain cannot be used now")
                assert [address.startswith(f"{url}/v1/domains/") for address in watched.addresses] == [True]
            expect(page.locator(":is(img, b), body script")).to_have_count(0)
            assert page.title() == "LightNER"

    @pytest.mark.parametrize(
        "statement",
        ["document.body.innerHTML = '<i>x</i>'", "document.body.setAttribute('onclick', 'document.title = 1')"],
    )
    def test_the_browser_itself_refuses_to_run_text(self, browser: Browser, url: str, statement: str) -> None:
        page = browser.new_page()
        page.goto(url)
        refused = page.evaluate(f"() => {{ try {{ {statement}; }} catch (error) {{ return error.name; }} }}")
        assert refused == "TypeError"
        page.close()

    def test_nothing_is_loaded_from_elsewhere_and_every_file_says_so(self, page: Page, url: str) -> None:
        watched = Watched(page)
        page.goto(url)
        find(page, TEXT)
        assert len(watched.addresses) > 4
        assert all(address.startswith(f"{url}/") for address in watched.addresses)
        for path in FILES:
            answer = httpx.get(url + path)
            assert answer.status_code == 200
            assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
            assert "unsafe" not in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"


class TestAccess:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("width", [1000, 360])
    def test_no_fault_is_found_by_axe(self, page: Page, url: str, scheme: Any, width: int, keep: Any) -> None:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.goto(url)
        page.get_by_label("Domain").select_option("recipes")
        expect(page.locator("#about")).to_contain_text("version")
        find(page, TEXT)
        assert len(marks(page)) > 0
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        keep(page, f"{scheme}-{width}")

    def test_the_keyboard_is_enough(self, page: Page, url: str) -> None:
        page.goto(url)
        expect(page.get_by_role("button", name="Find entities")).to_be_visible()
        order = []
        for _ in range(7):
            page.keyboard.press("Tab")
            order.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
        assert order == ["Teach", "API", "domain", "use-labels", "text", "find", "threshold"]
        page.get_by_label("Domain").select_option("movies")
        page.get_by_label("Text", exact=True).focus()
        page.keyboard.type("mary of Oslo")
        page.keyboard.press("Control+Enter")
        expect(page.locator("#result")).to_be_visible()
        assert page.evaluate("document.activeElement.id") == "result-title"
        page.get_by_label("Minimum score").focus()
        page.keyboard.press("End")
        expect(page.locator("#threshold-value")).to_have_text("1.00")
