"""The wheel alone, in a fresh environment: its files, its component for spaCy, its backbone.

tests/docs/test_pages.py tunes, serves and asks with it.
"""

from __future__ import annotations

import json
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import lightner
from tests.support import wheel
from tests.support.paths import CHECKOUT
from tests.support.tiny import save, tiny_backbone
from tests.support.wheel import Installed


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(tmp_path: Path) -> None:
    made = wheel.build(tmp_path)
    with zipfile.ZipFile(made) as content:
        found = {name for name in content.namelist() if ".dist-info/" not in name}
    done = subprocess.run(["git", "ls-files", "lightner"], cwd=CHECKOUT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("this checkout has no git")
    tracked = set(done.stdout.splitlines())
    assert found == {name for name in tracked if (CHECKOUT / name).exists()}
    assert "lightner/py.typed" in found
    assert made.name.split("-")[1] == lightner.__version__


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    with wheel.installed() as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a space in its path, with a tiny backbone; the home lies beside it."""
    made = tmp_path_factory.mktemp("wheel") / "my work"
    made.mkdir()
    tiny = tiny_backbone()
    save(tiny, made / "tiny")
    return made


class Machine:
    """Commands in the folder, as a user of the wheel runs them."""

    def __init__(self, installed: Installed, folder: Path) -> None:
        self._installed = installed
        self.folder = folder
        self.home = folder.parent / "home of mine"
        self.environment = installed.environment(LIGHTNER_HOME=str(self.home), OMP_NUM_THREADS="1")

    def run(self, *words: str, timeout_s: float = 400) -> str:
        done = subprocess.run(
            [self._installed.command, *words], cwd=self.folder, env=self.environment, capture_output=True, text=True,
            timeout=timeout_s,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def machine(installed: Installed, folder: Path) -> Machine:
    return Machine(installed, folder)


def test_the_environment_has_the_wheel_and_not_the_checkout(installed: Installed, machine: Machine) -> None:
    code = "import lightner, sys; print(lightner.__file__); print(*sys.path, sep='\\n')"
    done = subprocess.run(
        [installed.python, "-c", code], cwd=machine.folder, env=machine.environment, capture_output=True, text=True
    )
    file, *path = done.stdout.splitlines()
    assert file.startswith(f"{installed.folder}/")
    assert str(CHECKOUT) not in path
    assert machine.run("--version") == f"{lightner.__version__}\n"


def test_spacy_finds_the_component_of_the_wheel(installed: Installed, machine: Machine) -> None:
    pytest.importorskip("spacy", reason="spaCy is not installed (pip install 'lightner-ray[spacy]')")
    code = (
        "import spacy; nlp = spacy.blank('en'); "
        "pipe = nlp.add_pipe('lightner', config={'labels': ['person', 'city'], 'backbone': 'tiny'}); "
        "print(pipe.labels); print(nlp('Ada met Bob.').has_annotation('ENT_IOB'))"
    )
    done = subprocess.run(
        [installed.python, "-c", code], cwd=machine.folder, env=machine.environment, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == ["('person', 'city')", "True"], done.stderr


def test_the_embedded_backbone_comes_with_the_wheel(machine: Machine) -> None:
    found = {each["subject"]: each for each in json.loads(machine.run("doctor", "--quick", "--json"))}
    assert found["backbone"]["found"].startswith("embedded, ")
    assert found["lightner"]["found"].endswith("site-packages/lightner")
