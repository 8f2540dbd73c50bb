"""Requests to annotate whole files, for tests."""

from __future__ import annotations

import sys
from pathlib import Path

from lightner.jobs.annotation import Request
from lightner.jobs.rows import kind_of
from tests.support.serving import Place


def request(place: Place, source: Path, *, domain: str | None = None) -> Request:
    about = source.stat()
    return Request(
        source=str(source),
        size=about.st_size,
        modified_ns=about.st_mtime_ns,
        kind=kind_of(source),
        domain=domain,
        ref="live",
        registry=place.registry.url,
        backbone=str(place.folder),
    )


def command(place: Place, out: Path, *more: str) -> list[str]:
    return [
        sys.executable, "jobs/annotate.py", "--out", str(out), "--backbone", str(place.folder),
        "--registry", place.registry.url, *more,
    ]  # fmt: skip
