"""MkDocs calls these functions at a build, by their names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

from scripts.docs_site import formulas, links, routes

_ROUTES = "reference/http.md"
_PATH = re.compile(r"<code>([^<]*/[^<]*)</code>")


def on_config(config: MkDocsConfig) -> None:
    """Write out `FOLDER/*` and notebooks in the navigation."""
    config.nav = _written_out(config.nav, _root(config))


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages of other folders that are in the navigation or that a page leads to."""
    checkout = links.Checkout(_root(config))
    own = [f"{links.DOCS}/{each.src_uri}" for each in files.documentation_pages()]
    places = set(_pages(config.nav))
    named = [each for each in places if (checkout.root / each).is_file()]
    for path in sorted(checkout.reached([*own, *named])):
        where = links.placed(path)
        level = InclusionLevel.INCLUDED if where in places else InclusionLevel.NOT_IN_NAV
        as_it_is: dict[str, Any] = {"abs_src_path": str(checkout.root / path)}
        given = as_it_is if where == path else {"content": checkout.content(path)}
        files.append(File.generated(config, where, inclusion=level, **given))
        if links.is_notebook(path):
            files.append(File.generated(config, path, **as_it_is))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make links those of the site, and write the routes of the service into their page."""
    if page.file.src_uri == _ROUTES:
        return f"{markdown}\n{routes.described()}"
    if page.file.src_uri.startswith("files/"):
        return markdown
    root = _root(config)
    inside = f"{links.DOCS}/{page.file.src_uri}"
    return links.Checkout(root).rewritten(markdown, inside if (root / inside).is_file() else page.file.src_uri)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make formulas MathML, and let paths break after their slashes: cells of tables would be too wide for phones."""
    broken = _PATH.sub(lambda match: match[0].replace("/", "/<wbr>", match[1].count("/")), content)
    return formulas.with_mathml(broken)


def _root(config: MkDocsConfig) -> Path:
    return Path(config.config_file_path).parent


def _written_out(nav: Any, root: Path) -> Any:
    """A part of the navigation in which `FOLDER/*` is the list of the folder's pages, and a notebook is its page."""
    if isinstance(nav, list):
        return [_written_out(each, root) for each in nav]
    if isinstance(nav, dict):
        return {name: _written_out(each, root) for name, each in nav.items()}
    if links.is_notebook(nav):
        return links.placed(nav)
    if not nav.endswith("/*"):
        return nav
    folder = nav.removesuffix("/*")
    base = root / links.DOCS if (root / links.DOCS / folder).is_dir() else root
    return [each.relative_to(base).as_posix() for each in sorted((base / folder).glob("*.md"))]


def _pages(nav: Any) -> list[str]:
    if isinstance(nav, dict):
        nav = list(nav.values())
    return [page for each in nav for page in _pages(each)] if isinstance(nav, list) else [nav]
