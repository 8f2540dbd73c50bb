"""A node's home and shell, in which the commands of a cluster-launcher file run as Ray runs them over ssh."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.paths import CHECKOUT

FAKE_TOOL = '#!/bin/sh\necho "$(basename "$0") $*" >> "$HOME/calls"\nenv > "$HOME/environment-of-$(basename "$0")"\n'


def home_of(folder: Path) -> Path:
    """A node's home after copying the files, the newer of two wheels last; `pip` and `ray` only record their calls."""
    tools = folder / ".lightner/venv/bin"
    tools.mkdir(parents=True)
    (folder / ".lightner/ray-token").write_text("secret", encoding="utf-8")
    (folder / "lightner-ray" / "dist").mkdir(parents=True)
    for number, version in enumerate(("0.9.0", "0.0.9")):
        wheel = folder / "lightner-ray" / "dist" / f"lightner_ray-{version}-py3-none-any.whl"
        wheel.touch()
        os.utime(wheel, (number, number))
    (folder / "lightner-ray" / "requirements.txt").symlink_to(CHECKOUT / "requirements.txt")
    # As if pip had installed the package.
    command = f'#!/bin/sh\nPYTHONPATH="{CHECKOUT}" exec "{sys.executable}" -m lightner "$@"\n'
    for name, script in (("pip", FAKE_TOOL), ("ray", FAKE_TOOL), ("lightner", command)):
        (tools / name).write_text(script, encoding="utf-8")
        (tools / name).chmod(0o755)
    return folder


def run(commands: list[str], home: Path, environment: dict[str, str] | None = None) -> str:
    """Run commands one by one in a shell, as Ray's updater does over ssh; returns what they print."""
    base = {"HOME": str(home), "PATH": os.defpath, "RAY_HEAD_IP": "10.0.0.1"}
    done = [
        subprocess.run(
            ["bash", "-c", f"({command})"],
            env={**base, **(environment or {})},
            check=True,
            capture_output=True,
            text=True,
        )
        for command in commands
    ]
    return "".join(each.stdout for each in done)
