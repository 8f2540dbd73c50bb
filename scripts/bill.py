"""A software bill of materials of an environment, as CycloneDX JSON: `python -m scripts.bill PYTHON FILE`.

Lists every package that is installed there, with version, licence and what it requires. Installs nothing: `make dist`
makes an environment that has the wheel, its extras and nothing else.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_OPTIONS = ("--spec-version", "1.6", "--output-format", "JSON", "--gather-license-texts", "--output-reproducible")


def write(python: Path, file: Path, *, validated: bool = True) -> None:
    """Write the bill of the environment of this Python, and hold it against the schema of CycloneDX."""
    checked = "--validate" if validated else "--no-validate"
    command = [sys.executable, "-m", "cyclonedx_py", "environment", *_OPTIONS, checked]
    subprocess.run([*command, "--output-file", str(file), str(python)], check=True)


if __name__ == "__main__":
    write(*map(Path, sys.argv[1:]))
