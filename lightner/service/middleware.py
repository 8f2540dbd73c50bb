"""ASGI middleware before the routes: keys, and limits on concurrent requests, time and body size.

All of it acts before the body is parsed. Paths are relative to the service's own address, like its routes: a
`route_prefix` of Ray Serve or another root path does not change them.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, ClassVar

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lightner.service import page, problems
from lightner.service.problems import ProblemError
from lightner.service.schemas import Problem

# Health, and the pages with their files: their content is public, and they answer however busy the service is.
# The empty path is the service's own address without its last slash.
OPEN_PATHS = frozenset({"/healthz", "/readyz", "", *page.FILES})
# Where the key may also be the password of basic authentication: Label Studio can send it in no other way.
BASIC_PATH = re.compile(r"/v1/domains/[^/]+/label-studio/[a-z]+")
METRICS_PATH = "/metrics"
# The operators of a busy service must see how busy it is.
UNCOUNTED_PATHS = OPEN_PATHS | {METRICS_PATH}

_ADMINISTRATION, _ANNOTATION, _WHO = "lightner.administration", "lightner.annotation", "lightner.who"
ADMIN_NAME, ANNOTATE_NAME = "admin", "annotate"
"""Names of keys, as examples record them."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The read key; the annotate key, which also reads; the admin key, which does everything. Without a read key anyone
    may read; without an admin key nobody may administer; without an annotate key only the admin key may teach."""

    read: str | None = field(repr=False)
    admin: str | None = field(repr=False)
    annotate: str | None = field(default=None, repr=False)


def path_below_root(scope: Scope) -> str:
    """The path that the routes see, exactly as starlette's router finds it: a difference would open closed routes.

    Servers give the whole path, of which the root path is a part; some proxies give what is left without it.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    below = path.removeprefix(root)
    return below if not below or below.startswith("/") else path


class RootSlash:
    """Redirects the service's own address without its last slash to the one with it: the page's links are relative."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not path_below_root(scope):
            # Without host and scheme, which a proxy may have changed.
            await RedirectResponse(f"{scope.get('root_path', '')}/")(scope, receive, send)
            return
        await self._app(scope, receive, send)


class BearerKey:
    """Refuses requests without `Authorization: Bearer <key>`, if a read key is set; `OPEN_PATHS` are always open."""

    def __init__(self, app: ASGIApp, *, keys: Keys) -> None:
        self._app = app
        self._read = _digest(keys.read.encode()) if keys.read else None
        self._admin = _digest(keys.admin.encode()) if keys.admin else None
        self._annotate = _digest(keys.annotate.encode()) if keys.annotate else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or path_below_root(scope) in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        given = _given(scope)
        administers, annotates = _same(given, self._admin), _same(given, self._annotate)
        known = administers or annotates or _same(given, self._read)
        if self._read and not known:
            await problems.response(_UNAUTHORIZED)(scope, receive, send)
            return
        told = {
            _ADMINISTRATION: None if administers else self._refusal([self._admin], known=known, needed="the admin key"),
            _ANNOTATION: None
            if administers or annotates
            else self._refusal([self._admin, self._annotate], known=known, needed="the admin or the annotate key"),
            _WHO: ADMIN_NAME if administers else ANNOTATE_NAME,
        }
        await self._app({**scope, **told}, receive, send)

    def _refusal(self, digests: Sequence[bytes | None], *, known: bool, needed: str) -> Problem:
        """The problem of a caller who has none of the keys that would do."""
        if any(digests):
            detail = f"this key may not do that; {needed} is needed"
            return problems.of_status(HTTPStatus.FORBIDDEN, detail) if known else _UNAUTHORIZED
        detail = f"{needed} is needed, and the service has none, so nobody may do that"
        return problems.of_status(HTTPStatus.FORBIDDEN, detail, kind="administration-disabled")


class _GuardedRoute(APIRoute):
    """A route for some keys only, which `BearerKey` has checked; refuses before the body is parsed."""

    refusal: ClassVar[str]

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            refusal: Problem | None = request.scope[self.refusal]
            if refusal is not None:
                raise ProblemError(refusal)
            return await handle(request)

        return guarded


class AdminRoute(_GuardedRoute):
    """A route for the admin key only."""

    refusal = _ADMINISTRATION


class AnnotateRoute(_GuardedRoute):
    """A route for the admin key and the annotate key."""

    refusal = _ANNOTATION


def key_name(request: Request) -> str:
    """The name of the key that opened an `AnnotateRoute`."""
    name: str = request.scope[_WHO]
    return name


def administers(request: Request) -> bool:
    """Whether the request bears the admin key."""
    return request.scope[_ADMINISTRATION] is None


class RequestLimit:
    """Refuses requests while `limit` others are in progress, so that all bodies fit in memory.

    `UNCOUNTED_PATHS` neither count nor are refused.
    """

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self._app = app
        self._limit = limit
        self._in_hand = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or path_below_root(scope) in UNCOUNTED_PATHS:
            await self._app(scope, receive, send)
            return
        if self._in_hand >= self._limit:
            detail = f"found {self._limit} requests in progress, which is the limit; try again later"
            await problems.response(problems.of_status(HTTPStatus.TOO_MANY_REQUESTS, detail))(scope, receive, send)
            return
        self._in_hand += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_hand -= 1


class TimeLimit:
    """Ends requests that have no answer after `limit_s`, the time for sending their body included."""

    def __init__(self, app: ASGIApp, *, limit_s: float) -> None:
        self._app = app
        self._limit_s = limit_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        timer = asyncio.timeout(self._limit_s)

        async def untimed(message: Message) -> None:
            timer.reschedule(None)
            await send(message)

        try:
            async with timer:
                await self._app(scope, receive, untimed)
        except TimeoutError:
            if not timer.expired():
                raise
            detail = f"the request was not answered within {self._limit_s:g} s"
            problem = problems.of_status(HTTPStatus.GATEWAY_TIMEOUT, detail, kind="timeout")
            await problems.response(problem)(scope, receive, send)


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


_UNAUTHORIZED = problems.of_status(HTTPStatus.UNAUTHORIZED, "a valid bearer key is needed")


def _given(scope: Scope) -> str:
    """The key of a request; a tool that knows basic authentication only sends it as the password, with any user."""
    scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    if scheme.lower() == "basic" and BASIC_PATH.fullmatch(path_below_root(scope)):
        try:
            return base64.b64decode(given.strip(), validate=True).decode("latin-1").partition(":")[2]
        except ValueError:
            return ""
    return ""


def _same(given: str, digest: bytes | None) -> bool:
    # Digests have the same length and comparing them takes constant time, so neither reveals anything about the key.
    return digest is not None and hmac.compare_digest(_digest(given.encode("latin-1")), digest)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
