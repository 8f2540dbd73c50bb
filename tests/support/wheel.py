"""The wheel of this checkout, and an environment that has it and the tests' packages, but not the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import CHECKOUT

# The same files as the images copy.
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "lightner")


@dataclass(frozen=True, slots=True)
class Installed:
    """A virtual environment with the wheel, used only by the processes started in it."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def command(self) -> Path:
        """The `lightner` command."""
        return self.folder / "bin" / "lightner"

    def environment(self, **more: str) -> Mapping[str, str]:
        """This process's environment without anything that leads to the checkout or to a Ray."""
        own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "RAY_ADDRESS")}
        return {**own, "PATH": f"{self.folder / 'bin'}{os.pathsep}{own['PATH']}", **more}

    def processes(self, *, patience_s: float) -> list[str]:
        """Processes of this environment's Python that have not ended after so long, other than this one."""
        deadline = time.monotonic() + patience_s
        while (found := list(self._running())) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found

    def _running(self) -> Iterator[str]:
        for each in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                command = each.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if str(self.folder) in command and int(each.parent.name) != os.getpid():
                    yield command


def build(folder: Path) -> Path:
    """Build the wheel in `folder` with the installed build backend, without any network."""
    sources = folder / "sources"
    for name in SOURCES:
        source, target = CHECKOUT / name, sources / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder / "dist"), str(sources))
    [wheel] = (folder / "dist").glob("*.whl")
    return wheel


@contextmanager
def installed() -> Iterator[Installed]:
    """A fresh environment with the wheel, in a folder whose path has no space: Ray starts Python by unquoted paths."""
    folder = Path(tempfile.mkdtemp(prefix="lnw-", dir="/tmp"))
    try:
        made = Installed(folder / "venv")
        venv.create(made.folder, with_pip=False)
        _pip("--python", str(made.python), "install", "--no-deps", "--no-index", str(build(folder)))
        [site] = (made.folder / "lib").glob("python*/site-packages")
        # Only now, or pip would take the checkout's own installation for this one. Files in there that would lead on to
        # the checkout are not read: a .pth file counts in a site's own folder only.
        (site / "tests.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
        yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *words]
    subprocess.run(command, check=True, capture_output=True, text=True)
