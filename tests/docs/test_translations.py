"""Translated pages have the code blocks of the English ones, and lead to each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.paths import CHECKOUT

PAIRS = [("README.md", "README.zh-CN.md"), ("docs/tutorial.md", "docs/zh/tutorial.md")]
_FENCED = re.compile(r"^```\w+\n.*?^```$", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?<=\n\n)(?: {4}.*\n)+")
_TABLE_FIGURES = re.compile(r"^\|[^|]*\|[^|]*?(\d+)[^|]*\|((?:[\d,. ]+\|){4})$", re.MULTILINE)


def code(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return [*_FENCED.findall(text), *_INDENTED.findall(_FENCED.sub("", text))]


@pytest.mark.parametrize(("english", "translated"), PAIRS)
def test_code_blocks_are_the_same(english: str, translated: str) -> None:
    found = code(CHECKOUT / english)
    assert len(found) >= 6
    assert code(CHECKOUT / translated) == found


@pytest.mark.parametrize(("english", "translated"), PAIRS)
def test_parts_are_the_same(english: str, translated: str) -> None:
    pages = [(CHECKOUT / each).read_text(encoding="utf-8") for each in (english, translated)]
    first, second = (
        [len(each) for each in re.findall(r"^(#+) ", _FENCED.sub("", page), re.MULTILINE)] for page in pages
    )
    assert first == second


def test_figures_of_the_readme_are_the_same() -> None:
    english, translated = ((CHECKOUT / each).read_text(encoding="utf-8") for each in PAIRS[0])
    found = _TABLE_FIGURES.findall(english)
    assert len(found) == 4
    assert _TABLE_FIGURES.findall(translated) == found


def test_the_readmes_lead_to_each_other() -> None:
    first, second = ((CHECKOUT / each).read_text(encoding="utf-8").splitlines()[0] for each in PAIRS[0])
    assert "(README.zh-CN.md)" in first
    assert "(README.md)" in second
