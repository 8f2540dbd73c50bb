"""Objects by name in S3, GCS, Azure, a local folder or memory: bounded reads, conditional writes, two kinds of error.

The only file that knows obstore. It knows nothing of prompts.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

from obstore.exceptions import AlreadyExistsError, BaseError, NotSupportedError, PreconditionError
from obstore.store import LocalStore, MemoryStore, ObjectStore, from_url

from lightner.types import InputError

if TYPE_CHECKING:
    from obstore import GetResult, PutMode, UpdateVersion
    from obstore.store import ClientConfig

SCHEMES = ("s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss", "memory", "file")
ATTEMPTS = 50
AT_ONCE = 32
"""Objects that are read or written at the same time: an object store answers each in milliseconds, and many at once."""
MAX_RETRIES = 5
_ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT")
_LOCK = ".lock"
_PROBE = ".conditional-write-probe"
_TAKEN = (AlreadyExistsError, PreconditionError)
_UNSUPPORTED = (NotSupportedError, NotImplementedError)
T = TypeVar("T")
R = TypeVar("R")


def json_object(content: bytes) -> dict[str, Any]:
    """The JSON object in an object's content; empty where there is anything else, which has none of the keys wanted."""
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


class RegistryUnavailable(RuntimeError):  # noqa: N818
    """The store cannot be reached, refuses or fails; trying again later may help."""


@dataclass(frozen=True)
class Stored:
    """An object's content, and which state of the object that is."""

    content: bytes
    state: UpdateVersion


@dataclass(frozen=True, slots=True)
class Listed:
    """An object's name in the store, when it was written, and a tag that differs for each content (its ETag)."""

    path: str
    modified: datetime
    tag: str = ""


def open_objects(url: str, *, timeout_s: float) -> Objects:
    """The store at `url`, of which nothing is asked yet. A local folder need not exist: the first write makes it.

    Endpoints, regions and credentials come from the environment (AWS_*, GOOGLE_*, AZURE_*).

    Raises:
        InputError: no such kind of store, or a file where a folder is expected.
    """
    if "://" not in url:
        return _open_folder(url, Path(url).expanduser())
    parts = urlsplit(url)
    if parts.query or parts.fragment or parts.scheme not in SCHEMES:
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"  # what is left out may be secret
        more = " and ? or # after it" if parts.query or parts.fragment else ""
        raise InputError(
            f"registry: found {shown!r}{more}, expected a folder or <scheme>://<bucket>/<prefix>, {SCHEMES}"
        )
    if parts.scheme == "file":
        return _open_folder(url, Path(unquote(parts.path)).expanduser())
    if parts.scheme == "memory":
        return Objects(url, MemoryStore(), None)
    patience = timedelta(seconds=timeout_s)
    client: ClientConfig = {"timeout": patience, "connect_timeout": patience}
    if any(os.environ.get(name, "").startswith("http://") for name in _ENDPOINTS):
        client["allow_http"] = True
    try:
        store = from_url(
            url, client_options=client, retry_config={"max_retries": MAX_RETRIES, "retry_timeout": patience}
        )
    except (BaseError, ValueError) as error:
        raise InputError(f"registry: found {url!r} ({_first_line(error)}), expected an address of a store") from error
    return Objects(url.rstrip("/"), store, None)


