"""The routes that tag texts, and the two forms of an entity in an answer. Knows neither ray nor torch."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from fastapi import APIRouter

from lightner.labels import label_set
from lightner.service import problems
from lightner.service.messages import Answer, Ask, Reader, Reason, Refusal
from lightner.service.openapi import READ_KEY, DomainPath, documented
from lightner.service.problems import ProblemError, answered
from lightner.service.schemas import (
    EntitiesRequest,
    EntitiesResponse,
    FoundEntity,
    GroupedEntity,
    Item,
    ItemProblem,
    ItemResult,
    LabelsItem,
    MixedRequest,
    MixedResponse,
    ProblemField,
    TextResult,
    content_of,
)
from lightner.thresholds import Thresholds
from lightner.types import Entity, InputError, LabelSet, TaggedText

Given: TypeAlias = str | list[str]

# Refusals of the whole request, whichever domains it names; then those that count as such if all of it was refused so.
_WHOLE = (Reason.OVERLOADED,)
_WHOLE_IF_ALL = (Reason.LABELS_OVERLOADED,)


def router(reader: Reader) -> APIRouter:
    """The routes for texts of one domain and for texts that each name their domain."""
    routes = APIRouter(tags=["entities"], dependencies=[READ_KEY])

    # An answer has only fields that were set: a domain of null is set, words that were not given are not.
    @routes.post(
        "/v1/domains/{domain}/entities",
        responses=documented(401, 404, 413, 422, 429, 502, 503, 504),
        response_model_exclude_unset=True,
    )
    async def domain_entities(domain: DomainPath, request: EntitiesRequest) -> EntitiesResponse:
        """Entities of texts of one domain."""
        (outcome,) = await reader.tag([Ask(domain, tuple(map(_frozen, request.texts)), request.prompt)])
        answer = answered(outcome)
        _check_thresholds(request, [answer])
        assert answer.version is not None, "a domain is read by a version of its prompt"
        results = []
        for place, reading in enumerate(answer.texts):
            read = answered(reading, field=f"body.texts.{place}")
            results.append(TextResult(entities=_entities(read, answer, request), windows=read.windows))
        return EntitiesResponse(domain=domain, prompt_version=answer.version, results=results)

    @routes.post("/v1/entities", responses=documented(401, 413, 422, 429, 503, 504), response_model_exclude_unset=True)
    async def mixed_entities(request: MixedRequest) -> MixedResponse:
        """Entities of texts that each name their own domain, or labels; a problem is answered at its own items."""
        parts = _parts(request)
        asked = [part for part in parts if part.refusal is None]
        texts = [tuple(_frozen(request.items[place].text) for place in part.places) for part in asked]
        asks = [Ask(part.domain, own, part.ref, part.labels) for part, own in zip(asked, texts, strict=True)]
        answers = iter(await reader.tag(asks) if asks else ())
        outcomes = [part.refusal or next(answers) for part in parts]
        _check_whole(outcomes)
        _check_thresholds(request, outcomes)
        results: dict[int, ItemResult | ItemProblem] = {}
        for part, outcome in zip(parts, outcomes, strict=True):
            results.update(zip(part.places, _item_results(outcome, part.places, request), strict=True))
        return MixedResponse(results=[results[place] for place in range(len(request.items))])

    return routes


@dataclass(frozen=True, slots=True)
class _Part:
    """Items, by their places, that one prompt (of a domain or of labels) reads; or why it cannot read them."""

    domain: str | None
    ref: str | None = None
    labels: LabelSet | None = None
    refusal: Refusal | None = None
    places: list[int] = field(default_factory=list)


def _parts(request: MixedRequest) -> list[_Part]:
    parts: dict[Hashable, _Part] = {}
    for place, item in enumerate(request.items):
        key = content_of(item.labels) if isinstance(item, LabelsItem) else (item.domain, item.prompt)
        if key not in parts:
            parts[key] = _part(item)
        parts[key].places.append(place)
    return list(parts.values())


def _part(item: Item | LabelsItem) -> _Part:
    if isinstance(item, Item):
        return _Part(item.domain, item.prompt)
    try:
        return _Part(None, labels=label_set(item.labels))
    except InputError as error:
        return _Part(None, refusal=Refusal(Reason.UNUSABLE_LABELS, detail=str(error)))


def _check_whole(outcomes: Sequence[Answer | Refusal]) -> None:
    """Raise a refusal that is one of the whole request, so that it is tried again as a whole."""
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    for refusal in refused:
        alike = len(refused) == len(outcomes) and all(each.reason is refusal.reason for each in refused)
        if refusal.reason in _WHOLE or (refusal.reason in _WHOLE_IF_ALL and alike):
            raise ProblemError(problems.of_refusal(refusal))


def _check_thresholds(request: EntitiesRequest | MixedRequest, outcomes: Sequence[Answer | Refusal]) -> None:
    """Raise a problem about thresholds of labels that no prompt of the request finds, where all prompts are known."""
    answers = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
    if len(answers) < len(outcomes):
        return
    known = {label for answer in answers for label in answer.labels}
    if unknown := Thresholds(own=request.thresholds).unknown(known):
        said = f"found no such label, expected some of {', '.join(sorted(known))}"
        fields = [ProblemField(field=f"body.thresholds.{label}", message=said) for label in unknown]
        raise ProblemError(problems.of_fields(fields[: problems.MAX_ERRORS]))


def _frozen(text: Given) -> str | tuple[str, ...]:
    return text if isinstance(text, str) else tuple(text)


def _item_results(
    outcome: Answer | Refusal, places: Sequence[int], request: MixedRequest
) -> list[ItemResult | ItemProblem]:
    if isinstance(outcome, Refusal):
        return [_item_problem(outcome, place, request.items[place]) for place in places]
    named: Mapping[str, str | None] = {"domain": outcome.domain}
    if outcome.version is not None:
        named = {**named, "prompt_version": outcome.version}
    return [
        _item_problem(reading, place, request.items[place])
        if isinstance(reading, Refusal)
        else ItemResult(**named, entities=_entities(reading, outcome, request), windows=reading.windows)
        for place, reading in zip(places, outcome.texts, strict=True)
    ]


def _item_problem(refusal: Refusal, place: int, item: Item | LabelsItem) -> ItemProblem:
    by = "labels" if isinstance(item, LabelsItem) else "domain"
    part = "text" if refusal.reason is Reason.UNREADABLE_TEXT else by
    problem = problems.of_refusal(refusal, field=f"body.items.{place}.{part}")
    return ItemProblem(domain=refusal.domain, problem=problem)


def _entities(
    tagged: TaggedText, answer: Answer, request: EntitiesRequest | MixedRequest
) -> list[FoundEntity] | list[GroupedEntity]:
    least = Thresholds(request.threshold, request.thresholds)
    kept = [each for each in tagged.entities if least.keeps(each, answer.calibration)]
    return list(map(_grouped, kept)) if request.output == "entity_group" else list(map(found_entity, kept))


def found_entity(each: Entity) -> FoundEntity:
    """An entity as answers have it."""
    return FoundEntity(
        start=each.start,
        end=each.end,
        text=each.text,
        label=each.label,
        score=each.score,
        **_words_of(each),
    )


def _grouped(each: Entity) -> GroupedEntity:
    return GroupedEntity(
        entity_group=each.label,
        score=each.score,
        word=each.text,
        start=each.start,
        end=each.end,
        **_words_of(each),
    )


def _words_of(each: Entity) -> dict[str, int]:
    if each.start_word is None or each.end_word is None:
        return {}
    return {"start_word": each.start_word, "end_word": each.end_word}
