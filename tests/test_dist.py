"""What `make dist` makes: an sdist that gives the same wheel, and a bill of materials of what is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import lightner
from scripts import bill
from tests.support import wheel
from tests.support.paths import CHECKOUT

PROJECT: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MAKEFILE = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
EXTRAS = sorted(set(PROJECT["optional-dependencies"]) - {"dev"})


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, beside the sources that it was built from."""
    return wheel.build(tmp_path_factory.mktemp("dist"))


def components(file: Path) -> dict[str, dict[str, Any]]:
    """What a bill lists, by name."""
    found = json.loads(file.read_text(encoding="utf-8"))
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    return {canonicalize_name(each["name"]): each for each in found["components"]}


def run(*words: str | Path, folder: Path) -> None:
    done = subprocess.run([sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def content(made: Path) -> dict[str, bytes]:
    """The package's files in a wheel."""
    with zipfile.ZipFile(made) as opened:
        return {name: opened.read(name) for name in opened.namelist() if ".dist-info/" not in name}


def test_an_sdist_gives_the_same_wheel_and_has_no_part_of_the_tests(built: Path, tmp_path: Path) -> None:
    sources = built.parents[1] / "sources"
    shutil.copy2(CHECKOUT / "MANIFEST.in", sources)
    (sources / "tests").mkdir()
    (sources / "tests" / "test_one.py").touch()
    run("build", "--sdist", "--no-isolation", "--outdir", tmp_path, ".", folder=sources)
    [sdist] = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as opened:
        assert [name for name in opened.getnames() if "/tests" in name] == []
    run("pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, sdist, folder=tmp_path)
    [again] = tmp_path.glob("*.whl")
    assert again.name == built.name
    assert content(again) == content(built)


def test_the_bill_of_an_environment_is_valid_and_leads_to_no_folder_of_ours(built: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "installed", with_pip=False)
    python = tmp_path / "installed" / "bin" / "python"
    options = ("--no-deps", "--no-index", "--find-links", built.parent, f"lightner-ray=={lightner.__version__}")
    run("pip", "--python", python, "install", "-q", "--disable-pip-version-check", *options, folder=tmp_path)
    bill.write(python, tmp_path / "bill.json")
    [(name, found)] = components(tmp_path / "bill.json").items()
    assert (name, found["version"]) == ("lightner-ray", lightner.__version__)
    assert found["purl"] == f"pkg:pypi/lightner-ray@{lightner.__version__}"
    assert "Apache-2.0" in {each["license"].get("id") for each in found["licenses"]}
    assert str(tmp_path) not in (tmp_path / "bill.json").read_text(encoding="utf-8")


def test_a_bill_lists_every_requirement_with_its_licence(tmp_path: Path) -> None:
    # Not held against the schema, which takes long for hundreds of packages; `make dist` does.
    bill.write(Path(sys.executable), tmp_path / "bill.json", validated=False)
    found = components(tmp_path / "bill.json")
    extras = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *(line for extra in EXTRAS for line in extras[extra])]
    names = {canonicalize_name(Requirement(line).name) for line in lines}
    assert len(names) > 20
    assert {name for name in names if not found[name]["version"] or not found[name].get("licenses")} == set()


def test_make_dist_installs_every_extra_and_the_torch_that_the_tests_run_with() -> None:
    assert f"EXTRAS := {','.join(EXTRAS)}\n" in MAKEFILE
    assert f"TORCH := torch=={version('torch').partition('+')[0]}\n" in MAKEFILE
