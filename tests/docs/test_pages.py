"""What the tutorial, the notebook and the guides have as code runs in an empty folder with the wheel installed.

The notebook does what the tutorial does, so both share one tuning and one service.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest

from lightner.data.formats import read
from tests.support import notebooks, wheel
from tests.support.pages import Block, Reader, blocks
from tests.support.paths import CHECKOUT
from tests.support.wheel import Installed

DOCS = CHECKOUT / "docs"
TUTORIAL = blocks(DOCS / "tutorial.md")
HOME, MOVING = blocks(DOCS / "index.md"), blocks(DOCS / "moving.md")
TOOLS = [each.code for each in blocks(DOCS / "annotation_tools.md")]
NOTEBOOK = CHECKOUT / "examples" / "first_domain.ipynb"
SHELL, WRITE = "%%sh\n", "%%writefile "
SCRIPTS = [each.source.removeprefix(SHELL) for each in notebooks.cells(NOTEBOOK) if each.source.startswith(SHELL)]
INSTALL, TUNE, SERVE, TEACH = "pip install", "lightner tune", "lightner serve\n", "lightner teach\n"
_END = "end of a program"
_ENTITY = re.compile(r"^  (\w+) +(\d+)\.\.(\d+) +(.+?) +[01]\.\d\d$", re.MULTILINE)


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    with wheel.installed() as made:
        yield made


@pytest.fixture
def reader(installed: Installed, tmp_path: Path) -> Reader:
    folder = tmp_path / "an empty folder"
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


def test_the_tutorial_names_the_extras_that_its_commands_need() -> None:
    assert "pip install 'lightner-ray[ray,client]'" in TUTORIAL[index(INSTALL)].code
    assert [each.code for each in TUTORIAL[index(TEACH) :]] == [TEACH]


def test_what_the_home_page_shows_is_of_the_tutorial() -> None:
    assert len(HOME) == 5
    assert [each for each in HOME if each not in TUTORIAL] == []


def test_the_notebook_has_the_files_and_commands_of_the_tutorial() -> None:
    written = [as_shell(each.source) for each in notebooks.cells(NOTEBOOK) if each.source.startswith(WRITE)]
    check, *others = SCRIPTS
    assert TUTORIAL[index("cat > train.jsonl")].code == "\n".join([*written, check, ""])
    assert len(others) == 2
    assert [each for each in others if Block("sh", f"{each}\n") not in TUTORIAL] == []


def as_shell(cell: str) -> str:
    """A cell that writes a file, as the tutorial writes it."""
    name, _, content = cell.removeprefix(WRITE).partition("\n")
    return f"cat > {name} <<'END'\n{content}\nEND"


def test_the_notebook_is_stored_without_outputs_and_in_our_style() -> None:
    stored = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(stored)
    ran = [each for each in stored.cells if each.cell_type == "code" and (each.outputs or each.execution_count)]
    assert ran == []
    for command in ("check", "format --check"):
        words = [sys.executable, "-m", "ruff", *command.split(), "--no-cache", str(NOTEBOOK)]
        done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
        assert done.stderr == "", "found no notebook"


@pytest.mark.ray
def test_the_notebook_and_the_tutorial_from_tuning_to_serving_print_what_they_say(
    reader: Reader, installed: Installed
) -> None:
    reader.shell(TUTORIAL[index("export LIGHTNER_HOME")].code.splitlines()[0])
    page = TUTORIAL[index("lightner tag --labels") : index(SERVE)]
    said = [each.code for each in page if each.language == "text"]
    told = []
    assert "starts and stops" in reader.shell("lightner doctor")
    with notebooks.running(NOTEBOOK, installed, reader.folder, reader.environment) as cells:
        for cell in cells:
            told.append(cell.printed)
            if '"lightner", "serve"' in cell.source:
                ask_as_the_tutorial_does(reader, cell.printed.strip())
    _, asked, _, _, checked, tuned, tagged, scored, _, answered, mixed, stopped = told
    assert entities(asked) == entities(said[0])
    assert len(entities(asked)) == 3
    assert checked == said[1]
    assert "published deliveries v000001 into " in tuned.splitlines()[-1]
    assert "deliveries v000001 on test.jsonl" in scored.splitlines()
    assert "'white paint'" in answered
    assert {"white paint", "Oslo"} <= {text for *_, text in entities(mixed)}
    assert stopped == "0"
    assert installed.processes(patience_s=30) == [], "what was started is still there"
    written = {each.name for each in reader.folder.iterdir()}
    assert written == {"home", "test.jsonl", "train.jsonl"}, "commands write where they run"
    [(shown, _)] = follow(reader, page[-3:-2])
    # Of another kind of processor a tuned prompt may differ a little.
    for found in (tagged, shown):
        assert len(entities(said[2]) & entities(found)) >= len(entities(said[2])) - 1 > 0


def ask_as_the_tutorial_does(reader: Reader, address: str) -> None:
    """Run the blocks that ask a running service, which is at another port than theirs, and other commands."""
    curl, python, printed = TUTORIAL[index(SERVE) + 1 : index(TEACH)]
    host = address.removeprefix("http://")
    [result] = json.loads(reader.shell(curl.code.replace("localhost:8000", host)))["results"]
    assert "white paint" in {each["text"] for each in result["entities"]}
    found = reader.python(python.code.replace("localhost:8000", host)).splitlines()
    said = printed.code.splitlines()
    assert len({*said} & {*found}) >= len(said) - 1 > 0
    tag = "lightner tag --domain deliveries --json 'Ship 25 sacks of cement to Bristol.'"
    here, there = (json.loads(reader.shell(each)) for each in (tag, f"{tag} --url {address}"))
    assert spans(here) == spans(there) != []
    [listed] = json.loads(reader.shell("lightner prompts list --json"))
    assert (listed["domain"], listed["live"]) == ("deliveries", "v000001")


def spans(row: Any) -> list[tuple[int, int, str]]:
    return [(each["start"], each["end"], each["label"]) for each in row["entities"]]


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
