"""Keys of a service, and the library's answers as the client gives them."""

from __future__ import annotations

from typing import Any

import pytest

from lightner.client import Entity, Tagged
from tests.support.serving import SCORE_TOLERANCE, Place

READ, ADMIN = "read key", "admin key"


def expected(place: Place, domain: str, text: str, version: int = 1) -> Tagged:
    offline = place.offline(domain, text, seed=version)
    scores: list[Any] = [pytest.approx(e.score, rel=SCORE_TOLERANCE) for e in offline.entities]
    entities = tuple(
        Entity(e.start, e.end, e.text, e.label, score) for e, score in zip(offline.entities, scores, strict=True)
    )
    return Tagged(domain, f"v{version:06d}", entities, offline.windows)
