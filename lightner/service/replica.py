"""The backbone deployment: one frozen model and the prompts of all domains; requests share batches.

Reads texts through `lightner.tagger`, as the library does offline, so both give equal answers. Knows no HTTP, and as a
plain class it also runs without ray.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch

from lightner.model import backbone as backbones
from lightner.model.prompts import Prompt
from lightner.model.untuned import reading
from lightner.service.batcher import Batcher, Failed, Overloaded
from lightner.service.label_prompts import LabelPrompts
from lightner.service.listing import Listing
from lightner.service.messages import (
    HELD_DOMAINS,
    Answer,
    Ask,
    Description,
    Family,
    Named,
    Reason,
    Refusal,
)
from lightner.service.observers import REQUEST_LABELS, Observer, Silent
from lightner.service.prompt_cache import PromptCache, refusal_of
from lightner.service.settings import Limits, Settings
from lightner.store import card as cards
from lightner.store.artifact import PromptArtifact
from lightner.store.async_reader import AsyncReader
from lightner.store.card import Card
from lightner.store.loading import prompt_for
from lightner.store.registry import LIVE, DomainExists, Registry, RegistryUnavailable
from lightner.store.untuned import artifact_from
from lightner.tagger import Reading, Row, WindowedText, infer, prepare, readings
from lightner.texts import Text
from lightner.types import InputError, LabelSet, TaggedText

MAX_REPORTED = 1000
SAMPLE_S = 10.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedPrompt:
    """A prompt on the device and its card."""

    prompt: Prompt
    card: Card

    @property
    def nbytes(self) -> int:
        return self.prompt.nbytes


class BackboneReplica:
    """A `messages.Reader` with one backbone and one registry; `observe` makes the observer of its events.

    Raises InputError on construction if the backbone cannot be loaded or the registry's address is wrong.
    """

    def __init__(self, settings: Settings, observe: Callable[[], Observer[Row]] = Silent) -> None:
        self._observer = observe()
        dtype = getattr(torch, settings.dtype)
        self._backbone = backbones.load(settings.backbone, device=settings.torch_device, dtype=dtype)
        self._registry = Registry.open(settings.registry, timeout_s=settings.registry_timeout_s)
        limits = Limits()
        reader = AsyncReader(self._registry)
        self._prompts = PromptCache(reader, self._load, limits=limits.prompts, observer=self._observer)
        self._labels = LabelPrompts(self._read_labels, limits=limits.prompts, observer=self._observer)
        self._listing = Listing(self._registry.domains)
        self._preload: asyncio.Task[None] | None = None
        self._batcher: Batcher[Row, Reading] = Batcher(
            self._forward,
            length=lambda row: len(row.words),
            # In a shared batch, rows of many labels would make all others attend to and score as many slots.
            width=lambda row: max(row.prompt.guidance.length, len(row.prompt.labels)),
            limits=limits.batch,
            observer=self._observer,
        )
        # A row of our own for the health check; what is found in it does not matter.
        vectors = self._backbone.embedding[:1].detach().clone()
        self._sample = Row(Prompt(LabelSet.of(["any"]), self._backbone.default, vectors), ("any",))
        _log.info("backbone %s on %s, prompts from %s", self._backbone.name, self._backbone.device, self._registry.url)

    async def reconfigure(self, user_config: Mapping[str, Any]) -> None:
        """Apply new limits; Ray calls this while the replica runs, and before a new replica is ready.

        Waits for preloading for at most `preload_wait_s`; the rest loads while the first requests are answered.
        Raises pydantic's ValidationError for unknown keys and bad values.
        """
        limits = Limits.model_validate(user_config)
        self._prompts.limits = self._labels.limits = limits.prompts
        self._batcher.limits = limits.batch
        self._preload = asyncio.create_task(self._prompts.preload())
        await asyncio.wait({self._preload}, timeout=limits.prompts.preload_wait_s)

    async def check_health(self) -> None:
        """Raise if this replica should be replaced, for example because its device is broken.

        After a batch of which every row failed, the texts or the device may be at fault: a row of our own decides.
        """
        self._batcher.check()
        if not self._batcher.failing:
            return
        try:
            async with asyncio.timeout(SAMPLE_S):
                [outcome] = await self._batcher.submit([self._sample])
        except (TimeoutError, Overloaded):
            return  # the rows that are read first will show it
        if isinstance(outcome, Failed):
            raise RuntimeError("the backbone can no longer read any text") from outcome.error

    async def record_routing_stats(self) -> dict[str, list[str]]:
        """The domains whose prompts are on this replica, for Ray's router; Ray calls a method of this name."""
        recent = dict.fromkeys(domain for domain, _ in reversed(self._prompts.resident))
        # Sorted, since Ray sends the answer to its routers whenever it has changed.
        return {HELD_DOMAINS: sorted(list(recent)[:MAX_REPORTED])}

    async def tag(self, asks: Sequence[Ask]) -> list[Answer | Refusal]:
        """An answer or a refusal for each ask, in their order; rows of all of them may share a forward pass."""
        clock = asyncio.get_running_loop().time
        began_s = clock()
        outcomes = await self._read(await asyncio.gather(*map(self._planned, asks)))
        for ask, outcome in zip(asks, outcomes, strict=True):
            reason = outcome.reason if isinstance(outcome, Refusal) else None
            # A known version means that the domain is published. Labels themselves are reported nowhere.
            domain = REQUEST_LABELS if ask.labels else ask.domain if outcome.version else None
            self._observer.on_answer(domain, reason, len(ask.texts), clock() - began_s)
        return outcomes

    async def describe(self, domain: str, ref: str | None) -> Description | Refusal:
        """The card of a domain's prompt; loads the prompt."""
        found = await self._prompts.get(domain, ref or LIVE)
        if isinstance(found, Refusal):
            return found
        return Description(domain, found.version, json.loads(cards.to_json(found.value.card)))

    async def domains(self) -> list[str] | Refusal:
        """Names of all published domains, sorted; a new domain appears within `alias_ttl_s`."""
        try:
            return list(await self._listing.names(ttl_s=self._prompts.limits.alias_ttl_s))
        except RegistryUnavailable as error:
            _log.warning("the registry could not list its domains: %s", error)
            return Refusal(Reason.REGISTRY_UNAVAILABLE)

    async def create_domain(self, domain: str, labels: LabelSet) -> Named | Refusal:
        """Publish the first version of a new domain, from its labels; requests to this replica see it at once."""
        try:
            return await self._created(domain, labels)
        except DomainExists:
            return Refusal(Reason.DOMAIN_EXISTS, domain)
        except Exception as error:
            return refusal_of(error, domain, None)
        finally:
            # A failed call may have created it.
            self._prompts.expire(domain, LIVE)
            self._listing.forget()

    async def set_alias(self, domain: str, alias: str, version: str) -> Named | Refusal:
        """Let an alias name a published version; requests to this replica see it at once."""

        def move() -> str:
            self._registry.set_alias(domain, alias, version)
            return version

        return await self._renamed(domain, alias, move)

    async def rollback(self, domain: str, alias: str) -> Named | Refusal:
        """Let an alias name again what it named before; requests to this replica see it at once."""
        return await self._renamed(domain, alias, lambda: self._registry.rollback(domain, alias))

    async def metrics(self) -> list[Family]:
        """The metrics of this replica."""
        return self._observer.families()

    async def backbone(self) -> str:
        return self._backbone.name

    async def _created(self, domain: str, labels: LabelSet) -> Named | Refusal:
        await asyncio.to_thread(self._registry.must_be_new, domain)
        prompt = await self._labels.get(labels)
        if isinstance(prompt, Refusal):
            return replace(prompt, domain=domain)
        try:
            artifact = await self._batcher.between(lambda: artifact_from(domain, prompt, self._backbone))
        except InputError as error:
            return Refusal(Reason.UNUSABLE_LABELS, domain, detail=str(error))
        published = await asyncio.to_thread(self._registry.create, artifact)
        return Named(domain, LIVE, published.version)

    async def _renamed(self, domain: str, alias: str, move: Callable[[], str]) -> Named | Refusal:
        try:
            return Named(domain, alias, await asyncio.to_thread(move))
        except Exception as error:
            return refusal_of(error, domain, None)
        finally:
            # A failed call may still have moved the alias.
            self._prompts.expire(domain, alias)

    async def _planned(self, ask: Ask) -> _Planned | Refusal:
        """The ask with its prompt, loaded or made if necessary, and its texts cut into rows."""
        version = None
        try:
            found = await self._prompt(ask)
            if isinstance(found, Refusal):
                return found
            version, prompt = found
            # In a thread, since splitting long texts would hold up the other requests of the event loop.
            texts = await asyncio.to_thread(_windowed, ask.texts, prompt)
            rows = tuple(row for text in texts for row in text.rows(prompt))
        except Exception:
            return _failed(ask.domain, version)
        return _Planned(ask.domain, version, prompt, texts, rows)

    async def _prompt(self, ask: Ask) -> tuple[str | None, Prompt] | Refusal:
        """The prompt that an ask needs, and its version (None for labels)."""
        if ask.labels is not None:
            made = await self._labels.get(ask.labels)
            return made if isinstance(made, Refusal) else (None, made)
        assert ask.domain is not None, "an ask names a domain or brings labels"
        found = await self._prompts.get(ask.domain, ask.ref or LIVE)
        return found if isinstance(found, Refusal) else (found.version, found.value.prompt)

    async def _read_labels(self, labels: LabelSet) -> Prompt:
        """Make the prompt of labels between batches, a step at a time."""
        steps = reading(self._backbone, labels)
        while True:
            prompt = await self._batcher.between(lambda: _next(steps))
            if prompt is not None:
                return prompt

    async def _read(self, planned: Sequence[_Planned | Refusal]) -> list[Answer | Refusal]:
        """Submit the rows of all asks together, so that a request is queued as a whole or refused as a whole."""
        rows = [row for each in planned if isinstance(each, _Planned) for row in each.rows]
        try:
            outcomes = iter(await self._batcher.submit(rows))
        except Overloaded:
            full = Reason.OVERLOADED
            return [e if isinstance(e, Refusal) else Refusal(full, e.domain, e.version) for e in planned]
        except Exception:
            return [e if isinstance(e, Refusal) else _failed(e.domain, e.version) for e in planned]
        return [each if isinstance(each, Refusal) else _answer(each, outcomes) for each in planned]

    def _load(self, artifact: PromptArtifact) -> LoadedPrompt:
        return LoadedPrompt(prompt_for(artifact, self._backbone), artifact.card)

    def _forward(self, rows: Sequence[Row]) -> list[Reading]:
        work = prepare(self._backbone, rows)
        return readings(work, infer(self._backbone, work))


