"""Annotating a file in blocks of rows: the plan, its state on disk, and the worker that annotates one block.

The state is in a folder next to the output: the plan, written once, and a part for each finished block. Knows no Ray.
"""

from __future__ import annotations

import glob
import io
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from threading import Condition
from typing import Any, BinaryIO

from cachetools import LRUCache, cached

from lightner.data.formats import parse_columns
from lightner.jobs.rows import InputRow, RowFormat, format_of, read_rows
from lightner.model import backbone as backbones
from lightner.model.prompts import Prompt
from lightner.store.loading import prompt_for
from lightner.store.registry import Registry
from lightner.tagger import tag_texts
from lightner.texts import Text
from lightner.types import InputError, TaggedText

# A worker takes one block at a time, and a kill loses at most the blocks in progress. Large files get larger blocks.
BLOCK_BYTES = 2**16
MOST_BLOCKS = 4096
# Bytes of prompts that a worker keeps in memory, as the service does by default; the least recently used are evicted.
PROMPT_BYTES = 2**30
STATE = ".annotate"
# Fields that are added to a row; the row's own fields of these names are kept under names that begin with OWN.
_WRITTEN = ("prompt_version", "entities", "windows")
OWN = "own_"
_GROWING = f".{'[0-9a-f]' * 16}.part"


@dataclass(frozen=True, slots=True)
class FileBlock:
    """Bytes `[start, end)` of a file, the number of the first line in them, and how many rows they hold."""

    start: int
    end: int
    line: int
    rows: int


@dataclass(frozen=True, slots=True)
class Request:
    """A file and how it is annotated; a started output is resumed by an equal request only."""

    source: str
    size: int
    modified_ns: int
    kind: str
    domain: str | None
    ref: str
    registry: str
    backbone: str | None
    columns: str | None = None
    """What columns of CoNLL the user names, as `parse_columns` reads it."""


@dataclass(frozen=True, slots=True)
class AnnotationPlan:
    """A request, how its file is read, the version that each domain's prompt had when it began, and its blocks."""

    request: Request
    form: RowFormat
    versions: Mapping[str, str]
    blocks: tuple[FileBlock, ...]

    @property
    def rows(self) -> int:
        return sum(block.rows for block in self.blocks)


@dataclass(frozen=True, slots=True)
class Target:
    """The paths of a file's output and of its state."""

    output: Path

    @property
    def state(self) -> Path:
        return self.output.parent / STATE / self.output.name

    @property
    def plan(self) -> Path:
        return self.state / "plan.json"

    def part(self, block: int) -> Path:
        return self.state / f"part-{block:06d}.jsonl"


