"""What `aliases.json` of a domain says: which version each alias names and named before, and what is being deleted.

Pure values and their JSON; knows no store.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from lightner.store.card import read_json, write_json
from lightner.types import InputError, check_name

FORMAT_VERSION = 1
MAX_HISTORY = 100
VERSION = re.compile(r"v[0-9]{6,40}")
SORTED = 10**6
"""Names of versions with numbers below this sort as their numbers do."""


@dataclass(frozen=True, slots=True)
class Alias:
    """The version that an alias names, since when (ISO 8601, UTC), and those it named before, the oldest first."""

    version: str
    since: str
    history: tuple[str, ...] = ()


@dataclass(frozen=True)
class Aliases:
    """All aliases of a domain. `retired` versions are being deleted and must not be named any more; version numbers
    up to `floor` have been used."""

    named: Mapping[str, Alias] = field(default_factory=dict)
    retired: tuple[str, ...] = ()
    floor: int = 0

    @property
    def highest(self) -> int:
        """The highest version number that is known to have been used."""
        named = (version for alias in self.named.values() for version in (alias.version, *alias.history))
        return max([self.floor, *map(number, (*named, *self.retired))])

    def in_use(self, existing: Container[str]) -> set[str]:
        """Of the `existing` versions those that an alias names, or that its rollback would return to."""
        used = set()
        for alias in self.named.values():
            earlier = (version for version in reversed(alias.history) if version in existing)
            used |= {alias.version, *islice(earlier, 1)}
        return used

    def moved(self, name: str, version: str) -> Aliases:
        """With alias `name` on `version`; the one before goes into its history."""
        old = self.named.get(name)
        if old and old.version == version:
            return self
        history = (*old.history, old.version)[-MAX_HISTORY:] if old else ()
        return replace(self, named={**self.named, name: Alias(version, _now(), history)})

    def rolled_back(self, name: str, exists: Callable[[str], bool]) -> Aliases | None:
        """With alias `name` on the last version before that still `exists`; None if there is none."""
        history = self.named[name].history if name in self.named else ()
        for at in reversed(range(len(history))):
            if history[at] not in self.retired and exists(history[at]):
                return replace(self, named={**self.named, name: Alias(history[at], _now(), history[:at])})
        return None


def number(version: str) -> int:
    return int(version[1:])


def version_name(number: int) -> str:
    """The inverse of `number`."""
    return f"v{number:06d}"


def check_alias(name: str) -> str:
    """`name`, if it can be an alias: a name that is no version."""
    if VERSION.fullmatch(check_name(name, "alias")):
        raise InputError(f"alias: found {name!r}, expected a name that does not look like a version")
    return name


def check_version(version: str) -> str:
    if not VERSION.fullmatch(version):
        raise InputError(f"version: found {version!r}, expected 'v' and at least 6 digits, such as 'v000001'")
    return version


def to_json(aliases: Aliases) -> bytes:
    named = {
        name: {"version": alias.version, "since": alias.since, "history": list(alias.history)}
        for name, alias in sorted(aliases.named.items())
    }
    rest = {"retired": list(aliases.retired), "floor": aliases.floor}
    return write_json({"format_version": FORMAT_VERSION, "aliases": named, **rest})


def from_json(content: bytes | None, *, where: str) -> Aliases:
    """The inverse of `to_json`; no content, no aliases. InputError names `where` if it is anything else."""
    if content is None:
        return Aliases()
    try:
        found = read_json(content)
        return _parsed(found)
    except (InputError, AttributeError, KeyError, TypeError) as error:
        raise InputError(f"{where}: found no aliases ({error}), expected them as the registry writes them") from error


def _parsed(found: Any) -> Aliases:
    known = {"format_version", "aliases", "retired", "floor"}
    if set(found) != known or found["format_version"] != FORMAT_VERSION or type(found["floor"]) is not int:
        raise InputError(f"found {sorted(found)}, expected {sorted(known)} of format {FORMAT_VERSION}")
    named = {}
    for name, entry in found["aliases"].items():
        if set(entry) != {"version", "since", "history"} or not isinstance(entry["since"], str):
            raise InputError(f"found {entry} for alias {name!r}, expected version, since and history")
        history = tuple(check_version(version) for version in entry["history"])
        named[check_alias(name)] = Alias(check_version(entry["version"]), entry["since"], history)
    return Aliases(named, tuple(check_version(version) for version in found["retired"]), found["floor"])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