@dataclass(frozen=True, slots=True)
class _Planned:
    """An ask whose prompt is loaded: the prompt and its version, the texts and their rows."""

    domain: str | None
    version: str | None
    prompt: Prompt
    texts: Sequence[WindowedText]
    rows: tuple[Row, ...]


def _answer(planned: _Planned, outcomes: Iterator[Reading | Failed]) -> Answer:
    """The answer to an ask; takes the outcomes of its rows from the front of `outcomes`."""
    return Answer(
        planned.domain,
        planned.version,
        tuple(
            _tagged(text, list(islice(outcomes, len(text.windows))), planned.domain, planned.version)
            for text in planned.texts
        ),
        planned.prompt.labels.names,
        planned.prompt.calibration,
    )


def _next(steps: Generator[None, None, Prompt]) -> Prompt | None:
    """Take a step; after the last one, its result as a value, since StopIteration cannot leave a coroutine."""
    try:
        return next(steps)
    except StopIteration as end:
        prompt: Prompt = end.value
        return prompt


def _failed(domain: str | None, version: str | None) -> Refusal:
    """The refusal for the exception that is being handled, which goes to the log."""
    _log.exception("texts of domain %s could not be read", domain or REQUEST_LABELS)
    return Refusal(Reason.FAILED, domain, version)


def _windowed(texts: Sequence[Text], prompt: Prompt) -> list[WindowedText]:
    return [WindowedText.of(text, prompt.reach, nested=prompt.nested) for text in texts]


def _tagged(
    text: WindowedText, outcomes: Sequence[Reading | Failed], domain: str | None, version: str | None
) -> TaggedText | Refusal:
    found = []
    for outcome in outcomes:
        if isinstance(outcome, Failed):
            unreadable = isinstance(outcome.error, InputError)
            return Refusal(Reason.UNREADABLE_TEXT if unreadable else Reason.FAILED, domain, version)
        found.append(outcome)
    reading = text.reading(found)
    return text.tagged(reading.spans, mean_log_p=reading.mean_log_p)
