"""The documentation site builds strictly, and its pages need nothing from other hosts."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lightner.cli.program import group
from scripts.docs_site import formulas, links, routes
from tests.support.paths import CHECKOUT

# Elements that a browser loads by itself, with the attribute that says from where.
_LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class Loads(HTMLParser):
    """What a page makes a browser load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "link" and given.get("rel") in ("next", "prev", "canonical"):
            return
        if target := given.get(_LOADED.get(tag, "")):
            self.found.append(target)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_pages_load_nothing_from_other_hosts(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 60
    for page in pages:
        loads = Loads()
        loads.feed(page.read_text(encoding="utf-8"))
        assert [each for each in loads.found if re.match(r"(\w+:)?//", each)] == [], page
    for style in site.rglob("*.css"):
        assert re.findall(r"url\(['\"]?(?:https?:)?//|@import", style.read_text(encoding="utf-8")) == [], style


def test_pages_of_other_folders_and_the_files_they_lead_to_are_there(site: Path) -> None:
    for page in ("cluster/index.html", "benchmarks/results/few_shot.html", "CHANGELOG.html", "zh/tutorial.html"):
        assert (site / page).is_file(), page
    results = (site / "results.html").read_text(encoding="utf-8")
    assert 'href="benchmarks/results/few_shot.html"' in results
    chinese = (site / "zh/tutorial.html").read_text(encoding="utf-8")
    assert '<h2 id="在浏览器里做同样的事"' in chinese
    assert "max_at_once" in (site / "files/serve/config.yaml.html").read_text(encoding="utf-8")


def test_a_notebook_is_a_page_and_can_be_downloaded(site: Path) -> None:
    page = (site / "examples/first_domain.html").read_text(encoding="utf-8")
    stored = (CHECKOUT / "examples/first_domain.ipynb").read_bytes()
    assert (site / "examples/first_domain.ipynb").read_bytes() == stored
    assert '<a href="first_domain.ipynb" download>' in page
    assert 'href="../rules.html"' in page
    assert page.count("%%sh\n") == 3
    assert 'href="examples/first_domain.html"' in (site / "tutorial.html").read_text(encoding="utf-8")


def test_drawings_are_text_as_text_and_are_described(site: Path) -> None:
    method = (site / "method.html").read_text(encoding="utf-8")
    shown = re.findall(r'<img alt="([^"]{80,})" class="drawing" src="(assets/\w+\.svg)"', method)
    assert len(shown) == 3
    for _, drawing in shown:
        assert (site / drawing).read_text(encoding="utf-8").count("<text ") > 10


def test_the_reference_has_every_route_every_command_and_the_public_names(site: Path) -> None:
    told = (site / "reference/http.html").read_text(encoding="utf-8").replace("<wbr>", "")
    document = routes.document()
    for path, operations in document["paths"].items():
        for method in operations:
            assert f"<code>{method.upper()} {path}</code>" in told
    assert all(f'id="{name.lower()}"' in told for name in document["components"]["schemas"])
    help_ = (site / "reference/help.html").read_text(encoding="utf-8")
    assert all(f"lightner {name}" in help_ for name in group.commands)
    for page, name in (
        ("tagger", "lightner.tagger.Tagger.tag"), ("client", "lightner.client.Client.tag"),
        ("client", "lightner.client.teaching.Teaching.tune"), ("pipelines", "lightner.pipelines.pipeline"),
        ("spacy", "lightner.spacy.make"), ("hub", "lightner.store.hub.push_to_hub"),
    ):  # fmt: skip
        assert f'id="{name}"' in (site / f"reference/{page}.html").read_text(encoding="utf-8"), name


def test_formulas_are_mathml(site: Path) -> None:
    method = (site / "method.html").read_text(encoding="utf-8")
    assert method.count("<math") > 20
    assert "arithmatex" not in method
    assert formulas.with_mathml('<span class="arithmatex">\\(a &lt; b\\)</span>').count("<mi>") == 2


@pytest.mark.parametrize(
    ("page", "link", "there"),
    [
        ("docs/results.md", "[a](../benchmarks/results/gpu.md#memory)", "[a](benchmarks/results/gpu.md#memory)"),
        ("docs/decisions/0001.md", "[a](../log.md)", "[a](../log.md)"),
        ("benchmarks/results/gpu.md", "[a](../../docs/rules.md)", "[a](../../rules.md)"),
        ("docs/serving.md", "[a](../serve/config.yaml)", "[a](files/serve/config.yaml.md)"),
        ("docs/operating.md", "[a](../cluster)", "[a](cluster/README.md)"),
        ("docs/tour.md", "[`lightner/`](../lightner)", "`lightner/`"),
        ("README.zh-CN.md", "[a](README.md)", "[a](index.md)"),
        ("docs/tutorial.md", "[a](../examples/one.ipynb)", "[a](examples/one.md)"),
        ("examples/one.md", "[a](../docs/rules.md#selection)", "[a](../rules.md#selection)"),
        ("docs/hub.md", "[a](https://example.org/a) [b](#c)", "[a](https://example.org/a) [b](#c)"),
    ],
)
def test_a_link_leads_to_the_place_that_the_site_has_for_it(page: str, link: str, there: str) -> None:
    assert links.Checkout(CHECKOUT).rewritten(link, page) == there


@pytest.mark.parametrize(
    "broken", ["[a](nowhere.md)", "[a](serving.md#nowhere)", "[a](#nowhere)", "[a](../nowhere.yaml)"]
)
def test_a_broken_link_or_anchor_ends_the_build(tmp_path: Path, broken: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text(f"# Home\n\n{broken}\n", encoding="utf-8")
    (tmp_path / "docs/serving.md").write_text("# Serving\n", encoding="utf-8")
    (tmp_path / "mkdocs.yml").write_text(
        f"site_name: x\ntheme: {{name: material, font: false}}\nhooks: [{CHECKOUT}/scripts/docs_site/hooks.py]\n"
        "validation: {anchors: warn, unrecognized_links: warn}\nnav: [index.md, serving.md]\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(tmp_path / "mkdocs.yml")]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "nowhere" in done.stderr
