"""A service with a store of examples, for requests that teach."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from lightner.service.replica import BackboneReplica
from tests.support.serving import Place, bearer, connect
from tests.support.teaching import ADMIN, ANNOTATE, READ, desk_of


@pytest.fixture
async def client(place: Place, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A service with a store of examples of its own, and the prompts of `place`; the caller has the annotate key."""
    replica = BackboneReplica(place.settings)
    desk = desk_of(str(tmp_path / "registry"), replica)
    async with connect(replica, read=READ, admin=ADMIN, annotate=ANNOTATE, desk=desk) as client:
        client.headers.update(bearer(ANNOTATE))
        yield client
