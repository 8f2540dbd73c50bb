"""The HTTP face of a `Reader`: routes and their OpenAPI document. Knows neither ray nor torch."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI, Path, Query
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline

from lightner.types import Entity
from serve import problems
from serve.guards import BearerKey, BodyLimit
from serve.messages import Answer, Ask, Reader, Reading, Reason, Refusal
from serve.problems import NoInternalText, ProblemError
from serve.schemas import (
    MAX_BODY_BYTES,
    NAME_PATTERN,
    DomainResponse,
    DomainsResponse,
    EntitiesRequest,
    EntitiesResponse,
    FoundEntity,
    Health,
    ItemProblem,
    ItemResult,
    MixedRequest,
    MixedResponse,
    Name,
    Problem,
    TextResult,
)

READY_TIMEOUT_S = 3.0
T = TypeVar("T")

# What concerns the whole request, whichever domains it names.
_WHOLE = (Reason.OVERLOADED,)
_log = logging.getLogger(__name__)

DomainPath = Annotated[str, Path(pattern=NAME_PATTERN, description="name of a published domain")]
PromptQuery = Annotated[Name | None, Query(description="alias or version of the prompt; nothing: the live one")]


def create_app(reader: Reader, *, read_key: str | None) -> FastAPI:
    """The service over `reader`. With a `read_key` every route but health wants it as a bearer key."""
    # The interactive page comes with its scripts: it works where nothing can be downloaded.
    app = FastAPIOffline(title="LightNER", version="1", redoc_url=None)
    problems.install(app)
    _add_health(app, reader)
    _add_entities(app, reader)
    _add_domains(app, reader)
    # The last one added is the first to see a request.
    app.add_middleware(BodyLimit, limit=MAX_BODY_BYTES)
    if read_key:
        app.add_middleware(BearerKey, key=read_key)
    app.add_middleware(NoInternalText)
    return app


def _add_health(app: FastAPI, reader: Reader) -> None:
    @app.get("/healthz", tags=["health"], response_model_exclude_none=True)
    async def healthz() -> Health:
        """This process answers."""
        return Health(status="ok")

    @app.get("/readyz", tags=["health"], responses=_documented(503))
    async def readyz() -> Health:
        """The backbone answers."""
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                return Health(status="ready", backbone=await reader.backbone())
        except Exception as error:
            _log.warning("not ready: %s", type(error).__name__)
            problem = problems.of_status(HTTPStatus.SERVICE_UNAVAILABLE, "the backbone does not answer yet")
            raise ProblemError(problem) from error


def _add_entities(app: FastAPI, reader: Reader) -> None:
    secured: dict[str, Any] = {"tags": ["entities"], "dependencies": [Depends(_BEARER)]}

    @app.post("/v1/domains/{domain}/entities", responses=_documented(401, 404, 413, 422, 502, 503), **secured)
    async def domain_entities(domain: DomainPath, request: EntitiesRequest) -> EntitiesResponse:
        """Entities of texts of one domain."""
        (outcome,) = await reader.tag([Ask(domain, tuple(request.texts), request.prompt)])
        answer = _answered(outcome)
        results = []
        for place, reading in enumerate(answer.readings):
            read = _answered(reading, field=f"body.texts.{place}")
            results.append(TextResult(entities=_found(read, request.threshold), windows=read.windows))
        return EntitiesResponse(domain=domain, prompt_version=answer.version, results=results)

    @app.post("/v1/entities", responses=_documented(401, 413, 422, 503), response_model_exclude_none=True, **secured)
    async def mixed_entities(request: MixedRequest) -> MixedResponse:
        """Entities of texts that each name their own domain; a domain's problem is told at its items only."""
        places: dict[tuple[str, str | None], list[int]] = {}
        for place, item in enumerate(request.items):
            places.setdefault((item.domain, item.prompt), []).append(place)
        asks = [
            Ask(domain, tuple(request.items[place].text for place in those), ref)
            for (domain, ref), those in places.items()
        ]
        outcomes = await reader.tag(asks)
        results: dict[int, ItemResult | ItemProblem] = {}
        for those, outcome in zip(places.values(), outcomes, strict=True):
            results.update(zip(those, _item_results(outcome, those, request.threshold), strict=True))
        return MixedResponse(results=[results[place] for place in range(len(request.items))])


def _add_domains(app: FastAPI, reader: Reader) -> None:
    secured: dict[str, Any] = {"tags": ["domains"], "dependencies": [Depends(_BEARER)]}

    @app.get("/v1/domains", responses=_documented(401, 503), **secured)
    async def domains() -> DomainsResponse:
        """Names of the published domains."""
        return DomainsResponse(domains=_answered(await reader.domains()))

    @app.get("/v1/domains/{domain}", responses=_documented(401, 404, 422, 502, 503), **secured)
    async def domain_card(domain: DomainPath, prompt: PromptQuery = None) -> DomainResponse:
        """The card of a domain's prompt: labels, backbone, how it was tuned, how good it is."""
        found = _answered(await reader.describe(domain, prompt))
        return DomainResponse(domain=domain, prompt_version=found.version, card=dict(found.card))


# Only documented here; `guards.BearerKey` is what enforces it, before the body is read.
_BEARER = HTTPBearer(auto_error=False, description="the service's read key, where one is set")


def _answered(outcome: T | Refusal, *, field: str | None = None) -> T:
    if isinstance(outcome, Refusal):
        raise ProblemError(problems.of_refusal(outcome, field=field))
    return outcome


def _item_results(outcome: Answer | Refusal, places: Sequence[int], threshold: float) -> list[ItemResult | ItemProblem]:
    if isinstance(outcome, Refusal):
        if outcome.reason in _WHOLE:
            raise ProblemError(problems.of_refusal(outcome))
        return [_item_problem(outcome, place) for place in places]
    return [
        _item_problem(reading, place)
        if isinstance(reading, Refusal)
        else ItemResult(
            domain=outcome.domain,
            prompt_version=outcome.version,
            entities=_found(reading, threshold),
            windows=reading.windows,
        )
        for place, reading in zip(places, outcome.readings, strict=True)
    ]


def _item_problem(refusal: Refusal, place: int) -> ItemProblem:
    part = "text" if refusal.reason is Reason.UNREADABLE_TEXT else "domain"
    problem = problems.of_refusal(refusal, field=f"body.items.{place}.{part}")
    return ItemProblem(domain=str(refusal.domain), problem=problem)


def _found(reading: Reading, threshold: float) -> list[FoundEntity]:
    return [_entity(each) for each in reading.entities if each.score >= threshold]


def _entity(each: Entity) -> FoundEntity:
    return FoundEntity(start=each.start, end=each.end, text=each.text, label=each.label, score=each.score)


def _documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    content = {problems.MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}
