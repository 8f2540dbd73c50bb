"""Who may import whom: the rooms of `lightner` and their direction (docs/tour.md)."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.imports import FILES, imported, names_in, room
from tests.support.paths import CHECKOUT

DOORS = sorted(path.relative_to(CHECKOUT) for folder in ("jobs", "serve") for path in (CHECKOUT / folder).glob("*.py"))
INSTALLED = {"types", "words"}
# A room may import itself and these. `jobs` and `service` never know each other.
MAY_IMPORT: dict[str, set[str]] = {
    "types": set(),
    "texts": {"types"},
    "thresholds": {"types"},
    "words": {"types"},
    "labels": {"types", "words"},
    "data": {"types", "words"},
    "model": {"types", "words"},
    "tagger": {"types", "texts", "thresholds", "words", "labels", "model"},
    "evaluation": {"types", "words", "data", "model", "tagger"},
    "tuning": {"types", "words", "data", "model", "tagger", "evaluation"},
    "store": {"types", "words", "labels", "data", "model", "tagger", "evaluation", "tuning"},
    "pretraining": {"types", "words", "data", "model", "tagger", "evaluation", "tuning"},
    "client": {"types", "texts", "thresholds"},
}
_LIBRARY = set(MAY_IMPORT) - {"client"}
MAY_IMPORT |= {
    "spacy": _LIBRARY,
    "pipelines": _LIBRARY,
    "jobs": _LIBRARY,
    "service": _LIBRARY,
    "cli": {*_LIBRARY, "client", "jobs", "service"},
}
MAY_IMPORT |= {"__main__": {"cli"}, "__init__": set(MAY_IMPORT)}
# Packages that only some rooms may import.
ONLY_IN = {
    "ray": {"jobs", "service"},
    "fastapi": {"service"},
    "starlette": {"service"},
    "pydantic": {"service"},
    "uvicorn": set[str](),
    "httpx": {"client", "cli"},
    "spacy": {"data", "spacy"},
    "srsly": {"spacy"},
    "click": {"cli"},
    "tests": set[str](),
    "benchmarks": set[str](),
}
HEAVY = ("torch", "transformers", "ray", "datasets", "fastapi", "pandas", "pyarrow", "matplotlib", "spacy")
INTERNALS = {"_attention.py", "_decoder.py", "backbone.py", "batching.py"}


def offences(paths: list[Path], *forbidden: str) -> list[str]:
    return [f"{path}: {name}" for path in paths for name in names_in(path) if name.split(".")[0] in forbidden]


def crosses(path: Path, name: str) -> bool:
    """Whether `name` holds an underscored part that belongs to another package than that of `path`."""
    parts = name.split(".")
    if parts[0] != "lightner":
        return False
    hidden = [index for index, part in enumerate(parts) if part.startswith("_") and not part.startswith("__")]
    return any(path.parent.parts[:index] != tuple(parts[:index]) for index in hidden)


def test_the_walk_sees_every_kind_of_import() -> None:
    source = "import a.b as c\nfrom d.e import f, g\nfrom . import h\nfrom ..i import j\ndef k():\n    import l\n"
    found = sorted(imported(source, "top.sub"))
    assert found == ["a.b", "d.e.f", "d.e.g", "l", "top.i.j", "top.sub.h"]
    assert {"lightner/model/forward.py", "lightner/jobs/tune.py"} <= {path.as_posix() for path in FILES}


def test_every_file_is_in_a_room() -> None:
    assert sorted({room(path) for path in FILES} - set(MAY_IMPORT)) == []


def test_tests_take_from_tests_support_and_never_from_each_other() -> None:
    paths = [path.relative_to(CHECKOUT) for path in (CHECKOUT / "tests").rglob("*.py")]
    names = [(path, name.rpartition(".")[0]) for path in paths for name in names_in(path)]
    assert [f"{path}: {module}" for path, module in names if ".test_" in module] == []


def test_rooms_are_used_in_one_direction() -> None:
    wrong = []
    for path in FILES:
        for name in names_in(path):
            parts = name.split(".")
            if parts[0] == "lightner" and len(parts) > 1 and parts[1] not in {room(path), *MAY_IMPORT[room(path)]}:
                wrong.append(f"{path}: {name}")
    assert wrong == []


@pytest.mark.parametrize("package", sorted(ONLY_IN))
def test_a_package_is_known_to_its_rooms_only(package: str) -> None:
    others = [path for path in FILES if room(path) not in ONLY_IN[package]]
    assert offences(others, package) == []


def test_the_doors_lead_into_the_package_and_nowhere_else() -> None:
    assert {path.name for path in DOORS} == {"tune.py", "evaluate.py", "annotate.py", "pretrain.py", "app.py"}
    for path in DOORS:
        assert {name.split(".")[0] for name in names_in(path)} <= {"lightner", "sys", "pathlib"}
        assert len((CHECKOUT / path).read_text(encoding="utf-8").splitlines()) <= 20


@pytest.mark.parametrize(
    "code",
    [
        "import lightner; lightner.InputError",
        "import lightner.client",
        "import lightner.data.formats",
        "import lightner.store.registry",
        "import lightner.service.schemas",
        "import lightner.service.messages",
        "import lightner.service.settings",
    ],
)
def test_light_modules_load_nothing_heavy(code: str) -> None:
    check = f"{code}\nimport sys; sys.exit(' '.join(name for name in {HEAVY!r} if name in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", check], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_client_needs_its_two_packages_and_python_alone() -> None:
    check = (
        "import lightner.client, sys; print(*{name.split('.')[0] for name in sys.modules} & {'sentencex', 'pydantic'})"
    )
    done = subprocess.run([sys.executable, "-c", check], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""


def test_pure_modules_know_no_torch() -> None:
    pure = [path for path in FILES if room(path) in ("types", "texts", "words", "labels", "data")]
    pure += [Path(f"lightner/{name}.py") for name in ("model/pointers", "tuning/rules", "store/card", "store/lineage")]
    pure += [Path(f"lightner/evaluation/{name}.py") for name in ("metrics", "confusions")]
    assert offences(pure, "torch", "transformers", "tokenizers", "safetensors") == []


def test_the_schemas_stand_alone() -> None:
    assert offences([Path("lightner/service/schemas.py")], "torch", "ray", "transformers", "lightner") == []


def test_no_underscored_name_is_imported_across_packages() -> None:
    assert [f"{path}: {name}" for path in FILES for name in names_in(path) if crosses(path, name)] == []


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [
        ("lightner/jobs/tune.py", "lightner.model._attention.guided", True),
        ("lightner/model/forward.py", "lightner.model._attention.guided", False),
        ("lightner/tagger.py", "lightner.data.formats._tags.spans", True),
        ("lightner/data/formats/conll.py", "lightner.data.formats._tags.spans", False),
        ("lightner/service/app.py", "lightner.tagger._fitted", True),
        ("lightner/tagger.py", "torch._C.x", False),
    ],
)
def test_an_underscored_name_belongs_to_its_package(path: str, name: str, expected: bool) -> None:
    assert crosses(Path(path), name) is expected


def submodules(path: Path) -> list[str]:
    """Modules of transformers below its top that a file imports."""
    found = []
    for node in ast.walk(ast.parse((CHECKOUT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("transformers."):
            found.append(node.module or "")
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.startswith("transformers.")]
    return found


def test_transformers_internals_are_known_to_few_files() -> None:
    for path in FILES:
        if submodules(path):
            assert room(path) == "model", f"{path} imports {submodules(path)}"
            assert path.name in INTERNALS, f"{path} imports {submodules(path)}"
