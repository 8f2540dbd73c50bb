"""The prompt cache: prompts on the device, loads in progress, and failures that are remembered for a while.

Prompts on the device are ready to use. A second tier in host memory may keep artefacts, which then load without the
store; on a CPU both tiers are the same memory and one is enough. Knows no HTTP and no ray; belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from lightner.service.lru import Key, Tier
from lightner.service.messages import Reason, Refusal
from lightner.service.observers import DEVICE, HOST, CacheObserver, Silent
from lightner.service.settings import CacheLimits
from lightner.store.artifact import PromptArtifact
from lightner.store.registry import LIVE, RegistryUnavailable, UnknownPrompt
from lightner.types import InputError

MAX_REMEMBERED = 10_000
PARALLEL_LOADS = 16
PARALLEL_LOOKUPS = 64
STORE = "store"
T = TypeVar("T")
V = TypeVar("V", bound="Sized")
_log = logging.getLogger(__name__)


class Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


class Store(Protocol):
    """The methods of `lightner.store.async_reader.AsyncReader` that are used here."""

    async def resolve(self, domain: str, ref: str) -> str: ...

    async def load(self, domain: str, version: str, build: Callable[[PromptArtifact], T]) -> T: ...


@dataclass(frozen=True, slots=True)
class Resident(Generic[V]):
    """A loaded version of a domain's prompt."""

    domain: str
    version: str
    value: V


@dataclass(frozen=True, slots=True)
class _Until(Generic[T]):
    """A value and the time on the event loop's clock after which it has to be asked for again."""

    what: T
    until_s: float


