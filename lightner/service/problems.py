"""Errors as RFC 9457 problem documents. Internal details go to the log, never into an answer."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lightner.service.messages import Reason, Refusal
from lightner.service.schemas import FORMS, Problem, ProblemField

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
MAX_QUOTED = 80
MAX_ERRORS = 16
T = TypeVar("T")
_log = logging.getLogger(__name__)

_STATUS = {
    Reason.UNKNOWN_PROMPT: HTTPStatus.NOT_FOUND,
    Reason.UNUSABLE_PROMPT: HTTPStatus.BAD_GATEWAY,
    Reason.REGISTRY_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Reason.DOMAIN_EXISTS: HTTPStatus.CONFLICT,
    Reason.UNUSABLE_LABELS: HTTPStatus.UNPROCESSABLE_ENTITY,
    Reason.LABELS_OVERLOADED: HTTPStatus.SERVICE_UNAVAILABLE,
    Reason.OVERLOADED: HTTPStatus.SERVICE_UNAVAILABLE,
    Reason.UNREADABLE_TEXT: HTTPStatus.UNPROCESSABLE_ENTITY,
    Reason.FAILED: HTTPStatus.INTERNAL_SERVER_ERROR,
}
_DETAIL = {
    Reason.UNKNOWN_PROMPT: "there is no such domain, alias or version",
    Reason.UNUSABLE_PROMPT: "the prompt is damaged or was tuned on another backbone; it has been refused",
    Reason.REGISTRY_UNAVAILABLE: "the prompt registry cannot be reached; try again later",
    Reason.DOMAIN_EXISTS: "there is such a domain already",
    Reason.UNUSABLE_LABELS: "the backbone cannot tell these labels apart, or cannot read one",
    Reason.LABELS_OVERLOADED: "too many new label sets are waiting to be read; try again later",
    Reason.OVERLOADED: "too many texts are waiting; try again later",
    Reason.UNREADABLE_TEXT: "the backbone cannot read this text",
    Reason.FAILED: "the server failed; its log says why",
}


class ProblemError(Exception):
    """Ends a request with a problem document."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.title)
        self.problem = problem


def answered(outcome: T | Refusal, *, field: str | None = None) -> T:
    """`outcome`, unless it is a refusal, which is raised as a problem about `field` of the request."""
    if isinstance(outcome, Refusal):
        raise ProblemError(of_refusal(outcome, field=field))
    return outcome


def of_refusal(refusal: Refusal, *, field: str | None = None) -> Problem:
    """The problem document of a refusal; `field` is the part of the request that it is about."""
    status, detail = _STATUS[refusal.reason], refusal.detail or _DETAIL[refusal.reason]
    errors = None if field is None else [ProblemField(field=field, message=detail)]
    known = {"domain": refusal.domain, "prompt_version": refusal.version, "errors": errors}
    stated = {name: value for name, value in known.items() if value is not None}
    return _problem(refusal.reason.value, status, detail, **stated)


def of_status(status: HTTPStatus, detail: str, *, kind: str = "") -> Problem:
    """A problem document named after its HTTP status, or after `kind`."""
    return _problem(kind or status.phrase.lower().replace(" ", "-").replace("'", ""), status, detail)


def of_fields(fields: Sequence[ProblemField]) -> Problem:
    """The problem document of a request some fields of which are wrong."""
    detail = "; ".join(f"{each.field}: {each.message}" for each in fields[:3])
    return _problem("invalid-request", HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=list(fields))


def response(problem: Problem) -> Response:
    """The document as a response, with `Retry-After` if trying again may help."""
    headers = {}
    if problem.status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    content = problem.model_dump_json(exclude_none=True)
    return Response(content, problem.status, headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document."""
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_status)


class NoInternalText:
    """ASGI middleware that logs unhandled exceptions and answers with a problem document without details."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            if scope["type"] != "http" or started:
                raise
            _log.exception("%s %s failed", scope["method"], scope["path"])
            await response(of_refusal(Refusal(Reason.FAILED)))(scope, receive, send)


async def _on_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return response(error.problem)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    given = request.headers.get("content-type", "application/json")
    return _invalid(
        [ProblemField(field=_path(each["loc"]), message=_message(each, given)) for each in error.errors()[:MAX_ERRORS]]
    )


def _message(error: Mapping[str, Any], content_type: str) -> str:
    """A field's message. curl by default sends the body as a form, which is never parsed as JSON: then say so."""
    if tuple(error["loc"]) == ("body",) and "json" not in content_type.lower():
        return f"Content type should be application/json, found {content_type[:MAX_QUOTED]!r}"
    return str(error["msg"]).removeprefix("Value error, ")  # what pydantic says before words of our own


async def _on_status(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    if status == HTTPStatus.BAD_REQUEST:
        # FastAPI's status for a body that is not UTF-8 or nested too deeply to be parsed.
        return _invalid([ProblemField(field="body", message="Input should be JSON in UTF-8, and not nested deeply")])
    answer = response(of_status(status, status.description or status.phrase))
    answer.headers.update(error.headers or {})
    return answer


def _invalid(fields: list[ProblemField]) -> Response:
    return response(of_fields(fields))


def _problem(kind: str, status: HTTPStatus, detail: str, **members: Any) -> Problem:
    return Problem(
        type=f"urn:lightner:problem:{kind}",
        title=kind.replace("-", " ").capitalize(),
        status=int(status),
        detail=detail,
        **members,
    )


def _path(location: Sequence[object]) -> str:
    return ".".join(str(part) for part in location if part not in FORMS)
