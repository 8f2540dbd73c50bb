"""Records of tunings that were started over HTTP, beside a domain's prompts: what was asked, and how it goes.

Layout below the registry's address:

    <domain>/tunings/<id>/record.json      who asked for what, which attempt this is, how it ended; compare-and-swap
    <domain>/tunings/<id>/progress.json    written by the job alone
    <domain>/tunings/<id>/result.json      written by the job alone, once
    <domain>/tunings/current.json          the tuning that has its turn: one of a domain at a time
    .tunings/<domain>/<id>                 empty; one for each tuning that may not have ended, of all domains

Knows no job and no Ray: whether a job still runs is the caller's to find out.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NoReturn

from lightner.store import example
from lightner.store.objects import Objects, json_object, open_objects
from lightner.types import InputError, check_name

ID = re.compile(r"[0-9]{8}t[0-9]{6}-[0-9a-f]{6}")
_MAX_BYTES = 2**24
_RECORD = "record.json"
_UNFINISHED = ".tunings/"  # no domain has such a name
_FORGOTTEN_AGE = timedelta(hours=1)


class UnknownTuning(InputError, LookupError):  # noqa: N818
    """There is no such tuning."""


class TuningInProgress(InputError):  # noqa: N818
    """Another tuning of the domain has not ended; `id` is its."""

    def __init__(self, message: str, id_: str) -> None:
        super().__init__(message)
        self.id = id_


class Ending(StrEnum):
    """How a tuning ended."""

    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Record:
    """A tuning: its options as they were asked for, by whom and when (ISO 8601, UTC), and how it ended (None: not yet).

    `attempt` counts its jobs, from 1; `attempted` is when the last of them was to be submitted.
    `reason`: why it failed.
    """

    id: str
    domain: str
    options: Mapping[str, Any]
    who: str
    started: str
    attempt: int = 1
    attempted: str = ""
    ended: Ending | None = None
    reason: str | None = None

    @property
    def job(self) -> str:
        """The name of the job of the present attempt, which no other job ever has."""
        return f"lightner-{self.domain}-{self.id}-{self.attempt}"


@dataclass(frozen=True, slots=True)
class Point:
    """The best F1 after so many seconds."""

    seconds: float
    f1: float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a tuning is: its stage, rounds of that stage, the best F1 so far and its curve, and the seconds it took.

    `seconds_left` is an estimate for the stage; None before the first round.
    """

    stage: str
    rounds_done: int
    rounds_planned: int
    f1: float | None
    seconds: float
    seconds_left: float | None
    when: str
    curve: tuple[Point, ...] = field(default=())


