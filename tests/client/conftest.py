"""The real service on uvicorn, with a damaged domain and one of two versions, and a client that may read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lightner.client import Client
from lightner.service.middleware import Keys
from lightner.service.replica import BackboneReplica
from lightner.service.routes import create_app
from lightner.service.settings import RequestLimits
from tests.support.client import ADMIN, READ
from tests.support.served import listening
from tests.support.serving import Place, prepare_with_damage
from tests.support.teaching import desk_of


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """`prepare_with_damage`, and a domain `reviews` of two versions whose alias `before` names the first."""
    place = prepare_with_damage(tmp_path_factory.mktemp("place"))
    for seed in (1, 2):
        place.publish("reviews", seed)
    place.registry.set_alias("reviews", "before", "v000001")
    return place


@pytest.fixture(scope="module")
def url(place: Place) -> Iterator[str]:
    reader = BackboneReplica(place.settings)
    app = create_app(
        reader, keys=Keys(READ, ADMIN), limits=RequestLimits(max_at_once=8), desk=desk_of(place.registry.url, reader)
    )
    with listening(app) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url, key=READ, patience_s=0) as client:
        yield client
