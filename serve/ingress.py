"""The HTTP deployment: `routes` over a deployment handle. Imports no torch, so that its processes stay small."""

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

from lightner.types import InputError
from serve.messages import Answer, Ask, Description, Refusal
from serve.routes import create_app

READ_KEY = "LIGHTNER_READ_KEY"
# How long a request is asked again after replicas that died: about as long as a new one takes to start.
RETRY_S = 60.0
PAUSE_S = 0.5
_log = logging.getLogger(__name__)


@ray_serve.ingress()
class Ingress:
    """Does not start where a read key is required and this process has none (see `read_key`)."""

    def __init__(self, backbone: DeploymentHandle, *, require_key: bool) -> None:
        self._reader = RemoteReader(backbone)
        self._read_key = read_key(required=require_key)

    def __serve_build_asgi_app__(self) -> FastAPI:
        return create_app(self._reader, read_key=self._read_key)


class RemoteReader:
    """A `messages.Reader` behind Ray. Asking twice does no harm, so what a dying replica left is asked again."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle

    async def tag(self, asks: Sequence[Ask]) -> list[Answer | Refusal]:
        outcomes: list[Answer | Refusal] = await self._call("tag", list(asks))
        return outcomes

    async def describe(self, domain: str, ref: str | None) -> Description | Refusal:
        outcome: Description | Refusal = await self._call("describe", domain, ref)
        return outcome

    async def domains(self) -> list[str] | Refusal:
        outcome: list[str] | Refusal = await self._call("domains")
        return outcome

    async def backbone(self) -> str:
        name: str = await self._call("backbone")
        return name

    async def _call(self, method: str, *parameters: Any) -> Any:
        remote = getattr(self._handle, method)
        last_try_s = time.monotonic() + RETRY_S
        while True:
            try:
                return await remote.remote(*parameters)
            except (RayActorError, ReplicaUnavailableError):
                if time.monotonic() > last_try_s:
                    raise
                _log.warning("the replica died during %s; asking again", method)
                await asyncio.sleep(PAUSE_S)


def read_key(*, required: bool) -> str | None:
    """The key in LIGHTNER_READ_KEY, None if it is not set.

    Raises:
        InputError: it is required and not set.
    """
    key = os.environ.get(READ_KEY) or None
    if required and key is None:
        raise InputError(f"{READ_KEY}: found nothing, expected a key in the environment of every Ray node")
    return key