class Tunings:
    """The tunings at a registry's address; made by `Tunings.open`. May be used from several threads.

    All methods raise RegistryUnavailable where the store fails, and InputError for names and ids that cannot be any.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    @classmethod
    def open(cls, url: str, *, timeout_s: float = 10.0) -> Tunings:
        """The tunings in the registry at `url`. A failing request is repeated for at most `timeout_s` seconds."""
        return cls(open_objects(url, timeout_s=timeout_s))

    def start(self, domain: str, options: Mapping[str, Any], *, who: str) -> Record:
        """A new tuning that has the domain's turn. Raises TuningInProgress while another one has not ended."""
        check_name(domain, "domain")
        when = datetime.now(UTC)
        started = when.isoformat(timespec="microseconds")
        id_ = f"{when:%Y%m%dt%H%M%S}-{secrets.token_hex(3)}"
        record = Record(id_, domain, dict(options), who, started, attempted=started)

        def change(content: bytes | None) -> bytes | None:
            present = None if content is None else json_object(content).get("id")
            if present == id_:
                return None
            if isinstance(present, str) and not self._is_over(domain, present):
                raise TuningInProgress(f"{domain}: found tuning {present} in progress, expected none", present)
            return json.dumps({"id": id_}).encode()

        # First what makes it found by whoever resumes tunings; a name without a record is forgotten after a while.
        self._objects.create(_unfinished(domain, id_), b"")
        # The record before the turn: a turn without a record would look as if it were over.
        self._objects.update(_path(domain, id_, _RECORD), _MAX_BYTES, lambda _: _to_json(record))
        try:
            self._objects.update(f"{domain}/tunings/current.json", _MAX_BYTES, change)
        except TuningInProgress:
            self._objects.delete([_path(domain, id_, _RECORD), _unfinished(domain, id_)])
            raise
        return record

    def current(self, domain: str) -> Record | None:
        """The tuning that had the domain's turn last; None before the first."""
        stored = self._objects.get(f"{check_name(domain, 'domain')}/tunings/current.json", _MAX_BYTES)
        id_ = None if stored is None else json_object(stored.content).get("id")
        try:
            return self.record(domain, id_) if isinstance(id_, str) else None
        except UnknownTuning:
            return None

    def record(self, domain: str, id_: str) -> Record:
        """A tuning. Raises UnknownTuning."""
        stored = self._objects.get(_path(domain, id_, _RECORD), _MAX_BYTES)
        return self._refuse(domain, id_) if stored is None else _record(stored.content)

    def all(self, domain: str) -> tuple[Record, ...]:
        """The tunings of a domain, the newest first."""
        prefix = f"{check_name(domain, 'domain')}/tunings/"
        names = [each.path.removeprefix(prefix).partition("/") for each in self._objects.list(prefix)]
        ids = sorted((id_ for id_, _, name in names if name == _RECORD and ID.fullmatch(id_)), reverse=True)
        return tuple(self.record(domain, id_) for id_ in ids)

    def unfinished(self) -> tuple[Record, ...]:
        """Tunings of all domains that have not ended: one listing, and a request for each."""
        found = []
        for each in self._objects.list(_UNFINISHED):
            domain, _, id_ = each.path.removeprefix(_UNFINISHED).partition("/")
            try:
                record = self.record(domain, id_)
            except UnknownTuning:
                if datetime.now(UTC) - each.modified > _FORGOTTEN_AGE:
                    self._objects.delete([each.path])
                continue
            if record.ended is None:
                found.append(record)
            else:
                self._objects.delete([each.path])
        return tuple(found)

    def end(self, domain: str, id_: str, ending: Ending, *, reason: str | None = None) -> Record:
        """Let a tuning end, unless it has ended; returns what it then is."""
        return self._changed(domain, id_, lambda now: now if now.ended else replace(now, ended=ending, reason=reason))

    def again(self, domain: str, id_: str, *, after: int) -> Record | None:
        """The next attempt, for the one caller who finds that attempt `after` is the last; None for all others."""
        won: list[bool] = []

        def change(now: Record) -> Record:
            won[:] = [now.attempt == after and now.ended is None]
            return replace(now, attempt=after + 1, attempted=example.now()) if won[0] else now

        record = self._changed(domain, id_, change)
        return record if won[0] else None

    def write_progress(self, domain: str, id_: str, progress: Progress) -> None:
        """Keep how far a tuning is, in place of what was known before."""
        self._write(domain, id_, "progress.json", asdict(progress))

    def progress(self, domain: str, id_: str) -> Progress | None:
        """How far a tuning is; None before its first news."""
        found = self._read(domain, id_, "progress.json")
        if found is None:
            return None
        return Progress(**{**found, "curve": tuple(Point(**each) for each in found["curve"])})

    def write_result(self, domain: str, id_: str, result: Mapping[str, Any]) -> None:
        """Keep what came of a tuning."""
        self._write(domain, id_, "result.json", result)

    def result(self, domain: str, id_: str) -> dict[str, Any] | None:
        """What came of a tuning; None before its end."""
        return self._read(domain, id_, "result.json")

    def _is_over(self, domain: str, id_: str) -> bool:
        try:
            return self.record(domain, id_).ended is not None
        except UnknownTuning:
            return True

    def _changed(self, domain: str, id_: str, change: Any) -> Record:
        after: list[Record] = []

        def update(content: bytes | None) -> bytes | None:
            before = self._refuse(domain, id_) if content is None else _record(content)
            after[:] = [change(before)]
            return None if after[0] == before else _to_json(after[0])

        self._objects.update(_path(domain, id_, _RECORD), _MAX_BYTES, update)
        return after[0]

    def _write(self, domain: str, id_: str, name: str, content: Mapping[str, Any]) -> None:
        encoded = json.dumps(content, ensure_ascii=False).encode()
        self._objects.update(_path(domain, id_, name), _MAX_BYTES, lambda _: encoded)

    def _read(self, domain: str, id_: str, name: str) -> dict[str, Any] | None:
        stored = self._objects.get(_path(domain, id_, name), _MAX_BYTES)
        return None if stored is None else json_object(stored.content)

    def _refuse(self, domain: str, id_: str) -> NoReturn:
        raise UnknownTuning(f"{self._objects.url}: found no tuning {id_} of domain {domain!r}, expected one")


def check_tuning(id_: str) -> str:
    """`id_`, if it can be a tuning's; it then cannot leave the domain's folder. Raises InputError."""
    if not ID.fullmatch(id_):
        raise InputError(f"tuning: found id {id_!r:.80}, expected one such as 20261129t144400-1a2b3c")
    return id_


def _path(domain: str, id_: str, name: str) -> str:
    return f"{check_name(domain, 'domain')}/tunings/{check_tuning(id_)}/{name}"


def _unfinished(domain: str, id_: str) -> str:
    return f"{_UNFINISHED}{check_name(domain, 'domain')}/{check_tuning(id_)}"


def _to_json(record: Record) -> bytes:
    return json.dumps(asdict(record), ensure_ascii=False).encode()


def _record(content: bytes) -> Record:
    found = json_object(content)
    try:
        ended = found.get("ended")
        return Record(**{**found, "ended": None if ended is None else Ending(ended)})
    except (TypeError, ValueError) as error:
        raise InputError(f"tuning: found no record ({error}), expected one as this package writes it") from error
