"""Label Studio's machine-learning backend for a domain: its protocol, with proposals out and annotations in.

Label Studio calls `health`, `setup` and `predict` below the address that it is given, and sends events to `webhook`.
Knows neither ray nor torch.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TypeVar

from fastapi import APIRouter, Request

from lightner.data.formats.label_studio import results_of
from lightner.service.messages import Answer, Refusal
from lightner.service.middleware import AnnotateRoute, key_name
from lightner.service.openapi import ANNOTATE_KEY, DomainPath, conflicts
from lightner.service.problems import ProblemError, answered
from lightner.service.teaching import annotated, tunings
from lightner.service.teaching.annotated import Interface, interface_of
from lightner.service.teaching.desk import Desk, about, add_labels, asked, wrong
from lightner.service.teaching.examples import COMMON, known_labels
from lightner.service.teaching.label_studio_schemas import (
    AnnotationForm,
    HealthAnswer,
    PredictAnswer,
    Prediction,
    PredictRequest,
    SetupAnswer,
    SetupRequest,
    TaskForm,
    WebhookAnswer,
    WebhookRequest,
)
from lightner.service.teaching.proposals import Proposed
from lightner.service.teaching.schemas import ChangedProblem
from lightner.service.teaching.tuning_schemas import TuningRequest
from lightner.store.example import Example, labels_in

PATH = "/v1/domains/{domain}/label-studio"
_MADE = frozenset({"ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED"})
_DELETED, _TRAIN = "ANNOTATIONS_DELETED", "START_TRAINING"
_SHOWN = 12
T = TypeVar("T")
_log = logging.getLogger(__name__)


def router(desk: Desk) -> APIRouter:
    """The routes that Label Studio calls."""
    routes = APIRouter(tags=["label-studio"], dependencies=[ANNOTATE_KEY], route_class=AnnotateRoute, responses=COMMON)
    for add in (_connecting, _predicting, _annotating):
        add(routes, desk)
    return routes


def _connecting(routes: APIRouter, desk: Desk) -> None:
    @routes.get(f"{PATH}/health")
    async def label_studio_health(domain: DomainPath) -> HealthAnswer:
        """The address is that of a backend, and the key is right."""
        return HealthAnswer(status="UP", model_class="LightNER")

    @routes.post(f"{PATH}/setup", responses=conflicts(ChangedProblem))
    async def label_studio_setup(domain: DomainPath, request: SetupRequest, caller: Request) -> SetupAnswer:
        """Connect a project. Labels of its interface that the domain lacks are added to the domain's."""
        with about("body.schema"):
            interface = interface_of(request.interface)
        await add_labels(desk, domain, interface.labels, who=key_name(caller))
        return SetupAnswer(model_version=_named(await desk.proposer.present(domain, await desk.labels(domain))))


def _predicting(routes: APIRouter, desk: Desk) -> None:
    @routes.post(f"{PATH}/predict")
    async def label_studio_predict(domain: DomainPath, request: PredictRequest) -> PredictAnswer:
        """What the live prompt finds in the tasks, or without one the labels alone. A text that the backbone cannot
        read has no results."""
        with about("body.label_config"):
            interface = interface_of(request.label_config)
        texts = [_text(interface, task, f"body.tasks.{place}") for place, task in enumerate(request.tasks)]
        taught = await known_labels(desk, domain)
        answer = answered(await desk.proposer.read(domain, taught, texts))
        version = _named(await desk.proposer.present(domain, taught) if answer.version is None else answer.version)
        return PredictAnswer(results=_predictions(answer, texts, interface, version))


def _annotating(routes: APIRouter, desk: Desk) -> None:
    @routes.post(f"{PATH}/webhook", responses=conflicts(ChangedProblem))
    async def label_studio_webhook(domain: DomainPath, request: WebhookRequest, caller: Request) -> WebhookAnswer:
        """Make examples of annotations that were created or changed, and open those whose annotation was deleted.

        *Start training* starts a tuning with the usual options. Other events change nothing.
        """
        who = key_name(caller)
        try:
            if request.action == _TRAIN:
                started = await tunings.begin(desk, domain, TuningRequest(), who=who)
                return WebhookAnswer(tuning=started.id)
            if request.action in _MADE:
                return await _feed(desk, domain, request, who=who)
            if request.action == _DELETED:
                sources = [_source(request, each) for each in request.annotations or ()]
                changed = await asked(domain, lambda: annotated.reopen(desk.examples, domain, sources, who=who))
                return WebhookAnswer(examples=[each.id for each in changed])
        except ProblemError as error:
            # Label Studio shows nobody what a webhook was answered.
            _log.warning("%s of Label Studio was refused for %s: %s", request.action, domain, error.problem.detail)
            raise
        return WebhookAnswer()


async def _feed(desk: Desk, domain: str, request: WebhookRequest, *, who: str) -> WebhookAnswer:
    """All annotations of an event are read before the first is kept."""
    made, tasks = _listed(request.annotation), _listed(request.task)
    if request.project is None or len(made) != len(tasks) or not made:
        raise ProblemError(wrong("found no annotation with its task and project, expected them as the payload", "body"))
    with about("body.project.label_config"):
        interface = interface_of(request.project.label_config)
    given: list[Example] = []
    for place, (annotation, task) in enumerate(zip(made, tasks, strict=True)):
        text, source = _text(interface, task, f"body.task.{place}"), _source(request, annotation)
        with about(f"body.annotation.{place}"):
            given.append(annotated.example_of(text, annotation.model_dump(), who=who, source=source))
    new = await add_labels(desk, domain, labels_in(given), who=who)

    def keep() -> list[Example]:
        return [annotated.put(desk.examples, domain, each, who=who) for each in given]

    kept = await asked(domain, keep)
    return WebhookAnswer(examples=[each.id for each in kept], labels=new)


def _predictions(answer: Answer, texts: Sequence[str], interface: Interface, version: str) -> list[Prediction]:
    predictions = []
    for text, tagged in zip(texts, answer.texts, strict=True):
        if isinstance(tagged, Refusal):
            predictions.append(Prediction(result=[], score=0.0, model_version=version))
            continue
        found = [each for each in tagged.entities if each.label in interface.labels]
        results = results_of(text, found, from_name=interface.from_name, to_name=interface.to_name)
        certainty = Proposed(answer.version, tagged).certainty
        predictions.append(Prediction(result=results, score=certainty, model_version=version))
    return predictions


def _text(interface: Interface, task: TaskForm, field: str) -> str:
    with about(field):
        return interface.text(task.data, field)


def _source(request: WebhookRequest, annotation: AnnotationForm) -> str:
    if request.project is None:
        raise ProblemError(wrong("found no project, expected the payload to be sent", "body.project"))
    return annotated.source_of(request.project.id, request.project.created_at, annotation.id)


def _listed(given: T | list[T] | None) -> list[T]:
    if given is None:
        return []
    return given if isinstance(given, list) else [given]


def _named(reader: str) -> str:
    """A version, or a short name of labels."""
    return reader if reader.startswith("v") and reader[1:].isdigit() else f"labels-{reader[:_SHOWN]}"