class PromptCache(Generic[V]):
    """Prompts by domain and alias or version, loaded on first use. `limits` may be replaced at any time.

    Concurrent requests share one load of a prompt, different prompts load in parallel, and a cancelled request cancels
    no load. An alias is resolved again after `alias_ttl_s`; the previous version is used until the new one is loaded,
    and while the store does not answer. A pinned domain's live version stays on the device from its first use.
    """

    def __init__(
        self,
        store: Store,
        build: Callable[[PromptArtifact], V],
        *,
        limits: CacheLimits,
        observer: CacheObserver | None = None,
    ) -> None:
        self.limits = limits
        self._store = store
        self._build = build
        self._observer: CacheObserver = observer or Silent[object]()
        self._device: Tier[Resident[V]] = Tier(DEVICE, self._observer)
        self._host: Tier[PromptArtifact] = Tier(HOST, self._observer)
        self._pins: dict[str, str] = {}
        self._loads = asyncio.Semaphore(PARALLEL_LOADS)
        self._lookups = asyncio.Semaphore(PARALLEL_LOOKUPS)
        self._versions: OrderedDict[Key, _Until[str]] = OrderedDict()
        self._refusals: OrderedDict[Key, _Until[Refusal]] = OrderedDict()
        self._refreshing: dict[Key, asyncio.Task[Resident[V] | Refusal]] = {}
        self._loading: dict[Key, asyncio.Task[Resident[V] | Refusal]] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of all prompts on the device."""
        return self._device.nbytes

    @property
    def resident(self) -> tuple[Key, ...]:
        """Domain and version of all prompts on the device, the least recently used first."""
        return self._device.keys

    async def preload(self) -> None:
        """Load the pinned domains and those to preload. Failures are logged; such prompts are loaded on first use."""
        turns = asyncio.Semaphore(PARALLEL_LOADS)

        async def load(domain: str) -> None:
            async with turns:
                await self.get(domain, LIVE)

        await asyncio.gather(*map(load, dict.fromkeys((*self.limits.pinned, *self.limits.preload))))

    async def get(self, domain: str, ref: str) -> Resident[V] | Refusal:
        """The prompt that `ref`, an alias or a version, names; a refusal if it cannot be loaded."""
        name = (domain, ref)
        known = self._versions.get(name)
        held = self._device.get((domain, known.what)) if known else None
        if known and held and _now() < known.until_s:
            self._observer.on_lookup(hit=True)
            return self._used(held, ref)
        if not held and (refusal := self._remembered(name)):
            return refusal
        self._observer.on_lookup(hit=held is not None)
        task = _once(self._refreshing, name, self._refresh)
        await asyncio.wait({task}, timeout=self.limits.patience_s if held else None)
        outcome = task.result() if task.done() else Refusal(Reason.REGISTRY_UNAVAILABLE, domain)
        if isinstance(outcome, Resident):
            return self._used(outcome, ref)
        if held and name in self._versions:  # the name still names a version
            if self._versions[name] is known:  # and has not been expired meanwhile
                _put(self._versions, name, _Until(held.version, _now() + self.limits.alias_ttl_s))
            return self._used(held, ref)
        return outcome

    def expire(self, domain: str, ref: str) -> None:
        """Resolve `ref` again at the next request; until the store answers, the previous version is used."""
        name = (domain, ref)
        self._refusals.pop(name, None)
        self._refreshing.pop(name, None)  # it may have the store's previous answer already
        if known := self._versions.get(name):
            self._versions[name] = _Until(known.what, _now())

    async def _refresh(self, domain: str, ref: str) -> Resident[V] | Refusal:
        """Resolve `ref` and load its version; requests use it only after both.

        If `ref` is expired meanwhile, the outcome answers those who wait for it and is not kept.
        """
        name = (domain, ref)
        version = await self._named(domain, ref)
        outcome = version if isinstance(version, Refusal) else await self._version(domain, version)
        if self._refreshing.get(name) is not asyncio.current_task():
            return outcome
        if isinstance(outcome, Resident):
            _put(self._versions, name, _Until(outcome.version, _now() + self.limits.alias_ttl_s))
            self._refusals.pop(name, None)
            return outcome
        if isinstance(version, Refusal) and version.reason is Reason.UNKNOWN_PROMPT:
            self._versions.pop(name, None)
        return self._remember(name, outcome)

    async def _named(self, domain: str, ref: str) -> str | Refusal:
        """The version that `ref` names. If host memory holds it, it is used while the store does not answer."""
        known = self._versions.get((domain, ref))
        in_host = known is not None and (domain, known.what) in self._host
        if known and in_host and _now() < known.until_s:
            return known.what
        found = await self._resolve(domain, ref)
        out = isinstance(found, Refusal) and found.reason is not Reason.UNKNOWN_PROMPT
        return known.what if known and in_host and out else found

    async def _resolve(self, domain: str, ref: str) -> str | Refusal:
        try:
            async with asyncio.timeout(self.limits.load_timeout_s), self._lookups:
                return await self._store.resolve(domain, ref)
        except Exception as error:
            return self._refusal(error, domain, None)

    async def _version(self, domain: str, version: str) -> Resident[V] | Refusal:
        """The prompt of a version that the store has just named."""
        key = (domain, version)
        if resident := self._device.get(key):
            return resident
        # That a version is unknown may be remembered from before it was published.
        if (refusal := self._remembered(key)) and refusal.reason is not Reason.UNKNOWN_PROMPT:
            return refusal
        return await asyncio.shield(_once(self._loading, key, self._load))

    async def _load(self, domain: str, version: str) -> Resident[V] | Refusal:
        key, began_s = (domain, version), _now()
        try:
            if held := self._host.get(key):
                source, artifact, value = HOST, held, await asyncio.to_thread(self._build, held)
            else:
                async with self._loads, asyncio.timeout(self.limits.load_timeout_s):
                    artifact, value = await self._store.load(domain, version, lambda read: (read, self._build(read)))
                source = STORE
        except Exception as error:
            return self._remember(key, self._refusal(error, domain, version))
        resident = Resident(domain, version, value)
        self._observer.on_load(source, _now() - began_s)
        self._keep(resident, artifact)
        return resident

    def _keep(self, resident: Resident[V], artifact: PromptArtifact) -> None:
        key, limits = (resident.domain, resident.version), self.limits
        if limits.max_host_bytes:
            size = sum(tensor.nbytes for tensor in artifact.tensors.values())
            self._host.put(key, artifact, size, max_bytes=limits.max_host_bytes, pinned=lambda _: False)
        size = resident.value.nbytes
        if not self._device.put(key, resident, size, max_bytes=limits.max_bytes, pinned=self._is_pinned):
            _log.warning("prompt %s %s has %d bytes, more than the cache has room for", *key, size)

    def _is_pinned(self, key: Key) -> bool:
        domain, version = key
        return domain in self.limits.pinned and self._pins.get(domain) == version

    def _used(self, resident: Resident[V], ref: str) -> Resident[V]:
        if ref == LIVE and resident.domain in self.limits.pinned:
            self._pins[resident.domain] = resident.version
        return resident

    def _remember(self, key: Key, refusal: Refusal) -> Refusal:
        outage = refusal.reason in (Reason.REGISTRY_UNAVAILABLE, Reason.FAILED)
        ttl_s = self.limits.outage_ttl_s if outage else self.limits.refusal_ttl_s
        _put(self._refusals, key, _Until(refusal, _now() + ttl_s))
        return refusal

    def _remembered(self, key: Key) -> Refusal | None:
        known = self._refusals.get(key)
        return known.what if known and _now() < known.until_s else None

    def _refusal(self, error: Exception, domain: str, version: str | None) -> Refusal:
        refusal = refusal_of(error, domain, version)
        self._observer.on_failure(refusal.reason)
        return refusal


def refusal_of(error: Exception, domain: str, version: str | None) -> Refusal:
    """The refusal that the registry's `error` about a prompt means; details go to the log."""
    if isinstance(error, UnknownPrompt):
        return Refusal(Reason.UNKNOWN_PROMPT, domain, version)
    if isinstance(error, InputError):
        _log.error("prompt %s %s is refused: %s", domain, version, error)
        return Refusal(Reason.UNUSABLE_PROMPT, domain, version)
    if isinstance(error, RegistryUnavailable | TimeoutError):
        _log.warning("the registry did not give prompt %s %s: %s", domain, version, error or type(error).__name__)
        return Refusal(Reason.REGISTRY_UNAVAILABLE, domain, version)
    _log.error("prompt %s %s could not be loaded", domain, version, exc_info=error)
    return Refusal(Reason.FAILED, domain, version)


def _once(
    flights: dict[Key, asyncio.Task[T]], key: Key, start: Callable[[str, str], Coroutine[None, None, T]]
) -> asyncio.Task[T]:
    """The running task for `key`, or a new one."""
    if key not in flights:
        flights[key] = task = asyncio.create_task(start(*key))

        def landed(_: object) -> None:
            if flights.get(key) is task:
                del flights[key]

        task.add_done_callback(landed)
    return flights[key]


def _put(known: OrderedDict[Key, _Until[T]], key: Key, what: _Until[T]) -> None:
    known[key] = what
    known.move_to_end(key)
    if len(known) > MAX_REMEMBERED:
        known.popitem(last=False)


def _now() -> float:
    return asyncio.get_running_loop().time()
