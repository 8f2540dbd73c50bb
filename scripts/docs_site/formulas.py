"""Formulas as MathML, which browsers show by themselves: no script, no font."""

from __future__ import annotations

import html
import re

from latex2mathml.converter import convert

_FORMULA = re.compile(r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<tex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL)


def with_mathml(page: str) -> str:
    """A page of HTML in which each formula that `pymdownx.arithmatex` has marked is MathML."""
    return _FORMULA.sub(lambda match: convert(html.unescape(match["tex"])), page)
