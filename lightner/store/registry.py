"""Prompts in object storage: immutable versions, aliases that move, and readers that never see half of a prompt.

Layout below the registry's address, one folder per domain:

    <domain>/versions/v000001/{card.json, README.md, prompt.safetensors, manifest.json}, attachments
    <domain>/aliases.json                 alias -> version and its history; compare-and-swap on the ETag

A version number is claimed by creating its card.json, which succeeds once; manifest.json is written last, and a
version exists only when its manifest does. So two publishers get two versions, and a crash leaves the old state. The
address says where: s3://, gs://, az://, memory:///, file:// or a plain path; credentials and endpoints come from the
environment (AWS_ENDPOINT_URL for S3-compatible servers, addressed path-style). Two stores need a word:

- A local folder has no conditional overwrite; a lock file (`.lock`, flock) guards aliases.json. Files reach the disk
  when the system writes them; what a power cut leaves of a prompt is refused by its manifest.
- An S3 server that ignores conditional writes is noticed (`.conditional-write-probe`); there version numbers are
  times with random digits instead of a count, and of two aliases moved in the same moment the last one wins.

Attachments are for people, such as a picture of the scan: the manifest does not list them and no reader needs them.
Knows names and bytes; what is in a prompt is `artifact`'s business.
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from lightner.store import aliases
from lightner.store.aliases import SORTED, VERSION, Aliases, check_alias, check_version, number, version_name
from lightner.store.artifact import (
    CARD,
    FILES,
    MANIFEST,
    README,
    PromptArtifact,
    card_of,
    from_files,
    from_needed,
    to_files,
)
from lightner.store.card import Card
from lightner.store.objects import ATTEMPTS, Objects, open_objects
from lightner.store.objects import RegistryUnavailable as RegistryUnavailable
from lightner.types import NAME, InputError, check_name

LIVE = "live"
ANY = "*"
"""In place of a version that an alias is expected to name: whatever it names. No version looks like it."""
MAX_ATTACHMENT = 2**22
HALF_WRITTEN_AGE = timedelta(hours=1)
_ALIASES_BYTES = 2**20
_MANIFEST_PATH = re.compile(rf"{NAME.pattern}/versions/{VERSION.pattern}/{re.escape(MANIFEST)}")
_log = logging.getLogger(__name__)


class UnknownPrompt(InputError, LookupError):  # noqa: N818
    """There is no such domain, alias or version."""


class AliasMoved(InputError):  # noqa: N818
    """Somebody else moved the alias meanwhile."""


class DomainExists(InputError):  # noqa: N818
    """There is a version of a domain that was to be new."""


@dataclass(frozen=True, slots=True)
class Published:
    """A new version, and the alias that now names it (None: no alias was moved). `size` in bytes."""

    domain: str
    version: str
    alias: str | None
    size: int


class Registry:
    """Prompts at one address; made by `Registry.open`. May be used from several threads.

    All methods raise RegistryUnavailable where the store fails, InputError for names that do not fit the pattern and
    for content that is corrupt, and UnknownPrompt for what does not exist.
    """

    def __init__(self, objects: Objects) -> None:
        self.objects = objects

    @classmethod
    def open(cls, url: str, *, timeout_s: float = 10.0) -> Registry:
        """The registry at `url`. A failing request is repeated for at most `timeout_s` seconds."""
        return cls(open_objects(url, timeout_s=timeout_s))

    @property
    def url(self) -> str:
        return self.objects.url

    def must_exist(self) -> Registry:
        """This registry, for a reader who expects prompts in it. Raises InputError for a folder that does not exist."""
        if not self.objects.exists:
            raise InputError(f"registry: found no folder {self.url}, expected one into which prompts were published")
        return self

    def must_be_writable(self) -> None:
        """See, before time is spent on what is to be published, that it can be: a folder is made, a store is tried.

        Raises RegistryUnavailable where nothing can be written.
        """
        self.objects.try_to_write()

    def publish(
        self, artifact: PromptArtifact, *, alias: str | None = LIVE, attachments: Mapping[str, bytes] | None = None
    ) -> Published:
        """Store a new version of the prompt's domain, read it back, then let `alias` name it.

        `attachments` by file name: at most `MAX_ATTACHMENT` bytes each, named as domains are.
        """
        if alias is not None:
            check_alias(alias)
        _check_attachments(attachments or {})
        domain, files = artifact.card.domain, to_files(artifact)
        version = self._upload(domain, {**files, **(attachments or {})})
        self.verify(domain, version)
        if alias is not None:
            self.set_alias(domain, alias, version)
        _log.info("published %s of domain %s (alias %s) in %s", version, domain, alias, self.url)
        return Published(domain, version, alias, sum(len(content) for content in files.values()))

    def create(self, artifact: PromptArtifact) -> Published:
        """`publish` the first version of a new domain, as its live one.

        Of two that do so at once one succeeds; the other's version stays without an alias. Raises DomainExists.
        """
        domain = artifact.card.domain
        self.must_be_new(domain)
        published = self.publish(artifact, alias=None)
        try:
            self.set_alias(domain, LIVE, published.version, instead_of=None)
        except AliasMoved as error:
            raise DomainExists(f"{self.url}: found domain {domain!r} made by another meanwhile") from error
        return replace(published, alias=LIVE)

    def must_be_new(self, domain: str) -> None:
        """See, before a version is made, that `create` can begin. Raises DomainExists."""
        complete, _ = self._scan(domain)
        if complete:
            raise DomainExists(f"{self.url}: found {complete[-1]} of domain {domain!r}, expected none")

    def resolve(self, domain: str, ref: str = LIVE) -> str:
        """The version that `ref` names, an alias or a version."""
        return self.named_in(self.objects.content(*self.naming(domain, ref)), domain, ref)

    def naming(self, domain: str, ref: str) -> tuple[str, int]:
        """The path of the object that says which version `ref` names, and the most bytes that it may have."""
        check_name(domain, "domain")
        if VERSION.fullmatch(ref):
            return _path(domain, ref, MANIFEST), FILES[MANIFEST]
        check_alias(ref)
        return _aliases_path(domain), _ALIASES_BYTES

    def named_in(self, content: bytes | None, domain: str, ref: str) -> str:
        """The version that `ref` names, from the object at `naming`."""
        if VERSION.fullmatch(ref):
            return ref if content is not None else self._refuse_version(domain, ref)
        named = self._parse(domain, content).named
        if ref not in named:
            raise UnknownPrompt(f"{self.url}: found no alias {ref!r} of domain {domain!r}, expected {sorted(named)}")
        return named[ref].version

    def fetch(self, domain: str, ref: str = LIVE) -> tuple[str, PromptArtifact]:
        """The version that `ref` names, and its verified prompt."""
        check_name(domain, "domain")
        version = ref if VERSION.fullmatch(ref) else self.resolve(domain, ref)
        found = {name: self.objects.content(*place) for name, place in self.places(domain, version).items()}
        return version, self.verified(found, domain, version)

    def places(self, domain: str, version: str) -> dict[str, tuple[str, int]]:
        """Of each file of a version its path, and the most bytes that it may have."""
        prefix = _path(check_name(domain, "domain"), check_version(version), "")
        return {name: (prefix + name, limit) for name, limit in FILES.items()}

    def verified(self, found: Mapping[str, bytes | None], domain: str, version: str) -> PromptArtifact:
        """The prompt in the files of a version; without the README, which people read and nothing else, as well."""
        contents = {name: content for name, content in found.items() if content is not None}
        if MANIFEST not in contents:
            self._refuse_version(domain, version)
        where = f"{self.url}/{domain}/versions/{version}"
        artifact = from_files(contents, where=where) if README in found else from_needed(contents, where=where)
        if artifact.card.domain != domain:
            raise InputError(f"{where}/{CARD}: found domain {artifact.card.domain!r}, expected {domain!r}")
        return artifact

    def card(self, domain: str, version: str) -> Card:
        """The verified card of a version, without its tensors."""
        where = f"{self.url}/{check_name(domain, 'domain')}/versions/{check_version(version)}"
        found = {name: self.objects.get(_path(domain, version, name), FILES[name]) for name in (CARD, MANIFEST)}
        contents = {name: stored.content for name, stored in found.items() if stored}
        if MANIFEST not in contents:
            self._refuse_version(domain, version)
        return card_of(contents, where=where)

    def verify(self, domain: str, version: str) -> None:
        """Read all of a version and compare it with its manifest and its card."""
        self.fetch(domain, check_version(version))

    def domains(self) -> tuple[str, ...]:
        """Domains that have a version: a request per 1,000 domains and one for each, whatever else is in them."""
        names = [name for name in self.objects.folders() if NAME.fullmatch(name)]
        published = self.objects.together(lambda name: self.objects.holds(f"{name}/versions/", _MANIFEST_PATH), names)
        return tuple(sorted(name for name, is_published in zip(names, published, strict=True) if is_published))

    def versions(self, domain: str) -> tuple[str, ...]:
        """Versions of a domain, the oldest first."""
        complete, _ = self._scan(domain)
        if not complete:
            raise UnknownPrompt(f"{self.url}: found no versions of domain {domain!r}, expected a published prompt")
        return complete

    def aliases(self, domain: str) -> Mapping[str, str]:
        """Alias -> version of a domain."""
        stored = self.objects.get(_aliases_path(check_name(domain, "domain")), _ALIASES_BYTES)
        if stored is None:
            raise UnknownPrompt(f"{self.url}: found no aliases of domain {domain!r}, expected a published prompt")
        return {name: alias.version for name, alias in self._parse(domain, stored.content).named.items()}

    def history(self, domain: str, alias: str = LIVE) -> tuple[str, ...]:
        """Versions that `alias` named before, the oldest first, as far as they are kept; () where it names none."""
        check_alias(alias)
        stored = self.objects.get(_aliases_path(check_name(domain, "domain")), _ALIASES_BYTES)
        named = self._parse(domain, stored.content if stored else None).named
        return named[alias].history if alias in named else ()

    def set_alias(self, domain: str, alias: str, version: str, *, instead_of: str | None = ANY) -> None:
        """Let `alias` name `version`, which must exist; what it named before is kept for `rollback`.

        Raises AliasMoved where the alias does not name the version `instead_of` (None: none) any more.
        """
        check_name(domain, "domain")
        check_alias(alias)
        check_version(version)

        def change(content: bytes | None) -> bytes | None:
            old = self._parse(domain, content)
            named = old.named[alias].version if alias in old.named else None
            if instead_of not in (ANY, named, version) and named != version:
                where = f"{self.url}: alias {alias!r} of domain {domain!r}"
                raise AliasMoved(f"{where}: found {named}, expected {instead_of}: it was moved meanwhile")
            if version in old.retired:
                self._refuse_version(domain, version)
            self._existing(domain, version)
            new = old.moved(alias, version)
            return None if new is old else aliases.to_json(new)

        self.objects.update(_aliases_path(domain), _ALIASES_BYTES, change)
        _log.info("alias %s of domain %s names %s in %s", alias, domain, version, self.url)

    def rollback(self, domain: str, alias: str = LIVE) -> str:
        """Let `alias` name again what it named before, and return that version. Twice goes back twice."""
        check_name(domain, "domain")
        check_alias(alias)
        targets: list[str] = []

        def change(content: bytes | None) -> bytes | None:
            old = self._parse(domain, content)
            # A repeated request may find its own first write: then it is done.
            if targets and alias in old.named and old.named[alias].version == targets[-1]:
                return None
            new = old.rolled_back(alias, lambda version: self._exists(domain, version))
            if new is None:
                raise UnknownPrompt(
                    f"{self.url}: found no earlier version of alias {alias!r} of domain {domain!r} to return to"
                )
            targets.append(new.named[alias].version)
            return aliases.to_json(new)

        self.objects.update(_aliases_path(domain), _ALIASES_BYTES, change)
        _log.info("alias %s of domain %s rolled back to %s in %s", alias, domain, targets[-1], self.url)
        return targets[-1]

    def collect_garbage(self, domain: str, *, keep: int) -> tuple[str, ...]:
        """Delete all but the newest `keep` versions, and half-written ones older than an hour; return their names.

        Versions that an alias names, or that a rollback would return to, always stay. A version that is being published
        has no alias yet: let `keep` cover as many as are published at once.
        """
        if keep < 1:
            raise InputError(f"garbage collection: found keep {keep}, expected at least 1")
        doomed: tuple[str, ...] = ()

        def change(content: bytes | None) -> bytes | None:
            # Retired first, then deleted: whoever moves an alias meanwhile must read this, so none names what goes.
            nonlocal doomed
            old = self._parse(domain, content)
            complete, half = self._scan(domain)
            spare = set(complete[:-keep]) - old.in_use(set(complete) - set(old.retired))
            left = set(old.retired) & {*complete, *half}
            stale = {version for version, age in half.items() if age > HALF_WRITTEN_AGE}
            doomed = _sorted({*spare, *left, *stale})
            floor = max([old.floor, *(number(version) for version in (*complete, *doomed))])
            return aliases.to_json(replace(old, retired=doomed, floor=floor)) if doomed or old.retired else None

        self.objects.update(_aliases_path(check_name(domain, "domain")), _ALIASES_BYTES, change)
        for version in doomed:
            # The manifest first: without it the version is gone, whatever happens to the rest.
            self.objects.delete([_path(domain, version, MANIFEST)])
            self.objects.delete([each.path for each in self.objects.list(_path(domain, version, ""))])
        _log.info("deleted versions %s of domain %s in %s", doomed, domain, self.url)
        return doomed

    def _upload(self, domain: str, files: Mapping[str, bytes]) -> str:
        for _ in range(ATTEMPTS):
            version = self._claim(domain, files[CARD])
            started = time.monotonic()
            if all(self._place(_path(domain, version, name), files[name]) for name in files if name != MANIFEST):
                # After so long a pause the files may have been collected as half-written: begin anew.
                in_time = time.monotonic() - started < HALF_WRITTEN_AGE.total_seconds() / 2
                if in_time and self._place(_path(domain, version, MANIFEST), files[MANIFEST]):
                    return version
        raise RegistryUnavailable(f"{self.url}/{domain}: found {ATTEMPTS} version numbers in a row taken by others")

    def _claim(self, domain: str, card: bytes) -> str:
        if not self.objects.conditional:
            version = f"v{time.time_ns() // 1000}{random.randrange(10**6):06d}"
            self.objects.create(_path(domain, version, CARD), card)
            return version
        stored = self.objects.get(_aliases_path(domain), _ALIASES_BYTES)
        known = self._parse(domain, stored.content if stored else None).highest
        complete, half = self._scan(domain, above=known)
        last = max([known, *(number(version) for version in (*complete, *half))])
        for candidate in range(last + 1, last + 1 + ATTEMPTS):
            version = version_name(candidate)
            if self.objects.create(_path(domain, version, CARD), card):
                return version
        raise RegistryUnavailable(f"{self.url}/{domain}: found {ATTEMPTS} version numbers in a row taken by others")

    def _place(self, path: str, content: bytes) -> bool:
        if self.objects.create(path, content):
            return True
        # A repeated request may have met its own first write.
        stored = self.objects.get(path, len(content))
        return stored is not None and stored.content == content

    def _scan(self, domain: str, *, above: int = 0) -> tuple[tuple[str, ...], dict[str, timedelta]]:
        """Complete versions, the oldest first, and half-written ones with the age of their newest object.

        Those up to the number `above` are left out where their names sort as their numbers do.
        """
        prefix = f"{check_name(domain, 'domain')}/versions/"
        after = f"{prefix}{version_name(above + 1)}" if 0 < above < SORTED - 1 else None
        newest: dict[str, datetime] = {}
        complete = set()
        for each in self.objects.list(prefix, after=after):
            version, _, name = each.path.removeprefix(prefix).partition("/")
            if VERSION.fullmatch(version):
                newest[version] = max(each.modified, newest.get(version, each.modified))
                if name == MANIFEST:
                    complete.add(version)
        now = datetime.now(UTC)
        return _sorted(complete), {version: now - at for version, at in newest.items() if version not in complete}

    def _parse(self, domain: str, content: bytes | None) -> Aliases:
        return aliases.from_json(content, where=f"{self.url}/{_aliases_path(domain)}")

    def _exists(self, domain: str, version: str) -> bool:
        return self.objects.get(_path(domain, version, MANIFEST), FILES[MANIFEST]) is not None

    def _existing(self, domain: str, version: str) -> str:
        return version if self._exists(domain, version) else self._refuse_version(domain, version)

    def _refuse_version(self, domain: str, version: str) -> NoReturn:
        raise UnknownPrompt(f"{self.url}: found no version {version!r} of domain {domain!r}, expected a published one")


def _check_attachments(attachments: Mapping[str, bytes]) -> None:
    for name, content in attachments.items():
        check_name(name, "attachment")
        if name in FILES:
            raise InputError(f"attachment: found {name!r}, expected none of a prompt's own {sorted(FILES)}")
        if len(content) > MAX_ATTACHMENT:
            raise InputError(f"attachment {name}: found {len(content)} bytes, expected at most {MAX_ATTACHMENT}")


def _path(domain: str, version: str, name: str) -> str:
    return f"{domain}/versions/{version}/{name}"


def _aliases_path(domain: str) -> str:
    return f"{domain}/aliases.json"


def _sorted(versions: set[str]) -> tuple[str, ...]:
    return tuple(sorted(versions, key=number))
