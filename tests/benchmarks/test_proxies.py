"""The benchmark of proxies ends the HAProxy that its own Ray left behind, and no other."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from benchmarks import proxies


def test_only_the_haproxy_that_bears_the_mark_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(proxies.MARK, "this one")
    program = tmp_path / "haproxy"
    shutil.copy(shutil.which("sleep") or "", program)
    marked, other, bystander = (
        subprocess.Popen([str(path), "60"], env={**os.environ, proxies.MARK: mark})
        for path, mark in ((program, "this one"), (program, "another"), (Path("/bin/sleep"), "this one"))
    )
    try:
        proxies.end_haproxy()
        assert marked.wait(timeout=10) == -signal.SIGKILL
        assert other.poll() is bystander.poll() is None
    finally:
        for each in (marked, other, bystander):
            each.kill()
            each.wait()
