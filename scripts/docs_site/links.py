"""Links of pages that lead out of docs/: which files the site takes in for them, and what they become there.

All paths are relative to the checkout. Knows nothing of MkDocs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from scripts.docs_site import notebooks

DOCS = "docs"
HOME = f"{DOCS}/index.md"
_LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>(?!https?:|mailto:|#)[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
_PICTURES = (".png", ".svg")
_NOTEBOOK = ".ipynb"


@dataclass(frozen=True, slots=True)
class Checkout:
    """The checkout whose pages are read."""

    root: Path

    def reached(self, pages: Iterable[str]) -> set[str]:
        """The files outside docs/ that these pages lead to, directly or through each other."""
        seen = set(pages)
        queue = list(seen)
        while queue:
            page = queue.pop()
            found = {target for target in self._targets(page) if target not in seen}
            seen |= found
            queue += [each for each in found if each.endswith((".md", _NOTEBOOK))]
        return {each for each in seen if not each.startswith(f"{DOCS}/")}

    def rewritten(self, markdown: str, page: str) -> str:
        """The text of a page with links as the site has them; a link to a folder without a page is its text alone."""

        def replaced(match: re.Match[str]) -> str:
            target = self.resolved(page, match["target"])
            if target is None:
                return match["text"]
            start = PurePosixPath(placed(page)).parent
            there = os.path.relpath(placed(target), start)
            return f"[{match['text']}]({there}{match['anchor'] or ''})"

        return _LINK.sub(replaced, markdown)

    def resolved(self, page: str, target: str) -> str | None:
        """The file that a link leads to; of a folder its README.md, None if it has none."""
        path = os.path.normpath(PurePosixPath(page).parent / target)
        if (self.root / path).is_dir():
            path = f"{path}/README.md"
            return path if (self.root / path).is_file() else None
        return HOME if path == "README.md" else path

    def content(self, path: str) -> str:
        """The text of a page of the site for a file that is no page itself."""
        text = (self.root / path).read_text(encoding="utf-8")
        return notebooks.as_markdown(text, PurePosixPath(path).name) if is_notebook(path) else shown(path, text)

    def _targets(self, page: str) -> Iterator[str]:
        text = self.content(page) if is_notebook(page) else (self.root / page).read_text(encoding="utf-8")
        for match in _LINK.finditer(text):
            target = self.resolved(page, match["target"])
            if target is not None and (self.root / target).is_file():
                yield target


def placed(path: str) -> str:
    """Where the site has a file of the checkout. One that is no page, notebook or picture is shown on a page."""
    if path.startswith(f"{DOCS}/"):
        return path.removeprefix(f"{DOCS}/")
    if is_notebook(path):
        return f"{path.removesuffix(_NOTEBOOK)}.md"
    return path if path.endswith((".md", *_PICTURES)) else f"files/{path}.md"


def is_notebook(path: str) -> bool:
    """Whether a file of that path is a notebook, by its suffix."""
    return path.endswith(_NOTEBOOK)


def shown(path: str, content: str) -> str:
    """A page that shows a file."""
    language = PurePosixPath(path).suffix.removeprefix(".") or "text"
    fence = "`" * 6
    return f"---\nsearch: {{exclude: true}}\n---\n\n# `{path}`\n\n{fence}{language}\n{content}\n{fence}\n"
