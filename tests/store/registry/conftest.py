"""A registry on each kind of store: a local folder and two real S3 servers, moto and Ceph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from obstore.store import LocalStore, S3Store

from lightner.store.registry import Registry

if TYPE_CHECKING:
    from tests.support.s3 import S3Server

S3 = [pytest.param(name, marks=pytest.mark.s3) for name in ("s3_server", "gateway")]


@pytest.fixture
def s3(request: pytest.FixtureRequest, place: str) -> S3Server:
    server: S3Server = request.getfixturevalue(place)
    server.behave()
    return server


@pytest.fixture(params=["local", *S3])
def place(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path, place: str) -> str:
    if place == "local":
        return str(tmp_path / "a b" / "prompts")
    address: str = request.getfixturevalue("s3_url")
    return address


@pytest.fixture
def registry(url: str) -> Registry:
    return Registry.open(url)


@pytest.fixture
def raw(url: str) -> LocalStore | S3Store:
    """The same store without the registry, to simulate an intruder, a crash or a broken disk."""
    if "://" in url:
        return S3Store.from_url(url, client_options={"allow_http": True})
    return LocalStore(url, mkdir=True)
