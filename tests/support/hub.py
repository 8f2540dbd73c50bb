"""A stand-in for the Hugging Face hub: as much of its HTTP interface as making, filling and reading repositories takes.

huggingface_hub itself talks to it, in another process, by `HF_ENDPOINT`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_of_the_tests"


@dataclass
class Hub:
    """Repositories by name: commits in order, each all files by path."""

    url: str = ""
    repositories: dict[str, list[dict[str, bytes]]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def files(self, name: str, revision: str = "main") -> dict[str, bytes] | None:
        """The files of a revision: `main`, or the sha of a commit."""
        commits = self.repositories.get(name, [])
        if revision == "main":
            return commits[-1] if commits else None
        return next((each for number, each in enumerate(commits) if sha(name, number) == revision), None)

    def head(self, name: str) -> str:
        return sha(name, len(self.repositories[name]) - 1)

    def edit(self, name: str, path: str, content: bytes) -> None:
        """A commit that somebody makes on the hub's own pages."""
        self.repositories[name].append({**self.repositories[name][-1], path: content})


def sha(name: str, number: int) -> str:
    return hashlib.sha1(f"{name} {number}".encode(), usedforsecurity=False).hexdigest()


@contextmanager
def running() -> Iterator[Hub]:
    """A hub on a free port of this machine."""
    hub = Hub()

    class Handler(_Handler):
        of = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    of: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._read()

    def do_HEAD(self) -> None:
        self._read()

    def do_POST(self) -> None:
        body = self._body()
        parts = self.path.partition("?")[0].strip("/").split("/")
        if parts == ["api", "validate-yaml"]:
            self._answer({})
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer({"error": "Invalid credentials"}, 401)
        elif parts == ["api", "repos", "create"]:
            given = json.loads(body)
            name = f"{given['organization']}/{given['name']}"
            status = 409 if name in self.of.repositories else 200
            self.of.repositories.setdefault(name, [{".gitattributes": b""}])
            self._answer({"url": f"{self.of.url}/{name}", "id": name}, status)
        elif parts[:2] == ["api", "models"] and parts[4:5] == ["preupload"]:
            files = json.loads(body)["files"]
            plan = [{"path": each["path"], "uploadMode": "regular", "shouldIgnore": False} for each in files]
            self._answer({"files": plan})
        elif parts[:2] == ["api", "models"] and parts[4:5] == ["commit"]:
            self._answer(self._commit("/".join(parts[2:4]), body))
        else:
            self._answer({"error": "not found"}, 404)

    def _commit(self, name: str, body: bytes) -> dict[str, Any]:
        lines = [json.loads(line) for line in body.splitlines() if line.strip()]
        added = {
            each["value"]["path"]: base64.b64decode(each["value"]["content"]) for each in lines if each["key"] == "file"
        }
        self.of.repositories[name].append({**self.of.repositories[name][-1], **added})
        head = self.of.head(name)
        return {
            "success": True,
            "commitOid": head,
            "commitUrl": f"{self.of.url}/{name}/commit/{head}",
            "hookOutput": "",
        }

    def _read(self) -> None:
        parts = self.path.partition("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"] and len(parts) >= 4:
            name = "/".join(parts[2:4])
            revision = parts[5] if len(parts) > 5 else "main"
            files = self.of.files(name, revision)
            if files is None:
                self._missing(name)
            elif parts[4:5] == ["tree"]:
                self._answer([{"type": "file", "path": path, "size": len(files[path]), "oid": ""} for path in files])
            else:
                siblings = [{"rfilename": path} for path in files]
                found = self.of.head(name) if revision == "main" else revision
                self._answer({"id": name, "modelId": name, "sha": found, "siblings": siblings, "private": False})
        elif len(parts) >= 5 and parts[2] == "resolve":
            name, revision, path = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
            files = self.of.files(name, revision)
            if files is None or path not in files:
                self._missing(name, "EntryNotFound" if files else "RepoNotFound")
            else:
                self._send(files[path], 200, name=name, revision=revision)
        else:
            self._answer({"error": "not found"}, 404)

    def _missing(self, name: str, code: str = "RepoNotFound") -> None:
        if code == "RepoNotFound" and name in self.of.repositories:
            code = "RevisionNotFound"
        self._send(json.dumps({"error": code}).encode(), 404, code=code)

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().strip(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _answer(self, value: object, status: int = 200) -> None:
        self._send(json.dumps(value).encode(), status)

    def _send(self, content: bytes, status: int, *, name: str = "", revision: str = "", code: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if name:
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", self.of.head(name) if revision == "main" else revision)
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *words: object) -> None:
        self.of.requests.append(f"{self.command} {self.path}")
