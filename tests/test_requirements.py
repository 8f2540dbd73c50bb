"""Requirements equal imports: base requirements those of the library, extras those of the other rooms."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lightner.cli.program import EXTRAS
from lightner.jobs.options import TRACKERS
from tests.support.imports import FILES, names_in, room
from tests.support.paths import CHECKOUT

PROJECT: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRA_OF = {"jobs": "ray", "service": "ray", "client": "client", "pretraining": "pretrain", "spacy": "spacy"}
# Packages of an extra that another room imports where a user's file asks for them.
ON_REQUEST = {"spacy"}


def asked(*extras: str) -> set[str]:
    lines = [*PROJECT["dependencies"], *(line for each in extras for line in PROJECT["optional-dependencies"][each])]
    return {canonicalize_name(Requirement(line).name) for line in lines}


@cache
def distributions() -> Mapping[str, list[str]]:
    """What is installed, by the packages that it has; read once, since it takes seconds."""
    return packages_distributions()


@cache
def imported(*rooms: str) -> dict[str, str]:
    """Packages that modules in these rooms import, wherever in them, with their distributions."""
    known = distributions()
    names = {name.split(".")[0] for path in FILES if room(path) in rooms for name in names_in(path)}
    return {name: canonicalize_name(known[name][0]) for name in names - {*sys.stdlib_module_names, "lightner"}}


LIBRARY = sorted({room(path) for path in FILES} - set(EXTRA_OF))


def test_base_requirements_are_those_of_the_library_and_its_command() -> None:
    assert set(imported(*LIBRARY).values()) - ON_REQUEST == asked()


@pytest.mark.parametrize("extra", sorted(set(EXTRA_OF.values())))
def test_an_extra_brings_what_its_rooms_import_beyond_the_base(extra: str) -> None:
    rooms = [name for name, brings in EXTRA_OF.items() if brings == extra]
    assert set(imported(*rooms).values()) - asked() == asked(extra) - asked()


def test_a_missing_package_of_an_extra_is_answered_by_a_command_that_needs_it() -> None:
    beyond = {name for name, brought in imported(*EXTRA_OF).items() if brought not in asked()}
    assert beyond == set(EXTRAS)
    assert all(imported(*EXTRA_OF)[name] in asked(extra) for name, extra in EXTRAS.items())


def test_the_extra_for_logging_brings_every_tracker() -> None:
    assert asked("log") - asked() == set(TRACKERS.values())


def test_no_requirement_of_an_extra_is_in_the_base() -> None:
    for extra in ("ray", "client", "log", "pretrain", "spacy"):
        lines = PROJECT["optional-dependencies"][extra]
        assert {canonicalize_name(Requirement(line).name) for line in lines} & asked() == set()


def test_no_process_of_ray_loads_a_grammar_at_its_start() -> None:
    # Ray loads jsonschema, which loads rfc3987-syntax where it is installed: a second of every process.
    pinned = (CHECKOUT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in pinned if "rfc3987" in line and not line.startswith("#")] == []
    assert find_spec("rfc3987_syntax") is None, "an earlier .venv keeps it: pip uninstall rfc3987-syntax"