def make_plan(request: Request, registry: Registry) -> AnnotationPlan:
    """Plan a file's annotation; reads the whole file once, so that its faults are reported before any work is done.

    Raises:
        InputError: a row cannot be read, names no domain, or has a field and also the name it would be kept under; a
            domain is not published; the file has changed since the request.
        RegistryUnavailable: the registry does not answer.
        OSError: the file cannot be read.
    """
    size = max(BLOCK_BYTES, request.size // MOST_BLOCKS)
    blocks: list[FileBlock] = []
    versions: dict[str, str] = {}
    begin, line, rows = 0, 1, 0
    with _opened(request) as stream:
        columns = None if request.columns is None else parse_columns(request.columns)
        form = format_of(stream, request.source, request.kind, columns=columns)
        row = None
        for row in read_rows(stream, request.source, form):
            domain = _domain(row, request)
            if domain not in versions:
                versions[domain] = _resolved(registry, domain, request.ref, f"{request.source}:{row.line}")
            _carried(row, request)
            rows += 1
            if row.end - begin >= size:
                blocks.append(FileBlock(begin, row.end, line, rows))
                begin, line, rows = row.end, row.next_line, 0
        if row is not None and rows:
            blocks.append(FileBlock(begin, row.end, line, rows))
    return AnnotationPlan(request, form, versions, tuple(blocks))


def write_plan(plan: AnnotationPlan, target: Target) -> None:
    """Write the plan, completely or not at all."""
    target.state.mkdir(parents=True, exist_ok=True)
    with whole(target.plan) as stream:
        stream.write(json.dumps(asdict(plan), indent=1).encode())


def read_plan(target: Target) -> AnnotationPlan:
    """The plan as it was written. Raises InputError for one of an earlier release, which does not say how to read."""
    found = json.loads(target.plan.read_bytes())
    if "form" not in found:
        raise InputError(
            f"{target.state}: found what an earlier release began, expected that this folder and its output are "
            "removed, or another --out"
        )
    blocks = tuple(FileBlock(**each) for each in found["blocks"])
    return AnnotationPlan(Request(**found["request"]), RowFormat.from_dict(found["form"]), found["versions"], blocks)


def assemble(plan: AnnotationPlan, target: Target) -> None:
    """Put the parts together in the input's order; the output appears complete or not at all.

    Raises:
        InputError: the file has changed since it was annotated.
        OSError: a part cannot be read, or the output not be written.
    """
    _check_same(plan.request, os.stat(plan.request.source))
    rows = 0
    with whole(target.output) as output:
        for index in range(len(plan.blocks)):
            with named(target.part(index)):
                content = target.part(index).read_bytes()
            output.write(content)
            rows += content.count(b"\n")
        assert rows == plan.rows, f"{target.output}: {rows} rows of {plan.rows}"
    clear(target)


def begun(target: Target) -> bool:
    """Whether any block is finished."""
    return target.output.exists() or any(target.state.glob("part-*.jsonl"))


def clear(target: Target) -> None:
    """Remove unfinished files of a killed job, and the parts of a finished output; no other job may use the folder."""
    unfinished = target.output.parent.glob(f".{glob.escape(target.output.name)}{_GROWING}")
    parts = target.state.glob("part-*.jsonl") if target.output.exists() else ()
    for left in [*unfinished, *target.state.glob(f".*{_GROWING}"), *parts]:
        left.unlink(missing_ok=True)


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write that appears at `path` once all of it is on disk. Raises OSError that names it."""
    growing = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        with named(path):
            with growing.open("xb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(growing, path)
    finally:
        growing.unlink(missing_ok=True)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Add `path` to an OSError that names no file, as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def _opened(request: Request) -> Iterator[BinaryIO]:
    """The file to annotate. Raises InputError if it has changed since the request, before or while it is read."""
    with named(Path(request.source)), open(request.source, "rb") as stream:
        _check_same(request, os.fstat(stream.fileno()))
        yield stream
        _check_same(request, os.fstat(stream.fileno()))


def _check_same(request: Request, about: os.stat_result) -> None:
    if (about.st_size, about.st_mtime_ns) != (request.size, request.modified_ns):
        raise InputError(f"{request.source}: found it changed, expected a file that stays as it is")


class Annotator:
    """One backbone and the prompts that its blocks name. Raises InputError if the backbone cannot be loaded."""

    def __init__(self, backbone: str | None, registry: str, device: str) -> None:
        self._backbone = backbones.load(backbone, device=device)
        self._registry = Registry.open(registry)
        held: LRUCache[object, Prompt] = LRUCache(PROMPT_BYTES, getsizeof=lambda prompt: prompt.nbytes)
        # With a condition, threads that need a prompt that is being loaded wait for it.
        self._prompt = cached(held, condition=Condition())(self._load)
        self._plan = lru_cache(8)(read_plan)

    def annotate(self, target: Target, index: int) -> int:
        """Annotate a block and write its part; returns the number of its rows.

        Raises:
            InputError: a prompt is unusable, the file has changed, or the backbone cannot read a row; the message names
                file and line.
            RegistryUnavailable: the registry does not answer.
            OSError: the file cannot be read, or the part not be written.
        """
        plan = self._plan(target)
        block, request = plan.blocks[index], plan.request
        with _opened(request) as source:
            source.seek(block.start)
            content = source.read(block.end - block.start)
        rows = list(read_rows(io.BytesIO(content), request.source, plan.form, line=block.line))
        if len(rows) != block.rows:
            raise InputError(f"{request.source}: found it changed, expected a file that stays as it is")
        tagged = self._tagged(rows, plan)
        with whole(target.part(index)) as stream:
            for place, row in enumerate(rows):
                domain = _domain(row, request)
                reader = {"domain": domain, "prompt_version": plan.versions[domain]}
                record = {**_carried(row, request), **reader, **_found(row, tagged[place])}
                stream.write(f"{json.dumps(record)}\n".encode())
        return len(rows)

    def _tagged(self, rows: Sequence[InputRow], plan: AnnotationPlan) -> dict[int, TaggedText]:
        """The rows' answers by row number; reads as many rows together as PROMPT_BYTES of prompts allow."""
        places: dict[str, list[int]] = {}
        for place, row in enumerate(rows):
            places.setdefault(_domain(row, plan.request), []).append(place)
        tagged: dict[int, TaggedText] = {}
        portion: list[tuple[int, Prompt]] = []
        size = 0
        for domain, own in places.items():
            prompt = self._prompt(domain, plan.versions[domain])
            if portion and size + prompt.nbytes > PROMPT_BYTES:
                tagged |= self._read(rows, portion, plan.request)
                portion, size = [], 0
            portion += [(place, prompt) for place in own]
            size += prompt.nbytes
        return tagged | self._read(rows, portion, plan.request)

    def _read(
        self, rows: Sequence[InputRow], portion: Sequence[tuple[int, Prompt]], request: Request
    ) -> dict[int, TaggedText]:
        """The answers of some rows; if one cannot be read, each is read alone to find out which."""
        pairs = [(prompt, rows[place].given) for place, prompt in portion]
        try:
            tagged = tag_texts(self._backbone, pairs)
        except InputError:
            tagged = [self._alone(rows[place], pair, request) for (place, _), pair in zip(portion, pairs, strict=True)]
        return {place: those for (place, _), those in zip(portion, tagged, strict=True)}

    def _alone(self, row: InputRow, pair: tuple[Prompt, Text], request: Request) -> TaggedText:
        try:
            return tag_texts(self._backbone, [pair])[0]
        except InputError as error:
            raise InputError(f"{request.source}:{row.line}: {error}") from error

    def _load(self, domain: str, version: str) -> Prompt:
        return prompt_for(self._registry.fetch(domain, version)[1], self._backbone)


def _domain(row: InputRow, request: Request) -> str:
    domain = row.domain or request.domain
    if domain is None:
        raise InputError(f"{request.source}:{row.line}: found no domain, expected one in the row or as --domain")
    return domain


def _carried(row: InputRow, request: Request) -> dict[str, Any]:
    """The row's further fields; where the output adds a field of the same name, the row's gets OWN before its name."""
    for name in _WRITTEN:
        if name in row.others and OWN + name in row.others:
            raise InputError(
                f"{request.source}:{row.line}: found both {name!r} and {OWN + name!r}, expected one of them: "
                "the output keeps the first under the name of the second"
            )
    return {OWN + name if name in _WRITTEN else name: value for name, value in row.others.items()}


def _resolved(registry: Registry, domain: str, ref: str, where: str) -> str:
    try:
        return registry.resolve(domain, ref)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _found(row: InputRow, tagged: TaggedText) -> dict[str, Any]:
    given = {"tokens": row.words} if row.text is None else {"text": row.text}
    return {**given, "entities": [_without_none(asdict(each)) for each in tagged.entities], "windows": tagged.windows}


def _without_none(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if value is not None}
