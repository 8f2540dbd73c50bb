"""Ray Tune's record of which trackers are in use, an internal of Ray 2.60 that imports every one that is installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ray.air._internal import usage


@contextmanager
def unrecorded() -> Iterator[None]:
    """Let Tune record nothing of it during the block: importing MLflow and W&B takes seconds that nobody asked for."""
    before = usage.tag_callbacks
    usage.tag_callbacks = lambda _: False
    try:
        yield
    finally:
        usage.tag_callbacks = before
