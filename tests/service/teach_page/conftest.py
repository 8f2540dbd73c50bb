"""A real service with a domain of its own for each test of the teaching page, and another person's browser.

`test_teach_with_ray` tunes.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from lightner.service.middleware import Keys
from lightner.service.replica import BackboneReplica
from lightner.service.routes import create_app
from lightner.service.settings import RequestLimits
from tests.support.served import listening
from tests.support.serving import Place
from tests.support.teach_page import ADMIN, ANNOTATE, Service
from tests.support.teaching import NamedJobs, desk_of


@pytest.fixture(scope="module")
def url(place: Place) -> Iterator[str]:
    reader = BackboneReplica(place.settings)
    desk = desk_of(place.registry.url, reader, jobs=NamedJobs())
    with listening(create_app(reader, keys=Keys("r", ADMIN, ANNOTATE), limits=RequestLimits(), desk=desk)) as url:
        yield url


@pytest.fixture
def service(place: Place, url: str) -> Service:
    """A published domain of its own for each test, with the labels PER and LOC."""
    domain = f"d{uuid.uuid4().hex[:10]}"
    place.publish(domain)
    service = Service(url, domain)
    service.label("PER", "LOC")
    return service


@pytest.fixture
def other(browser: Browser) -> Iterator[Page]:
    """Another person's browser."""
    context = browser.new_context(viewport={"width": 1000, "height": 900})
    yield context.new_page()
    context.close()
