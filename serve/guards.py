"""What stands before the routes: the key that a request must bear, and the most that its body may weigh (ASGI).

Both act before anything of the body is parsed.
"""

from __future__ import annotations

import hashlib
import hmac
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve import problems
from serve.schemas import Problem

OPEN_PATHS = frozenset({"/healthz", "/readyz"})


class BearerKey:
    """Refuses requests without `Authorization: Bearer <key>`; only health is open."""

    def __init__(self, app: ASGIApp, *, key: str) -> None:
        self._app = app
        self._digest = _digest(key.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or self._bears_key(scope):
            await self._app(scope, receive, send)
            return
        problem = problems.of_status(HTTPStatus.UNAUTHORIZED, "a valid bearer key is needed")
        await problems.response(problem)(scope, receive, send)

    def _bears_key(self, scope: Scope) -> bool:
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        # Digests have one length, and comparing them takes one time: neither tells anything of the key.
        same = hmac.compare_digest(_digest(given.strip().encode("latin-1")), self._digest)
        return scheme.lower() == "bearer" and same


class BodyLimit:
    """Refuses bodies of more than `limit` bytes, as announced and as received."""

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdecimal() or int(announced) > self._limit:
            await problems.response(self._problem())(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return message

        await self._app(scope, counted, send)

    def _problem(self) -> Problem:
        detail = f"the body has more than {self._limit} bytes"
        return problems.of_status(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
