"""Who may import whom: the direction of dependencies that docs/architecture.md draws."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("lightner", "jobs", "serve")
FILES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
CLIENT = Path("lightner/client.py")
INTERNALS = {
    "lightner/_attention.py": "transformers.",
    "lightner/backbone.py": "transformers.",
    "lightner/batching.py": "transformers.",
    "lightner/_decoder.py": "transformers.",
}


def imported(source: str, package: str) -> Iterator[str]:
    """Full dotted names of everything that a module of `package` imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*parent, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def names_in(path: Path) -> list[str]:
    return list(imported((ROOT / path).read_text(encoding="utf-8"), ".".join(path.parent.parts)))


def below(path: Path, *folders: str) -> bool:
    return path.parts[0] in folders


def offences(paths: list[Path], *forbidden: str) -> list[str]:
    return [f"{path}: {name}" for path in paths for name in names_in(path) if name.split(".")[0] in forbidden]


def crosses(path: Path, name: str) -> bool:
    """Whether `name` holds an underscored part that belongs to another package than that of `path`."""
    parts = name.split(".")
    if parts[0] not in PACKAGES:
        return False
    hidden = [index for index, part in enumerate(parts) if part.startswith("_") and not part.startswith("__")]
    return any(path.parent.parts[:index] != tuple(parts[:index]) for index in hidden)


def test_the_walk_sees_every_kind_of_import() -> None:
    source = "import a.b as c\nfrom d.e import f, g\nfrom . import h\nfrom ..i import j\ndef k():\n    import l\n"
    found = sorted(imported(source, "top.sub"))
    assert found == ["a.b", "d.e.f", "d.e.g", "l", "top.i.j", "top.sub.h"]
    assert {"lightner/model.py", "jobs/tune.py"} <= {path.as_posix() for path in FILES}


def test_the_library_knows_no_ray_and_no_http() -> None:
    library = [path for path in FILES if below(path, "lightner") and path != CLIENT]
    assert offences(library, "ray", "fastapi", "pydantic", "starlette", "httpx", "uvicorn") == []
    assert offences(library, "jobs", "serve", "tests", "benchmarks") == []


def test_the_client_knows_http_but_nothing_that_runs_a_model() -> None:
    heavy = ("ray", "torch", "transformers", "datasets", "fastapi", "pydantic", "jobs", "serve")
    assert offences([CLIENT], *heavy) == []
    check = f"import sys, lightner.client; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_the_wire_contract_knows_no_torch_and_no_ray() -> None:
    schemas = Path("serve/schemas.py")
    assert (ROOT / schemas).exists()
    assert offences([schemas], "torch", "ray", "transformers", "lightner") == []


def test_jobs_and_serve_do_not_know_each_other_and_nothing_knows_the_tests() -> None:
    assert offences([path for path in FILES if below(path, "jobs")], "serve") == []
    assert offences([path for path in FILES if below(path, "serve")], "jobs") == []
    assert offences(FILES, "tests", "benchmarks") == []


def test_pure_modules_know_no_torch() -> None:
    names = ("types", "words", "sampling", "pointers", "metrics", "rules", "check", "card")
    pure = [Path(f"lightner/{name}.py") for name in names]
    pure += [path for path in FILES if path.parts[:2] == ("lightner", "formats")]
    assert offences(pure, "torch", "transformers", "tokenizers", "safetensors") == []


def test_no_underscored_name_is_imported_across_packages() -> None:
    assert [f"{path}: {name}" for path in FILES for name in names_in(path) if crosses(path, name)] == []


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [
        ("jobs/tune.py", "lightner._attention.guided", True),
        ("lightner/pretraining/loop.py", "lightner._attention.guided", False),
        ("lightner/tagger.py", "lightner.formats._tags.spans", True),
        ("lightner/formats/conll.py", "lightner.formats._tags.spans", False),
        ("serve/app.py", "lightner.tagger._fitted", True),
        ("lightner/tagger.py", "torch._C.x", False),
    ],
)
def test_an_underscored_name_belongs_to_its_package(path: str, name: str, expected: bool) -> None:
    assert crosses(Path(path), name) is expected


def submodules(path: Path) -> list[str]:
    """Modules of transformers below its top that a file imports."""
    found = []
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("transformers."):
            found.append(node.module or "")
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.startswith("transformers.")]
    return found


def test_transformers_internals_are_known_to_few_files() -> None:
    for path in FILES:
        allowed = INTERNALS.get(path.as_posix())
        for module in submodules(path):
            assert allowed is not None, f"{path} imports {module}"
            assert module.startswith(allowed), f"{path} imports {module}"