class Objects:
    """A store with the few operations that the registry needs; a local one has a `folder` and makes it when it writes.

    All may be called from several threads. They raise RegistryUnavailable where the store fails.
    """

    def __init__(self, url: str, store: ObjectStore | None, folder: Path | None) -> None:
        self.url = url
        self._store = store
        self._folder = folder
        self._bare_tags = False

    @property
    def exists(self) -> bool:
        """Whether there is such a folder; of other stores that is not asked."""
        return self._folder is None or self._folder.is_dir()

    @property
    def is_folder(self) -> bool:
        """Whether it is a local folder, from which a thread reads sooner than an event loop."""
        return self._folder is not None

    def content(self, path: str, limit: int) -> bytes | None:
        """The content of an object as `get` gives it; of a folder's file, at a third of the processor time."""
        if self._folder is None:
            stored = self.get(path, limit)
            return stored.content if stored else None
        with self._translated(path):
            try:
                with open(self._folder / path, "rb", buffering=0) as file:
                    self._check_size(path, os.fstat(file.fileno()).st_size, limit)
                    return file.read()
            except FileNotFoundError:
                return None

    async def acontent(self, path: str, limit: int) -> bytes | None:
        """`content` for an event loop; of a folder use `content` in a thread."""
        stored = await self.aget(path, limit)
        return stored.content if stored else None

    def get(self, path: str, limit: int) -> Stored | None:
        """The object, None if there is none; InputError if it has more than `limit` bytes."""
        with self._translated(path):
            if (store := self._reading()) is None:
                return None
            try:
                result = store.get(path)
                self._check_size(path, result.meta["size"], limit)
                return Stored(bytes(result.bytes()), _state(result))
            except FileNotFoundError as error:
                if _is_about_bucket(error):
                    raise
                return None

    async def aget(self, path: str, limit: int) -> Stored | None:
        """`get` for an event loop."""
        with self._translated(path):
            if (store := self._reading()) is None:
                return None
            try:
                result = await store.get_async(path)
                self._check_size(path, result.meta["size"], limit)
                return Stored(bytes(await result.bytes_async()), _state(result))
            except FileNotFoundError as error:
                if _is_about_bucket(error):
                    raise
                return None

    def create(self, path: str, content: bytes) -> bool:
        """Write a new object; False, and nothing done, if there is one (see `conditional`)."""
        with self._translated(path):
            return self._put(path, content, "create")

    def update(self, path: str, limit: int, change: Callable[[bytes | None], bytes | None]) -> None:
        """Replace the object by `change` of its content, so that no writer in between is lost.

        `change` gets None where there is no object, returns None to leave things as they are, and may be called
        several times. Compare-and-swap on the ETag; a local folder has none, there a lock file does it.
        """
        before: Stored | None = None
        for attempt in range(ATTEMPTS):
            with self._locked():
                stored = self.get(path, limit)
                if before and before == stored:
                    # Nobody changed it, yet the condition failed: RadosGW 16 (Ceph) compares ETags without quotes.
                    self._bare_tags = not self._bare_tags
                content = change(stored.content if stored else None)
                if content is None or self._swap(path, stored, content):
                    return
            before = stored
            time.sleep(random.uniform(0, min(1.0, 0.01 * 2**attempt)))
        raise RegistryUnavailable(f"{self.url}/{path}: found it changed by others {ATTEMPTS} times in a row")

    def list(self, prefix: str, *, after: str | None = None) -> list[Listed]:
        """All objects under `prefix`, at any depth; of those only the ones whose paths sort after `after`."""
        with self._translated(prefix):
            if (store := self._reading()) is None:
                return []
            pages = store.list(prefix or None, offset=after, chunk_size=1000)
            return [Listed(each["path"], each["last_modified"], each["e_tag"] or "") for page in pages for each in page]

    def folders(self, prefix: str = "") -> tuple[str, ...]:
        """Names of the folders directly under `prefix` (empty, or with a slash at its end), whatever is in them.

        A store answers 1,000 folders per request, however many objects they hold.
        """
        with self._translated(prefix):
            if (store := self._reading()) is None:
                return ()
            found = store.list_with_delimiter(prefix or None)["common_prefixes"]
            return tuple(path.rstrip("/").rpartition("/")[2] for path in found)

    def holds(self, prefix: str, path: re.Pattern[str]) -> bool:
        """Whether an object with such a path is under `prefix`, at any depth: lists no further than to the first."""
        with self._translated(prefix):
            if (store := self._reading()) is None:
                return False
            pages = store.list(prefix, chunk_size=1000)
            return any(path.fullmatch(each["path"]) for page in pages for each in page)

    def delete(self, paths: Sequence[str]) -> None:
        """Remove objects; those that are gone already are no error."""
        with self._translated(", ".join(paths)):
            if (store := self._reading()) is None:
                return
            for path in paths:
                try:
                    store.delete(path)
                except FileNotFoundError as error:
                    if _is_about_bucket(error):
                        raise

    def together(self, work: Callable[[T], R], items: Iterable[T]) -> tuple[R, ...]:
        """`work` on each item, in order, `AT_ONCE` at a time."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return tuple(pool.map(work, items))

    def try_to_write(self) -> None:
        """Make the lock file of a folder, or the probe of another store; RegistryUnavailable where that fails."""
        with self._locked():
            _ = self.conditional

    @cached_property
    def conditional(self) -> bool:
        """Whether the store refuses to create what exists. Some S3 servers ignore the condition, so it is tried."""
        if self._folder or isinstance(self._store, MemoryStore):
            return True
        return not (self.create(_PROBE, b"") and self.create(_PROBE, b""))

    def _swap(self, path: str, stored: Stored | None, content: bytes) -> bool:
        mode: PutMode = "create"
        if self._folder:
            mode = "overwrite"
        elif stored:
            tag = stored.state.get("e_tag")
            mode = {**stored.state, "e_tag": tag.strip('"')} if tag and self._bare_tags else stored.state
        with self._translated(path):
            return self._put(path, content, mode)

    def _put(self, path: str, content: bytes, mode: PutMode) -> bool:
        store = self._writing()
        try:
            store.put(path, content, mode=mode, use_multipart=False)
        except _TAKEN:
            return False
        except _UNSUPPORTED:
            store.put(path, content, use_multipart=False)
        return True

    def _reading(self) -> ObjectStore | None:
        """The store, or None for a folder that does not exist: a mistyped one must not be made by looking into it."""
        if self._store is None and self._folder and self._folder.is_dir():
            self._store = LocalStore(self._folder)
        return self._store

    def _writing(self) -> ObjectStore:
        """The store; a folder is made."""
        if self._folder:
            self._folder.mkdir(parents=True, exist_ok=True)
        store = self._reading()
        assert store is not None
        return store

    def _check_size(self, path: str, size: int, limit: int) -> None:
        if size > limit:
            raise InputError(f"{self.url}/{path}: found {size} bytes, expected at most {limit}")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self._folder is None:
            yield
            return
        # flock belongs to the open file: it keeps threads apart as well as processes, and dies with its holder.
        with self._translated(_LOCK):
            self._writing()
            lock = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            with self._translated(_LOCK):
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    @contextmanager
    def _translated(self, path: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            raise RegistryUnavailable(f"{self.url}/{path}: {_first_line(error)}") from error


def _open_folder(url: str, folder: Path) -> Objects:
    if not url or urlsplit(url).netloc:
        raise InputError(f"registry: found {url!r}, expected a folder, such as prompts or file:///srv/prompts")
    resolved = folder.resolve()
    if resolved.exists() and not resolved.is_dir():
        raise InputError(f"registry: found the file {resolved}, expected a folder")
    return Objects(str(resolved), None, resolved)


def _state(result: GetResult) -> UpdateVersion:
    # obstore refuses None in either field.
    state: UpdateVersion = {}
    if (tag := result.meta["e_tag"]) is not None:
        state["e_tag"] = tag
    if (version := result.meta["version"]) is not None:
        state["version"] = version
    return state


def _is_about_bucket(error: FileNotFoundError) -> bool:
    # A missing bucket is a 404 like a missing object, but no prompt is missing: the address is wrong.
    return "NoSuchBucket" in str(error)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
