"""The blocks of the tutorial and of guides run in an empty folder with the wheel installed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from lightner.data.formats import read
from tests.conftest import free_port
from tests.support import wheel
from tests.support.pages import Block, Reader, blocks
from tests.support.paths import CHECKOUT
from tests.support.wheel import Installed

DOCS = CHECKOUT / "docs"
TUTORIAL = blocks(DOCS / "tutorial.md")
MOVING = blocks(DOCS / "moving.md")
TOOLS = [each.code for each in blocks(DOCS / "annotation_tools.md")]
INSTALL, TUNE, SERVE, TEACH = "pip install", "lightner tune", "lightner serve\n", "lightner teach\n"
_END = "end of a program"
_ENTITY = re.compile(r"^  (\w+) +(\d+)\.\.(\d+) +(.+?) +[01]\.\d\d$", re.MULTILINE)


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    with wheel.installed() as made:
        yield made


@pytest.fixture
def reader(installed: Installed, tmp_path: Path) -> Reader:
    folder = tmp_path / "empty"
    folder.mkdir()
    given = dict(installed.environment(OMP_NUM_THREADS="1"))
    given.pop("LIGHTNER_REGISTRY", None)
    return Reader(folder, given)


def index(words: str) -> int:
    """The place of the only block of the tutorial that has these words."""
    [found] = [place for place, each in enumerate(TUTORIAL) if words in each.code]
    return found


def follow(reader: Reader, page: list[Block]) -> list[tuple[str, str]]:
    """Run shell blocks; returns what each printed with what the page says after it."""
    told = []
    for block, after in zip(page, [*page[1:], Block("", "")], strict=True):
        if block.language == "sh":
            told.append((reader.shell(block.code), after.code if after.language == "text" else ""))
    return told


def entities(printed: str) -> set[tuple[str, ...]]:
    return {match.groups() for match in _ENTITY.finditer(printed)}


def test_the_tutorial_until_tuning_prints_what_it_says(reader: Reader) -> None:
    first = TUTORIAL[index("lightner doctor") : index(TUNE)]
    _, (asked, said), (checked, report) = follow(reader, first)
    assert entities(asked) == entities(said)
    assert len(entities(said)) == 3
    assert checked == report


def test_the_tutorial_names_the_extras_that_its_commands_need() -> None:
    assert "pip install 'lightner-ray[ray,client]'" in TUTORIAL[index(INSTALL)].code
    assert [each.code for each in TUTORIAL[index(TEACH) :]] == [TEACH]


@pytest.mark.ray
def test_the_tutorial_from_tuning_to_serving_prints_what_it_says(reader: Reader) -> None:
    reader.shell(TUTORIAL[index("export LIGHTNER_HOME")].code.splitlines()[0])
    told = follow(reader, TUTORIAL[index("cat > train.jsonl") : index(SERVE)])
    assert "published deliveries v000001 into " in told[1][0].splitlines()[-1]
    asked, said = told[2]
    # Of another kind of processor a tuned prompt may differ a little.
    assert len(entities(said) & entities(asked)) >= len(entities(said)) - 1 > 0
    curl, python, printed = TUTORIAL[index(SERVE) + 1 : index(TEACH)]
    port = f"{free_port()}"
    with reader.running(TUTORIAL[index(SERVE)].code.replace("serve", f"serve --port {port}")) as address:
        assert address == f"http://127.0.0.1:{port}"
        [result] = json.loads(reader.shell(curl.code.replace("8000", port)))["results"]
        assert "white paint" in {each["text"] for each in result["entities"]}
        found = reader.python(python.code.replace("8000", port)).splitlines()
        said_lines = printed.code.splitlines()
        assert len({*said_lines} & {*found}) >= len(said_lines) - 1 > 0


def test_every_tool_of_the_guide_gives_the_same_sentences(reader: Reader) -> None:
    for code in TOOLS:
        reader.shell(code)
    files = [*sorted(reader.folder.glob("from_*.jsonl")), reader.folder / "label_studio.json"]
    assert len(files) == 6
    for file in files:
        assert_whisked(file)


def test_what_the_guide_for_moving_shows_is_so(reader: Reader) -> None:
    pytest.importorskip("spacy", reason="spaCy is not installed (pip install 'lightner-ray[spacy]')")
    programs = [
        (block.code, after.code if after.language == "text" else "")
        for block, after in pairwise(MOVING)
        if block.language == "python"
    ]
    # In one process: each import of torch takes seconds.
    printed = reader.python(f"\nprint({_END!r})\n".join(code for code, _ in programs))
    assert printed.split(f"{_END}\n") == [said for _, said in programs]
    assert sum(bool(said) for _, said in programs) == 3
    for block in MOVING:
        if block.language == "sh":
            reader.shell(block.code)
    files = [*sorted(reader.folder.glob("from_*.jsonl")), reader.folder / "again.json"]
    assert len(files) == 4
    for file in files:
        assert_whisked(file)


def assert_whisked(file: Path) -> None:
    """The two sentences that the guides have in every format."""
    first, second = read(str(file))
    assert [(each.start, each.end, each.label) for each in first.spans] == [(1, 2, "quantity"), (2, 3, "ingredient")]
    assert second.words == ("Bake", "it", ".")
    assert second.spans == ()
