"""Style of YAML files and duplicate keys: yamllint with the checkout's rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from yamllint import linter
from yamllint.config import YamlLintConfig

from scripts.cluster_check.findings import Finding


def check(places: Iterable[Path], *, rules: Path) -> Iterator[Finding]:
    """Check files, and all YAML files below folders."""
    config = YamlLintConfig(file=str(rules))
    for place in places:
        for file in sorted(place.rglob("*.y*ml")) if place.is_dir() else [place]:
            for each in linter.run(file.read_text(encoding="utf-8"), config):
                yield Finding(file, f"line {each.line}", f"{each.desc} ({each.rule or 'syntax'})")
