"""A Jupyter notebook as a page: its text, and its code as fenced blocks."""

from __future__ import annotations

import json

_FENCE = "`" * 4


def as_markdown(notebook: str, name: str) -> str:
    """The cells of a notebook of this file name, without outputs, after a link to the file itself."""
    parts = [_shown(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(notebook)["cells"]]
    # HTML, since a link in Markdown would lead to this page.
    link = f'<a href="{name}" download>Download this notebook</a>'
    title, *rest = parts
    first, _, text = title.partition("\n\n")
    return "\n\n".join([first, link, text, *rest]) + "\n"


def _shown(kind: str, source: str) -> str:
    if kind != "code":
        return source
    language = "sh" if source.startswith("%%sh") else "text" if source.startswith("%%") else "python"
    return f"{_FENCE}{language}\n{source}\n{_FENCE}"
