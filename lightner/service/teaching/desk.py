"""What the routes of teaching work with, and how errors of its store become problems. Knows no ray, no torch."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, TypeVar

from lightner.service import problems
from lightner.service.messages import Reader, Reason, Refusal
from lightner.service.problems import ProblemError
from lightner.service.schemas import Problem, ProblemField
from lightner.service.settings import Settings
from lightner.service.teaching.forms import example_answer, labels_answer
from lightner.service.teaching.proposals import Proposer
from lightner.service.teaching.schemas import ChangedProblem
from lightner.service.teaching.tuner import Jobs, Tuner
from lightner.service.teaching.tuning_schemas import InProgressProblem
from lightner.store.example import Example
from lightner.store.examples import Conflict, Damaged, Examples, UnknownExample
from lightner.store.objects import open_objects
from lightner.store.registry import Registry, RegistryUnavailable, UnknownPrompt
from lightner.store.taught import Label, Taught
from lightner.store.tunings import TuningInProgress, Tunings
from lightner.types import InputError

T = TypeVar("T")
# How messages of the store name the part of a request that is wrong.
_FIELD = re.compile(r"(spans(?:\.\d+)?(?:\.label)?|labels?(?: '[^']*')?|state|text|name|format|columns|repair): ")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Desk:
    """The service's reader, and the examples and prompts of its registry."""

    reader: Reader
    examples: Examples
    registry: Registry
    tuner: Tuner | None
    """None where the service has no place for tunings."""
    proposer: Proposer = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "proposer", Proposer(self.reader))

    @classmethod
    def of(cls, settings: Settings, reader: Reader, jobs: Jobs) -> Desk:
        """The desk over the registry of the service's settings, of which nothing is asked yet."""
        objects = open_objects(settings.registry, timeout_s=settings.registry_timeout_s)
        tuner = None
        if settings.tuning is not None:
            tuner = Tuner(Tunings(objects), jobs, settings.registry, settings.backbone, settings.tuning)
        return cls(reader, Examples(objects), Registry(objects), tuner)

    async def labels(self, domain: str) -> Taught | None:
        """The labels that are taught, else those of the live prompt (revision 0); None where there is neither."""
        stated = await asked(domain, lambda: self.examples.labels(domain))
        if stated is not None:
            return stated
        found = await self.reader.describe(domain, None)
        if isinstance(found, Refusal):
            if found.reason is Reason.UNKNOWN_PROMPT:
                return None
            raise ProblemError(problems.of_refusal(found))
        pairs = zip(found.card["labels"], found.card["label_words"], strict=True)
        return Taught(tuple(Label(name, tuple(words)) for name, words in pairs))


async def asked(domain: str, work: Callable[[], T], *, field: str = "body") -> T:
    """The answer of `work`, which asks the store and blocks; its errors are raised as problems about `field`."""
    try:
        return await asyncio.to_thread(work)
    except Conflict as conflict:
        raise ProblemError(_changed(domain, conflict)) from conflict
    except UnknownExample as error:
        detail = "there is no such example"
        raise ProblemError(problems.of_status(HTTPStatus.NOT_FOUND, detail, kind="unknown-example")) from error
    except TuningInProgress as error:
        plain = problems.of_status(HTTPStatus.CONFLICT, str(error), kind="tuning-in-progress")
        known = plain.model_dump(exclude_none=True)
        raise ProblemError(InProgressProblem(**known, domain=domain, tuning=error.id)) from error
    except UnknownPrompt as error:
        raise ProblemError(problems.of_refusal(Refusal(Reason.UNKNOWN_PROMPT, domain))) from error
    except RegistryUnavailable as error:
        _log.warning("the registry did not answer about examples of %s: %s", domain, error)
        raise ProblemError(problems.of_refusal(Refusal(Reason.REGISTRY_UNAVAILABLE, domain))) from error
    except Damaged as error:
        _log.error("examples of %s are damaged: %s", domain, error)
        detail = "an object of this domain's examples is damaged; the server's log names it"
        raise ProblemError(problems.of_status(HTTPStatus.BAD_GATEWAY, detail, kind="damaged-example")) from error
    except InputError as error:
        raise ProblemError(wrong(str(error), field)) from error


@contextmanager
def about(field: str) -> Iterator[None]:
    """Raise an InputError within as the problem of this part of a request."""
    try:
        yield
    except InputError as error:
        raise ProblemError(wrong(str(error), field)) from error


async def add_labels(desk: Desk, domain: str, names: Iterable[str], *, who: str) -> list[str]:
    """Add labels that the domain lacks, and keep those that it has for teaching; returns the names of the new ones."""
    taught = await desk.labels(domain) or Taught(())
    new = sorted(set(names) - set(taught.names))
    labels = (*taught.labels, *map(Label, new))
    if labels and (new or not taught.revision):
        given = replace(taught, labels=labels, who=who)
        await asked(domain, lambda: desk.examples.put_labels(domain, given, revision=taught.revision))
    return new


def wrong(message: str, field: str) -> Problem:
    """The problem of a message of the store, about the part of `field` that it names."""
    named = _FIELD.match(message)
    path = f"{field}.{named[1].partition(' ')[0]}" if named else field
    return problems.of_fields([ProblemField(field=path, message=message)])


def _changed(domain: str, conflict: Conflict[Any]) -> Problem:
    present = conflict.present
    shown = example_answer(present) if isinstance(present, Example) else labels_answer(domain, present or Taught(()))
    plain = problems.of_status(HTTPStatus.CONFLICT, str(conflict), kind="changed-meanwhile")
    return ChangedProblem(**plain.model_dump(exclude_none=True), domain=domain, present=shown.model_dump(mode="json"))
