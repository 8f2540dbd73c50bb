"""The HTTP side of a `Reader`, put together: middleware, routes, page and OpenAPI document. Knows no ray, no torch."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus

from fastapi import APIRouter, FastAPI
from fastapi.responses import PlainTextResponse
from fastapi_offline import FastAPIOffline
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from lightner.labels import label_set
from lightner.service import entities, page, problems
from lightner.service.messages import Named, Reader, Reason, Refusal
from lightner.service.middleware import (
    METRICS_PATH,
    AdminRoute,
    BearerKey,
    BodyLimit,
    Keys,
    RequestLimit,
    RootSlash,
    TimeLimit,
)
from lightner.service.openapi import ADMIN_KEY, READ_KEY, DomainPath, PromptQuery, documented
from lightner.service.problems import NoInternalText, ProblemError, answered
from lightner.service.prometheus import exposition
from lightner.service.schemas import (
    MAX_BODY_BYTES,
    AliasRequest,
    AliasResponse,
    DomainRequest,
    DomainResponse,
    DomainsResponse,
    Health,
    RollbackRequest,
)
from lightner.service.settings import RequestLimits
from lightner.service.teaching import examples, exchange, label_studio, tuner, tunings
from lightner.service.teaching.desk import Desk
from lightner.types import InputError

READY_TIMEOUT_S = 3.0
_log = logging.getLogger(__name__)


def create_app(reader: Reader, *, keys: Keys, limits: RequestLimits, desk: Desk) -> FastAPI:
    """The service over `reader`; at `desk` domains are taught."""
    # FastAPIOffline brings the scripts of its interactive page, which then works without internet access.
    app = FastAPIOffline(title="LightNER", version="1", redoc_url=None, lifespan=_attending(desk))
    problems.install(app)
    for make in (_health, _metrics, entities.router, _domains, _administration):
        app.include_router(make(reader))
    for make_taught in (exchange.router, examples.router, tunings.router, label_studio.router):
        app.include_router(make_taught(desk))
    app.include_router(page.router())
    # The middleware that is added last is the first to see a request.
    app.add_middleware(BodyLimit, limit=MAX_BODY_BYTES)
    app.add_middleware(TimeLimit, limit_s=limits.timeout_s)
    app.add_middleware(RequestLimit, limit=limits.max_at_once)
    app.add_middleware(BearerKey, keys=keys)
    app.add_middleware(RootSlash)
    app.add_middleware(NoInternalText)
    return app


def _attending(desk: Desk) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """While the service runs, tunings whose jobs have died are resumed."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if desk.tuner is None:
            yield
            return
        attending = asyncio.create_task(tuner.attend(desk.tuner, every_s=tuner.ATTEND_S))
        yield
        attending.cancel()

    return lifespan


def _health(reader: Reader) -> APIRouter:
    routes = APIRouter(tags=["health"])

    @routes.get("/healthz", response_model_exclude_none=True)
    async def healthz() -> Health:
        """Whether this process answers."""
        return Health(status="ok")

    @routes.get("/readyz", responses=documented(503))
    async def readyz() -> Health:
        """Whether the backbone answers."""
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                return Health(status="ready", backbone=await reader.backbone())
        except Exception as error:
            _log.warning("not ready: %s", type(error).__name__)
            problem = problems.of_status(HTTPStatus.SERVICE_UNAVAILABLE, "the backbone does not answer yet")
            raise ProblemError(problem) from error

    return routes


def _metrics(reader: Reader) -> APIRouter:
    routes = APIRouter(tags=["metrics"], dependencies=[READ_KEY])

    @routes.get(METRICS_PATH, response_class=PlainTextResponse, responses=documented(401, 503, 504))
    async def metrics() -> PlainTextResponse:
        """Metrics of all backbone replicas in Prometheus' text format."""
        try:
            families = await reader.metrics()
        except Exception as error:
            _log.warning("no metrics: %s", type(error).__name__)
            detail = "a backbone replica does not report its metrics; try again later"
            raise ProblemError(problems.of_status(HTTPStatus.SERVICE_UNAVAILABLE, detail)) from error
        return PlainTextResponse(exposition(families), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return routes


def _domains(reader: Reader) -> APIRouter:
    routes = APIRouter(tags=["domains"], dependencies=[READ_KEY])

    @routes.get("/v1/domains", responses=documented(401, 429, 503, 504))
    async def domains() -> DomainsResponse:
        """Names of the published domains."""
        return DomainsResponse(domains=answered(await reader.domains()))

    @routes.get("/v1/domains/{domain}", responses=documented(401, 404, 422, 429, 502, 503, 504))
    async def domain_card(domain: DomainPath, prompt: PromptQuery = None) -> DomainResponse:
        """The card of a domain's prompt: labels, backbone, how it was tuned, how good it is."""
        found = answered(await reader.describe(domain, prompt))
        return DomainResponse(domain=domain, prompt_version=found.version, card=dict(found.card))

    return routes


def _administration(reader: Reader) -> APIRouter:
    routes = APIRouter(
        tags=["administration"],
        dependencies=[ADMIN_KEY],
        route_class=AdminRoute,
        responses=documented(401, 403, 404, 413, 422, 429, 502, 503, 504),
    )

    @routes.post("/v1/domains", status_code=HTTPStatus.CREATED, responses=documented(409))
    async def create_domain(request: DomainRequest) -> AliasResponse:
        """Publish the first version of a new domain, made from its labels alone; tuning makes the next ones."""
        try:
            labels = label_set(request.labels)
        except InputError as error:
            refusal = Refusal(Reason.UNUSABLE_LABELS, request.domain, detail=str(error))
            raise ProblemError(problems.of_refusal(refusal, field="body.labels")) from error
        outcome = await reader.create_domain(request.domain, labels)
        at_fault = isinstance(outcome, Refusal) and outcome.reason is Reason.UNUSABLE_LABELS
        return _named(outcome, field="body.labels" if at_fault else None)

    @routes.put("/v1/domains/{domain}/alias")
    async def move_alias(domain: DomainPath, request: AliasRequest) -> AliasResponse:
        """Let an alias name a published version. The version that it named before is kept for a rollback."""
        return _named(await reader.set_alias(domain, request.alias, request.version))

    @routes.post("/v1/domains/{domain}/rollback")
    async def roll_back(domain: DomainPath, request: RollbackRequest) -> AliasResponse:
        """Let an alias name again the version that it named before. A repeated call goes back once more."""
        return _named(await reader.rollback(domain, request.alias))

    return routes


def _named(outcome: Named | Refusal, *, field: str | None = None) -> AliasResponse:
    found = answered(outcome, field=field)
    return AliasResponse(domain=found.domain, alias=found.alias, version=found.version)
