"""The wire contract of Label Studio's machine-learning backends, as far as it is used here.

Unlike our own requests these may have further fields: Label Studio sends whole projects, tasks and tokens, of which
nothing else is read or kept.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from lightner.service.schemas import MAX_TEXTS, MAX_TOTAL_CHARACTERS

Interface = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TOTAL_CHARACTERS)]


class _Sent(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class HealthAnswer(_Message):
    status: str
    model_class: str


class SetupRequest(_Sent):
    """A project that is connected: `schema` is its labelling interface, as XML."""

    interface: Interface = Field(alias="schema", examples=['<View><Labels name="label" toName="text"/></View>'])


class SetupAnswer(_Message):
    """The version that reads texts now: Label Studio asks again for those that an earlier one has read."""

    model_version: str


class TaskForm(_Sent):
    """A task: its data by name, one of which is the text."""

    data: dict[str, Any]


class PredictRequest(_Sent):
    tasks: list[TaskForm] = Field(min_length=1, max_length=MAX_TEXTS)
    label_config: Interface


class Prediction(_Message):
    """What was found in a task, in Label Studio's form of results, with how sure the model is of all of it."""

    result: list[dict[str, Any]]
    score: float
    model_version: str


class PredictAnswer(_Message):
    results: list[Prediction]


class AnnotationForm(_Sent):
    """An annotation, or the id of one that was deleted."""

    id: int
    result: list[dict[str, Any]] | None = None
    was_cancelled: bool | None = None


class ProjectForm(_Sent):
    id: int
    created_at: Annotated[str, StringConstraints(max_length=64)] = ""
    label_config: str = ""


class WebhookRequest(_Sent):
    """An event of a project. An action that is not about annotations changes nothing."""

    action: Annotated[str, StringConstraints(max_length=64)] = Field(examples=["ANNOTATION_CREATED"])
    project: ProjectForm | None = None
    task: TaskForm | list[TaskForm] | None = None
    annotation: AnnotationForm | list[AnnotationForm] | None = None
    annotations: list[AnnotationForm] | None = None


class WebhookAnswer(_Message):
    """The examples that were added or changed, labels that are new to the domain, and the tuning that was started."""

    examples: list[str] = []
    labels: list[str] = []
    tuning: str | None = None
