"""Findings of checks, and reasons why a check could not run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Tree = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault: its file, its key or line, and a description."""

    file: Path
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: {self.message}"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A check that could not run here, and what it needs."""

    check: str
    reason: str

    def __str__(self) -> str:
        return f"{self.check}: {self.reason}"


@dataclass(slots=True)
class Report:
    """The findings of all checks together."""

    findings: list[Finding] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def add(self, outcomes: Iterable[Finding | Skipped]) -> None:
        for each in outcomes:
            if isinstance(each, Finding):
                self.findings.append(each)
            elif each not in self.skipped:
                self.skipped.append(each)


def documents(file: Path) -> tuple[list[Tree], list[Finding]]:
    """The file's YAML documents that are mappings; anything else is a finding."""
    try:
        loaded = [each for each in yaml.safe_load_all(file.read_text(encoding="utf-8")) if each is not None]
    except (OSError, yaml.YAMLError) as error:
        return [], [Finding(file, _line(error), " ".join(str(error).split()))]
    wrong = [Finding(file, f"document {n}", "expected a mapping") for n, d in enumerate(loaded) if type(d) is not dict]
    return [each for each in loaded if type(each) is dict], wrong


def walk(node: Any, path: str = "") -> Iterator[tuple[str, Tree]]:
    """Every mapping in a document with its path, itself first."""
    if isinstance(node, Mapping):
        yield path, dict(node)
        for name, child in node.items():
            yield from walk(child, f"{path}.{name}".lstrip("."))
    elif isinstance(node, list):
        for number, child in enumerate(node):
            yield from walk(child, f"{path}.{number}".lstrip("."))


def _line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}" if mark else "whole file"
