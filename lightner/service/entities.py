"""The routes that read texts, and the forms in which entities are answered. Knows neither ray nor torch."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import TypeAlias

from fastapi import APIRouter

from lightner.service import problems
from lightner.service.messages import Answer, Ask, Reader, Reading, Reason, Refusal
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
from lightner.types import Entity

Given: TypeAlias = str | list[str]
_Range: TypeAlias = tuple[int, int] | tuple[None, None]

# What concerns the whole request, whichever domains it names.
_WHOLE = (Reason.OVERLOADED,)


def router(reader: Reader) -> APIRouter:
    """Texts of one domain, and texts of any domains."""
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
        for place, (text, reading) in enumerate(zip(request.texts, answer.readings, strict=True)):
            read = answered(reading, field=f"body.texts.{place}")
            results.append(TextResult(entities=_entities(text, read, request), windows=read.windows))
        return EntitiesResponse(domain=domain, prompt_version=answer.version, results=results)

    @routes.post("/v1/entities", responses=documented(401, 413, 422, 429, 503, 504), response_model_exclude_none=True)
    async def mixed_entities(request: MixedRequest) -> MixedResponse:
        """Entities of texts that each name their own domain; a domain's problem is told at its items only."""
        places: dict[tuple[str, str | None], list[int]] = {}
        for place, item in enumerate(request.items):
            places.setdefault((item.domain, item.prompt), []).append(place)
        asks = [
            Ask(domain, tuple(_frozen(request.items[place].text) for place in those), ref)
            for (domain, ref), those in places.items()
        ]
        outcomes = await reader.tag(asks)
        results: dict[int, ItemResult | ItemProblem] = {}
        for those, outcome in zip(places.values(), outcomes, strict=True):
            results.update(zip(those, _item_results(outcome, those, request), strict=True))
        return MixedResponse(results=[results[place] for place in range(len(request.items))])

    return routes


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
            entities=_entities(request.items[place].text, reading, request),
            windows=reading.windows,
        )
        for place, reading in zip(places, outcome.readings, strict=True)
    ]


def _item_problem(refusal: Refusal, place: int) -> ItemProblem:
    part = "text" if refusal.reason is Reason.UNREADABLE_TEXT else "domain"
    problem = problems.of_refusal(refusal, field=f"body.items.{place}.{part}")
    return ItemProblem(domain=str(refusal.domain), problem=problem)


def _entities(
    text: Given, reading: Reading, request: EntitiesRequest | MixedRequest
) -> list[FoundEntity] | list[GroupedEntity]:
    kept = [each for each in reading.entities if each.score >= request.threshold]
    starts = None if isinstance(text, str) else [0, *accumulate(len(word) + 1 for word in text)]
    if request.output == "entity_group":
        return [_grouped(each, _words(each, starts)) for each in kept]
    return [_found(each, _words(each, starts)) for each in kept]


def _found(each: Entity, words: _Range) -> FoundEntity:
    start_word, end_word = words
    return FoundEntity(
        start=each.start,
        end=each.end,
        start_word=start_word,
        end_word=end_word,
        text=each.text,
        label=each.label,
        score=each.score,
    )


def _grouped(each: Entity, words: _Range) -> GroupedEntity:
    start_word, end_word = words
    return GroupedEntity(
        entity_group=each.label,
        score=each.score,
        word=each.text,
        start=each.start,
        end=each.end,
        start_word=start_word,
        end_word=end_word,
    )


def _words(each: Entity, starts: Sequence[int] | None) -> _Range:
    """The words of an entity, given the first character of each; none where the text was not given in words."""
    if starts is None:
        return None, None
    return bisect_left(starts, each.start), bisect_left(starts, each.end)
