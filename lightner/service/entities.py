"""The routes that tag texts, and the two forms of an entity in an answer. Knows neither ray nor torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from fastapi import APIRouter

from lightner.service import problems
from lightner.service.messages import Answer, Ask, Reader, Reason, Refusal
from lightner.service.openapi import READ_KEY, DomainPath, documented
from lightner.service.problems import ProblemError, answered
from lightner.service.schemas import (
    EntitiesRequest,
    EntitiesResponse,
    FoundEntity,
    GroupedEntity,
    ItemProblem,
    ItemResult,
    MixedRequest,
    MixedResponse,
    TextResult,
)
from lightner.types import Entity, TaggedText

Given: TypeAlias = str | list[str]

# Refusals of the whole request, whichever domains it names.
_WHOLE = (Reason.OVERLOADED,)


def router(reader: Reader) -> APIRouter:
    """The routes for texts of one domain and for texts that each name their domain."""
    routes = APIRouter(tags=["entities"], dependencies=[READ_KEY])

    @routes.post(
        "/v1/domains/{domain}/entities",
        responses=documented(401, 404, 413, 422, 429, 502, 503, 504),
        response_model_exclude_none=True,
    )
    async def domain_entities(domain: DomainPath, request: EntitiesRequest) -> EntitiesResponse:
        """Entities of texts of one domain."""
        (outcome,) = await reader.tag([Ask(domain, tuple(map(_frozen, request.texts)), request.prompt)])
        answer = answered(outcome)
        results = []
        for place, reading in enumerate(answer.texts):
            read = answered(reading, field=f"body.texts.{place}")
            results.append(TextResult(entities=_entities(read, request), windows=read.windows))
        return EntitiesResponse(domain=domain, prompt_version=answer.version, results=results)

    @routes.post("/v1/entities", responses=documented(401, 413, 422, 429, 503, 504), response_model_exclude_none=True)
    async def mixed_entities(request: MixedRequest) -> MixedResponse:
        """Entities of texts that each name their own domain; a domain's problem is answered at its own items."""
        places = _places(request)
        asks = [
            Ask(domain, tuple(_frozen(request.items[place].text) for place in own), ref)
            for (domain, ref), own in places.items()
        ]
        results: dict[int, ItemResult | ItemProblem] = {}
        for own, outcome in zip(places.values(), await reader.tag(asks), strict=True):
            results.update(zip(own, _item_results(outcome, own, request), strict=True))
        return MixedResponse(results=[results[place] for place in range(len(request.items))])

    return routes


def _places(request: MixedRequest) -> dict[tuple[str, str | None], list[int]]:
    """Which items ask for each domain and prompt, by their places."""
    places: dict[tuple[str, str | None], list[int]] = {}
    for place, item in enumerate(request.items):
        places.setdefault((item.domain, item.prompt), []).append(place)
    return places


def _frozen(text: Given) -> str | tuple[str, ...]:
    return text if isinstance(text, str) else tuple(text)


def _item_results(
    outcome: Answer | Refusal, places: Sequence[int], request: MixedRequest
) -> list[ItemResult | ItemProblem]:
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
            entities=_entities(reading, request),
            windows=reading.windows,
        )
        for place, reading in zip(places, outcome.texts, strict=True)
    ]


def _item_problem(refusal: Refusal, place: int) -> ItemProblem:
    part = "text" if refusal.reason is Reason.UNREADABLE_TEXT else "domain"
    problem = problems.of_refusal(refusal, field=f"body.items.{place}.{part}")
    return ItemProblem(domain=str(refusal.domain), problem=problem)


def _entities(tagged: TaggedText, request: EntitiesRequest | MixedRequest) -> list[FoundEntity] | list[GroupedEntity]:
    kept = [each for each in tagged.entities if each.score >= request.threshold]
    return list(map(_grouped, kept)) if request.output == "entity_group" else list(map(_found, kept))


def _found(each: Entity) -> FoundEntity:
    return FoundEntity(
        start=each.start,
        end=each.end,
        start_word=each.start_word,
        end_word=each.end_word,
        text=each.text,
        label=each.label,
        score=each.score,
    )


def _grouped(each: Entity) -> GroupedEntity:
    return GroupedEntity(
        entity_group=each.label,
        score=each.score,
        word=each.text,
        start=each.start,
        end=each.end,
        start_word=each.start_word,
        end_word=each.end_word,
    )
