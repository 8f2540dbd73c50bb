"""Code blocks of the documentation, and a shell that runs them as a reader would."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    language: str
    code: str


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    found = _BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(match["language"], match["code"]) for match in found]


@dataclass(slots=True)
class Reader:
    """A reader's shell in a folder: what a block exports is there in the next one."""

    folder: Path
    environment: Mapping[str, str]
    _exported: list[str] = field(default_factory=list)

    def shell(self, code: str, *, timeout_s: float = 1200) -> str:
        """Run a block of shell; returns standard output."""
        return self._run(["bash", "-euc", self._script(code)], timeout_s)

    def python(self, code: str, *, timeout_s: float = 120) -> str:
        """Run a block of Python; returns standard output."""
        return self._run(["python", "-c", code], timeout_s)

    def _script(self, code: str) -> str:
        script = "\n".join([*self._exported, code])
        self._exported += [line for line in code.splitlines() if line.startswith("export ")]
        return script

    def _run(self, command: list[str], timeout_s: float) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=timeout_s
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}{done.stderr}"
        return done.stdout
