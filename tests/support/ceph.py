"""A throw-away Ceph object gateway (RadosGW): one monitor, one store in memory, one gateway, on the loopback interface.

A second, independent implementation of S3 beside moto. Needs Debian's `PACKAGES`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import boto3

PACKAGES = ("ceph-mon", "ceph-osd", "radosgw", "ceph-common")
PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph-authtool", "monmaptool", "ceph")
KEYS = {"AWS_ACCESS_KEY_ID": "lightner", "AWS_SECRET_ACCESS_KEY": "throw-away"}
START_S = 90

_CONFIG = """
[global]
fsid = {cluster}
mon host = {monitor}
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
public addr = 127.0.0.1
cluster addr = 127.0.0.1
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
mon allow pool size one = true
mon max pg per osd = 1000
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 1073741824
keyring = {folder}/keyring
mon data = {folder}/mon
osd data = {folder}/osd
run dir = {folder}
pid file = {folder}/$type.$id.pid
admin socket = {folder}/$type.$id.asok
log file = {folder}/$type.$id.log
"""
_KEYS = (
    ("mon.", "mon", "allow *"),
    ("client.admin", "mon", "allow *", "osd", "allow *", "mgr", "allow *"),
    ("osd.0", "mon", "allow profile osd", "osd", "allow *"),
    ("client.gateway", "mon", "allow rw", "osd", "allow rwx"),
)


def missing() -> list[str]:
    """Required programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


class Gateway:
    """A running gateway at `host:port`; `folder` is empty, private, and has a short path."""

    keys = KEYS

    def __init__(self, folder: Path, *, port: int, monitor_port: int) -> None:
        self.host, self.port = "127.0.0.1", port
        self._folder = folder
        self._stack = ExitStack()
        self._monitor = f"[v2:127.0.0.1:{monitor_port}]"
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def create_bucket(self, name: str) -> None:
        keys = (KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"])
        client = boto3.client(
            "s3",
            endpoint_url=f"http://{self.host}:{self.port}",
            region_name="us-east-1",
            aws_access_key_id=keys[0],
            aws_secret_access_key=keys[1],
        )
        client.create_bucket(Bucket=name)
        client.close()

    def stop(self) -> None:
        for file in self._folder.glob("*.pid"):
            with suppress(OSError, ValueError):
                os.kill(int(file.read_text()), signal.SIGKILL)
        self._stack.close()

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        """WSGI: pass a request on as it came, signature included."""
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        connection = HTTPConnection(self.host, self.port, timeout=30)
        connection.putrequest(environ["REQUEST_METHOD"], environ["REQUEST_URI"], True, True)
        for name, value in environ.items():
            if name.startswith("HTTP_") and name != "HTTP_CONNECTION":
                connection.putheader(name.removeprefix("HTTP_").replace("_", "-").lower(), value)
        if environ.get("CONTENT_TYPE"):
            connection.putheader("content-type", environ["CONTENT_TYPE"])
        connection.putheader("content-length", str(length))
        connection.endheaders(body)
        with connection.getresponse() as answer:
            headers = [(k, v) for k, v in answer.getheaders() if k.lower() not in ("connection", "transfer-encoding")]
            content = answer.read()
            start(f"{answer.status} {answer.reason}", headers)
        connection.close()
        return [content]

    def _start(self) -> None:
        folder, cluster, store = self._folder, str(uuid.uuid4()), str(uuid.uuid4())
        for name in ("mon", "osd"):
            (folder / name).mkdir()
        config = _CONFIG.format(cluster=cluster, folder=folder, monitor=self._monitor)
        (folder / "ceph.conf").write_text(config)
        for index, (name, *capabilities) in enumerate(_KEYS):
            create = ["--create-keyring"] if index == 0 else []
            caps = [
                part for pair in zip(capabilities[::2], capabilities[1::2], strict=True) for part in ("--cap", *pair)
            ]
            self._run("ceph-authtool", *create, "keyring", "--gen-key", "-n", name, *caps)
        self._run("monmaptool", "--create", "--fsid", cluster, "--addv", "a", self._monitor, "monmap")
        self._ceph("ceph-mon", "--mkfs", "-i", "a", "--monmap", "monmap", "--keyring", "keyring")
        self._ceph("ceph-mon", "-i", "a")
        self._ceph("ceph", "osd", "new", store)
        self._ceph("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", store)
        self._ceph("ceph", "osd", "crush", "add", "osd.0", "1.0", "root=default", "host=here")
        self._ceph("ceph-osd", "-i", "0")
        frontend = f"beast endpoint={self.host}:{self.port}"
        gateway = ["radosgw", "-c", "ceph.conf", "-f", "-n", "client.gateway", "--rgw-frontends", frontend]
        log = self._stack.enter_context((folder / "gateway.log").open("wb"))
        process = subprocess.Popen(gateway, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        deadline = time.monotonic() + START_S
        while not self._answers():
            assert process.poll() is None, (folder / "gateway.log").read_text()
            assert time.monotonic() < deadline, (folder / "gateway.log").read_text()
            time.sleep(0.3)
        user = ("user", "create", "--uid=tests", "--display-name=tests")
        keys = (f"--access-key={KEYS['AWS_ACCESS_KEY_ID']}", f"--secret-key={KEYS['AWS_SECRET_ACCESS_KEY']}")
        self._ceph("radosgw-admin", *user, *keys)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.host}:{self.port}/", timeout=5):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            return True
        except OSError:
            return False

    def _ceph(self, program: str, *words: str) -> None:
        self._run(program, "-c", "ceph.conf", *words)

    def _run(self, *words: str) -> None:
        done = subprocess.run(words, cwd=self._folder, capture_output=True, text=True, timeout=START_S)
        assert done.returncode == 0, f"{words}: {done.stderr}"
