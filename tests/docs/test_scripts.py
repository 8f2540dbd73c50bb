"""The path of the virtual environment's Python, which must be our own for any path of the checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.paths import CHECKOUT

SCRIPT = CHECKOUT / "scripts" / "python.sh"


def printed(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", str(SCRIPT)], cwd=folder, capture_output=True, text=True)


@pytest.fixture
def spaced(tmp_path: Path) -> Path:
    folder = tmp_path / "a checkout"
    folder.mkdir()
    return folder


def test_a_path_without_spaces_is_as_it_is(tmp_path: Path) -> None:
    assert printed(tmp_path).stdout == ".venv/bin/python\n"


def test_a_path_with_spaces_is_reached_through_a_link_of_our_own(spaced: Path) -> None:
    for _ in range(2):
        link = Path(printed(spaced).stdout.strip()).parents[2]
        assert " " not in str(link)
        assert link.is_symlink()
        assert link.resolve() == spaced
    link.unlink()


def test_a_file_in_the_place_of_the_link_is_refused(spaced: Path) -> None:
    link = Path(printed(spaced).stdout.strip()).parents[2]
    link.unlink()
    link.mkdir()
    try:
        found = printed(spaced)
    finally:
        for each in link.iterdir():
            each.unlink()
        link.rmdir()
    assert (found.returncode, found.stdout) == (1, "")
    assert f"{link}: found something that is not ours" in found.stderr
