"""The wheel alone, in a fresh environment and an empty folder: tune, serve, request, tag, evaluate, list, doctor."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import lightner
from tests.support import wheel
from tests.support.paths import CHECKOUT
from tests.support.tiny import tiny_backbone
from tests.support.wheel import Installed

PIN = "{steps: 8, rounds: 2, folds: 2, batch_size: 8, reparametrisation_width: 8, warm_up_steps: 2}"
TEXT = "Whisk 150 g of sugar with two eggs for five minutes."


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
    """A folder with a space in its path, with an example file, a tiny backbone and pins; the home lies beside it."""
    made = tmp_path_factory.mktemp("wheel") / "my work"
    made.mkdir()
    for name in ("train.conll", "test.conll"):
        shutil.copy2(CHECKOUT / "examples" / "recipes" / name, made)
    tiny = tiny_backbone()
    tiny.model.save_pretrained(made / "tiny")
    tiny.tokenizer.save_pretrained(made / "tiny")
    (made / "pin.yaml").write_text(PIN, encoding="utf-8")
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

    @contextlib.contextmanager
    def serving(self, *words: str) -> Iterator[str]:
        """The address of `lightner serve`, which is ended as by `kill`."""
        command = [self._installed.command, "serve", "--port", "0", *words]
        with (self.folder / "serve.log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            assert address, (self.folder / "serve.log").read_text()
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait(timeout=90)
            process.stdout.close()
        assert status == 0, (self.folder / "serve.log").read_text()


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


@pytest.mark.ray
def test_a_user_of_the_wheel_tunes_serves_tags_and_scores(installed: Installed, machine: Machine) -> None:
    found = {each["subject"]: each for each in json.loads(machine.run("doctor", "--json", "--backbone", "tiny"))}
    assert found["ray"]["found"].endswith("starts and stops")
    assert {each["state"] for each in found.values()} <= {"ok", "warning"}

    options = ("--backbone", "tiny", "--pin", "pin.yaml", "--lengths", "2", "--rates", "0.01")
    printed = machine.run("tune", "--train", "train.conll", "--domain", "recipes", *options)
    assert printed.splitlines()[-1] == f"published recipes v000001 into {machine.home / 'registry'}"

    [listed] = json.loads(machine.run("prompts", "list", "--json"))
    assert (listed["domain"], listed["live"]) == ("recipes", "v000001")
    card = json.loads(machine.run("prompts", "show", "recipes", "--json"))["card"]
    assert card["tuning"]["folds"] == 2

    here = json.loads(machine.run("tag", "--domain", "recipes", "--backbone", "tiny", "--json", TEXT))
    with machine.serving("--backbone", "tiny") as url:
        answer = httpx.post(f"{url}/v1/domains/recipes/entities", json={"texts": [TEXT]}, timeout=60)
        assert answer.status_code == 200, answer.text
        assert spans(answer.json()["results"][0]) == spans(here)
        assert httpx.get(f"{url}/", timeout=60).headers["content-type"].startswith("text/html")
        there = json.loads(machine.run("tag", "--domain", "recipes", "--url", url, "--json", TEXT))
        assert spans(there) == spans(here)
    # A helper of Ray's dashboard ends by itself when that is gone.
    assert installed.processes(patience_s=30) == [], "what was started is still there"

    scores = machine.run("evaluate", "--domain", "recipes", "--test", "test.conll", "--backbone", "tiny")
    assert "recipes v000001 on test.conll" in scores.splitlines()
    assert "ingredient" in scores
    assert sorted(each.name for each in machine.folder.iterdir()) == [
        "pin.yaml", "serve.log", "test.conll", "tiny", "train.conll"
    ], "nothing is written where a command is run"  # fmt: skip


def spans(row: Any) -> list[tuple[int, int, str]]:
    return [(each["start"], each["end"], each["label"]) for each in row["entities"]]


def test_the_embedded_backbone_comes_with_the_wheel(machine: Machine) -> None:
    found = {each["subject"]: each for each in json.loads(machine.run("doctor", "--quick", "--json"))}
    assert found["backbone"]["found"].startswith("embedded, ")
    assert found["lightner"]["found"].endswith("site-packages/lightner")
