"""One real Ray for all tests that need one, with private ports and a private folder."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lightner.jobs.on_ray import local
from tests.support.paths import CHECKOUT

if TYPE_CHECKING:
    from tests.support.s3 import S3Server

# Logical CPUs: enough for a service, or for two trials of one worker each, on any number of real ones.
CPUS = 4
ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "OMP_NUM_THREADS": "1",
    # Tests know no hub; without this a name that is nowhere is sought there for a minute.
    "HF_HUB_OFFLINE": "1",
}

# Warnings of Ray itself at import or while it runs.
RAY_WARNINGS = (
    # ray.serve declares its settings in pydantic's old way (a warning of pydantic 2.14).
    "ignore:Using extra keyword arguments on `Field` is deprecated:DeprecationWarning:ray[.]serve[.].*",
)


def pytest_configure(config: pytest.Config) -> None:
    # Ray and the hub's client read these when they are imported; without the first, a local start would write a token
    # into the home folder.
    os.environ.update(ENVIRONMENT)
    # A shell makes its background processes ignore Ctrl-C, and all processes started here would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for each in RAY_WARNINGS:
        config.addinivalue_line("filterwarnings", each)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def head() -> Iterator[local.Head]:
    """A private Ray as a job starts one, for all tests of this process; its processes can import this checkout."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(CHECKOUT), prepend=os.pathsep)
        started = local.start(cpus=CPUS)
    yield started
    local.stop(started)


@pytest.fixture(scope="session")
def local_ray(head: local.Head) -> Iterator[local.Head]:
    """The same Ray, to which this process is connected."""
    import ray

    ray.init(address=head.address, log_to_driver=False, logging_level="ERROR")
    yield head
    ray.shutdown()


def free_port() -> int:
    """A port of this machine that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """One S3 server for the whole session; use `s3`, which undoes faults."""
    from tests.support.s3 import S3Server

    server = S3Server()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def gateway() -> Iterator[S3Server]:
    """Ceph's S3 server for the whole session, behind a proxy that can misbehave; skips if Ceph is not installed."""
    from tests.support.ceph import PACKAGES, Gateway, missing
    from tests.support.s3 import S3Server

    if lacking := missing():
        pytest.skip(f"found no {lacking[0]}; apt-get install --no-install-recommends {' '.join(PACKAGES)}")
    folder = Path(tempfile.mkdtemp(prefix="ceph-", dir="/tmp"))
    ceph = Gateway(folder, port=free_port(), monitor_port=free_port())
    server = S3Server(behind=ceph)
    yield server
    server.stop()
    ceph.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def s3(request: pytest.FixtureRequest) -> Iterator[S3Server]:
    """The server without faults: moto, or Ceph if a test is parametrised with "gateway"."""
    server: S3Server = request.getfixturevalue(getattr(request, "param", "s3_server"))
    server.behave()
    yield server
    server.behave()


@pytest.fixture
def s3_url(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty prefix in a fresh bucket, with the environment that it needs."""
    for name, value in {**s3.environment, "AWS_ENDPOINT_URL": s3.url}.items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(bucket)
    return f"s3://{bucket}/prompts"
