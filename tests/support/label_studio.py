"""A real Label Studio in a folder of its own, where one is installed: it needs an environment of its own.

python -m venv DIR && DIR/bin/pip install label-studio==1.23.2 && export LABEL_STUDIO=DIR/bin/label-studio
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.conftest import free_port

PROGRAM = "LABEL_STUDIO"
KEY = "annotate key"
TEXT = "\N{FORK AND KNIFE} Mary and Ada of Oslo"
CONFIG = """<View><Labels name="ner" toName="words"><Label value="PER" background="red"/><Label value="LOC"/></Labels>
<Text name="words" value="$sentence" granularity="word"/></View>"""
_TOKEN = "0123456789abcdef0123456789abcdef01234567"
_PATIENCE_S = 300.0
# It calls addresses of this machine only if told so.
_ENVIRONMENT = {
    "ML_BLOCK_LOCAL_IP": "false", "SSRF_PROTECTION_ENABLED": "false", "LATEST_VERSION_CHECK": "false",
    "COLLECT_ANALYTICS": "false", "SENTRY_DSN": "", "FRONTEND_SENTRY_DSN": "", "WEBHOOK_TIMEOUT": "60",
    "ML_TIMEOUT_HEALTH": "60", "ML_TIMEOUT_SETUP": "60", "ML_CONNECTION_TIMEOUT": "60",
}  # fmt: skip


@contextmanager
def label_studio(folder: Path) -> Iterator[httpx.Client]:
    """Its HTTP API while it runs."""
    port = free_port()
    command = [os.environ[PROGRAM], "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
    command += ["--username", "ann@example.org", "--password", "not a secret", "--user-token", _TOKEN]
    command.append("--enable-legacy-api-token")
    environment = {**os.environ, **_ENVIRONMENT, "LABEL_STUDIO_BASE_DATA_DIR": str(folder)}
    environment.pop("PYTHONPATH", None)
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    try:
        headers = {"authorization": f"Token {_TOKEN}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=120) as client:
            _wait(client, process, folder / "log")
            yield client
    finally:
        process.terminate()
        process.wait(30)


def asked(client: httpx.Client, method: str, path: str, body: Any = None) -> Any:
    """The answer of its API, which must be a good one."""
    answer = client.request(method, path, json=body)
    assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:2000]}"
    return answer.json() if answer.content else None


def _wait(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        assert process.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < deadline, "Label Studio did not start in time"
        try:
            if client.get("/api/projects").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(1)


def results(words: str, label: str) -> list[dict[str, Any]]:
    """As Label Studio states one span of TEXT: in UTF-16 units, of which its first character takes two."""
    start = TEXT.index(words) + 1
    value = {"start": start, "end": start + len(words), "text": words, "labels": [label]}
    return [{"id": "x1", "from_name": "ner", "to_name": "words", "type": "labels", "value": value, "origin": "manual"}]
