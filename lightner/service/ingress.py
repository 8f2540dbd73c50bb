"""The ingress deployment: serves `routes` and passes requests to backbone replicas through a deployment handle.

Imports no torch, so that its processes stay small.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from ray import serve as ray_serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import ReplicaUnavailableError
from ray.serve.handle import DeploymentHandle

from lightner.service.messages import Answer, Ask, Description, Family, Named, Refusal
from lightner.service.middleware import Keys
from lightner.service.routes import create_app
from lightner.service.routing import label_place
from lightner.service.settings import Settings
from lightner.service.single_flight import Shared
from lightner.service.teaching.desk import Desk
from lightner.service.teaching.ray_jobs import RayJobs
from lightner.types import InputError, LabelSet, check_key

READ_KEY = "LIGHTNER_READ_KEY"
ADMIN_KEY = "LIGHTNER_ADMIN_KEY"
ANNOTATE_KEY = "LIGHTNER_ANNOTATE_KEY"
# How long a request is retried when its replica died: about as long as a new replica takes to start.
RETRY_S = 60.0
PAUSE_S = 0.5
# How long replicas may take to report their metrics; Prometheus waits 10 s by default.
METRICS_TIMEOUT_S = 5.0
_log = logging.getLogger(__name__)


@ray_serve.ingress()
class Ingress:
    """The HTTP application of one process. Does not start if a read key is required and not set (see `keys`)."""

    def __init__(self, backbone: DeploymentHandle, *, settings: Settings, require_key: bool) -> None:
        self._reader = RemoteReader(backbone)
        self._settings = settings
        self._keys = keys(required=require_key)

    def __serve_build_asgi_app__(self) -> FastAPI:
        desk = Desk.of(self._settings, self._reader, RayJobs())
        return create_app(self._reader, keys=self._keys, limits=self._settings.requests, desk=desk)


class RemoteReader:
    """A `messages.Reader` that calls replicas through Ray.

    A call whose replica died is repeated on another one, unless repeating could do harm.
    """

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle
        self._counting = Shared[list[Family]]()

    async def tag(self, asks: Sequence[Ask]) -> list[Answer | Refusal]:
        # A request of one domain, or of one label set, goes where its prompt is (lightner/service/routing.py).
        prompts = {ask.domain or label_place(ask.labels) for ask in asks}
        prompt = prompts.pop() if len(prompts) == 1 else ""
        outcomes: list[Answer | Refusal] = await self._call("tag", list(asks), prompt=prompt, drop=True)
        return outcomes

    async def describe(self, domain: str, ref: str | None) -> Description | Refusal:
        outcome: Description | Refusal = await self._call("describe", domain, ref)
        return outcome

    async def domains(self) -> list[str] | Refusal:
        outcome: list[str] | Refusal = await self._call("domains")
        return outcome

    async def create_domain(self, domain: str, labels: LabelSet) -> Named | Refusal:
        # Never repeated: if the first call created the domain, a second one would find that it exists.
        outcome: Named | Refusal = await self._handle.create_domain.remote(domain, labels)
        return outcome

    async def set_alias(self, domain: str, alias: str, version: str) -> Named | Refusal:
        outcome: Named | Refusal = await self._call("set_alias", domain, alias, version)
        return outcome

    async def rollback(self, domain: str, alias: str) -> Named | Refusal:
        # Never repeated: if the first call moved the alias, a second one would move it once more.
        outcome: Named | Refusal = await self._handle.rollback.remote(domain, alias)
        return outcome

    async def metrics(self) -> list[Family]:
        # A call reaches every replica, past its queue, so concurrent callers share one.
        return await self._counting.join(self._of_every_replica)

    async def backbone(self) -> str:
        name: str = await self._call("backbone")
        return name

    async def _of_every_replica(self) -> list[Family]:
        """The metrics of all replicas. Raises if a live one does not answer in time: a part would look complete."""
        async with asyncio.timeout(METRICS_TIMEOUT_S):
            while True:
                try:
                    replies = await self._handle.broadcast("metrics").results_async()
                    return [family for reply in replies for family in reply]
                except (RayActorError, ReplicaUnavailableError):
                    await asyncio.sleep(PAUSE_S)

    async def _call(self, method: str, *parameters: Any, prompt: str = "", drop: bool = False) -> Any:
        """A replica's answer. With `drop` a cancelled call also cancels its work, which Ray would continue."""
        remote = getattr(self._handle.options(multiplexed_model_id=prompt), method)
        last_try_s = time.monotonic() + RETRY_S
        while True:
            response = remote.remote(*parameters)
            try:
                return await response
            except asyncio.CancelledError:
                if drop:
                    response.cancel()
                raise
            except (RayActorError, ReplicaUnavailableError):
                if time.monotonic() > last_try_s:
                    raise
                _log.warning("the replica died during %s; asking again", method)
                await asyncio.sleep(PAUSE_S)


def keys(*, required: bool) -> Keys:
    """The keys in LIGHTNER_READ_KEY, LIGHTNER_ADMIN_KEY and LIGHTNER_ANNOTATE_KEY, as far as they are set.

    Raises:
        InputError: a read key is required and not set, two keys are equal, or no HTTP header could hold a key.
    """
    given = {name: os.environ.get(name) or None for name in (READ_KEY, ADMIN_KEY, ANNOTATE_KEY)}
    if required and given[READ_KEY] is None:
        raise InputError(f"{READ_KEY}: found nothing, expected a key in the environment of every Ray node")
    seen: dict[str, str] = {}
    for name, key in given.items():
        if key is None:
            continue
        if key in seen:
            raise InputError(f"{name}: found the key of {seen[key]}, expected another one")
        check_key(key, name)
        seen[key] = name
    return Keys(read=given[READ_KEY], admin=given[ADMIN_KEY], annotate=given[ANNOTATE_KEY])
