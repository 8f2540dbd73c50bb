"""Files of the package, its scripts, benchmarks and tests stay short (CONTRIBUTING.md, rules of the house)."""

from __future__ import annotations

import pytest

from tests.support.paths import CHECKOUT

FOLDERS = ("lightner", "jobs", "serve", "scripts", "benchmarks", "tests")
SUFFIXES = {".py", ".js"}
TOO_LONG = 400


@pytest.mark.parametrize("folder", FOLDERS)
def test_files_stay_under_400_lines(folder: str) -> None:
    paths = [path for path in (CHECKOUT / folder).rglob("*") if path.suffix in SUFFIXES]
    lengths = {str(path.relative_to(CHECKOUT)): len(path.read_text("utf-8").splitlines()) for path in paths}
    assert lengths, f"{folder} has no files"
    assert {path: length for path, length in lengths.items() if length >= TOO_LONG} == {}
