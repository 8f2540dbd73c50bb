"""The routes of tunings: plan, start, list, watch, stop. A request chooses numbers and flags, never a command."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Request
from starlette.responses import StreamingResponse

from lightner.service import problems
from lightner.service.middleware import AnnotateRoute, administers, key_name
from lightner.service.openapi import ANNOTATE_KEY, DomainPath, conflicts
from lightner.service.problems import ProblemError
from lightner.service.teaching.desk import Desk, asked
from lightner.service.teaching.examples import COMMON
from lightner.service.teaching.tuner import JobsUnavailable, Seen, Tuner
from lightner.service.teaching.tuning_schemas import (
    ID_PATTERN,
    InProgressProblem,
    PlanAnswer,
    PointForm,
    ProgressForm,
    ResultForm,
    TuningAnswer,
    TuningRequest,
    TuningsAnswer,
)
from lightner.store.example import State
from lightner.store.tunings import Ending, Progress, UnknownTuning

LEAST_SENTENCES = 8
"""Fewer examples cannot be tuned on: there would be too little to learn from, and to measure on."""
THIN = 5
"""Sentences of a label below which it is thin."""
WATCHED_S = 40.0
"""How long events are sent before the caller has to ask again: less than any proxy lets a request take."""
LOOK_S, QUIET_S = 1.0, 10.0
TuningPath = Annotated[str, Path(pattern=ID_PATTERN, description="id of a tuning")]
T = TypeVar("T")


def router(desk: Desk) -> APIRouter:
    """All routes of tunings."""
    routes = APIRouter(tags=["tuning"], dependencies=[ANNOTATE_KEY], route_class=AnnotateRoute, responses=COMMON)
    for add in (_planning, _starting, _looking, _watching):
        add(routes, desk)
    return routes


def _planning(routes: APIRouter, desk: Desk) -> None:
    @routes.get("/v1/domains/{domain}/tunings/plan")
    async def plan_tuning(domain: DomainPath) -> PlanAnswer:
        """What a tuning would learn from, what is still thin, and what the last one took."""
        plan = await _plan(desk, domain)
        if desk.tuner is None:
            return plan
        tuner = desk.tuner

        def last() -> float | None:
            ended = (each for each in tuner.tunings.all(domain) if each.ended is Ending.FINISHED)
            results = (tuner.tunings.result(domain, each.id) for each in ended)
            return next((each["seconds"] for each in results if each and each["outcome"] != "unchanged"), None)

        return plan.model_copy(update={"seconds": await _asked(domain, last)})


def _starting(routes: APIRouter, desk: Desk) -> None:
    @routes.post("/v1/domains/{domain}/tunings", status_code=HTTPStatus.CREATED, responses=conflicts(InProgressProblem))
    async def start_tuning(domain: DomainPath, request: TuningRequest, caller: Request) -> TuningAnswer:
        """Tune on the done examples of the domain; if the gate lets it, the result goes live. One at a time."""
        if request.force and not administers(caller):
            detail = "this key may not force a version to go live; the admin key is needed"
            raise ProblemError(problems.of_status(HTTPStatus.FORBIDDEN, detail))
        return await begin(desk, domain, request, who=key_name(caller))


def _looking(routes: APIRouter, desk: Desk) -> None:
    @routes.get("/v1/domains/{domain}/tunings")
    async def list_tunings(domain: DomainPath) -> TuningsAnswer:
        """All tunings of the domain, the newest first."""
        tuner = _tuner(desk)
        seen = await _asked(domain, lambda: [tuner.look(each) for each in tuner.tunings.all(domain)])
        return TuningsAnswer(tunings=[_answer(each) for each in seen])

    @routes.get("/v1/domains/{domain}/tunings/{id}")
    async def tuning_by_id(domain: DomainPath, id: TuningPath) -> TuningAnswer:
        """A tuning: how far it is, and what came of it. One whose job has died is resumed."""
        return await _look(desk, domain, id)

    @routes.delete("/v1/domains/{domain}/tunings/{id}")
    async def stop_tuning(domain: DomainPath, id: TuningPath) -> TuningAnswer:
        """Stop a tuning; one with the same options later resumes from where it was."""
        tuner = _tuner(desk)
        return _answer(await _asked(domain, lambda: tuner.stop(tuner.tunings.record(domain, id))))


def _watching(routes: APIRouter, desk: Desk) -> None:
    stream: dict[int | str, dict[str, Any]] = {
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "Events"}
    }

    @routes.get("/v1/domains/{domain}/tunings/{id}/events", response_class=StreamingResponse, responses=stream)
    async def watch_tuning(domain: DomainPath, id: TuningPath) -> StreamingResponse:
        """Server-sent events `tuning`, each with the tuning as JSON, at each change until it ends.

        After 40 seconds the stream ends although the tuning has not: then ask again.
        """
        first = await _look(desk, domain, id)
        return StreamingResponse(_events(desk, domain, first), media_type="text/event-stream")


async def begin(desk: Desk, domain: str, request: TuningRequest, *, who: str) -> TuningAnswer:
    """Start a tuning, or raise the problem that keeps it from starting."""
    tuner = _tuner(desk)
    plan = await _plan(desk, domain)
    if not plan.possible:
        raise ProblemError(problems.of_status(HTTPStatus.UNPROCESSABLE_ENTITY, plan.why or "", kind="too-few-examples"))
    options = request.model_dump(mode="json", exclude_none=True)
    return _answer(await _asked(domain, lambda: tuner.start(domain, options, who=who)))


async def _events(desk: Desk, domain: str, first: TuningAnswer) -> AsyncIterator[str]:
    until, told, last = time.monotonic() + WATCHED_S, time.monotonic(), first
    yield _event(first)
    while last.state in ("waiting", "running") and time.monotonic() < until:
        await asyncio.sleep(LOOK_S)
        try:
            seen = await _look(desk, domain, first.id)
        except ProblemError:  # the store or Ray does not answer now: whoever watches is not left without a connection
            seen = last
        if seen != last:
            last, told = seen, time.monotonic()
            yield _event(seen)
        elif time.monotonic() - told > QUIET_S:
            told = time.monotonic()
            yield ": waiting\n\n"


def _event(tuning: TuningAnswer) -> str:
    return f"event: tuning\ndata: {tuning.model_dump_json()}\n\n"


async def _look(desk: Desk, domain: str, id_: str) -> TuningAnswer:
    tuner = _tuner(desk)
    return _answer(await _asked(domain, lambda: tuner.look(tuner.tunings.record(domain, id_))))


def _tuner(desk: Desk) -> Tuner:
    if desk.tuner is None:
        detail = "the service was started without a place for the checkpoints of tunings (tuning.storage)"
        raise ProblemError(problems.of_status(HTTPStatus.FORBIDDEN, detail, kind="tuning-disabled"))
    return desk.tuner


async def _plan(desk: Desk, domain: str) -> PlanAnswer:
    found = await asked(domain, lambda: desk.examples.all(domain))
    taught = await desk.labels(domain)
    done = [each for each in found if each.now.state is State.DONE]
    sentences: Counter[str] = Counter()
    for each in done:
        sentences.update({mark.label for mark in each.now.marks})
    labels = {name: sentences[name] for name in sorted({*sentences, *(taught.names if taught else ())})}
    why = None
    if len(done) < LEAST_SENTENCES:
        why = f"found {len(done)} done examples, expected at least {LEAST_SENTENCES}"
    elif not sentences:
        why = "found no span in any done example, expected some"
    return PlanAnswer(
        possible=why is None and desk.tuner is not None,
        why=why or (None if desk.tuner else "the service was started without a place for tunings"),
        sentences=len(done),
        test=sum(each.now.state is State.TEST for each in found),
        labels=labels,
        thin=[name for name, count in labels.items() if count < THIN],
        seconds=None,
    )


async def _asked(domain: str, work: Callable[[], T]) -> T:
    """As `desk.asked`, also for what only tunings raise."""

    def guarded() -> T:
        try:
            return work()
        except UnknownTuning as error:
            detail = "there is no such tuning"
            raise ProblemError(problems.of_status(HTTPStatus.NOT_FOUND, detail, kind="unknown-tuning")) from error
        except JobsUnavailable as error:
            detail = "the cluster's job API does not answer; try again later"
            problem = problems.of_status(HTTPStatus.SERVICE_UNAVAILABLE, detail, kind="jobs-unavailable")
            raise ProblemError(problem) from error

    return await asked(domain, guarded)


def _answer(seen: Seen) -> TuningAnswer:
    record = seen.record
    return TuningAnswer(
        id=record.id,
        domain=record.domain,
        state=seen.state,
        options=dict(record.options),
        who=record.who,
        started=record.started,
        attempt=record.attempt,
        reason=record.reason,
        progress=None if seen.progress is None else _progress(seen.progress),
        result=None if seen.result is None else ResultForm.model_validate(seen.result),
    )


def _progress(progress: Progress) -> ProgressForm:
    return ProgressForm(
        stage=progress.stage,
        rounds_done=progress.rounds_done,
        rounds_planned=progress.rounds_planned,
        f1=progress.f1,
        curve=[PointForm(seconds=each.seconds, f1=each.f1) for each in progress.curve],
        seconds=progress.seconds,
        seconds_left=progress.seconds_left,
        when=progress.when,
    )
