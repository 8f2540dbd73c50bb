"""The routes that read examples from files of other tools and write them for these. Knows neither ray nor torch."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from lightner.data.formats import parse_columns, parse_repairs
from lightner.service.middleware import AnnotateRoute, key_name
from lightner.service.openapi import ANNOTATE_KEY, DomainPath
from lightner.service.teaching.desk import Desk, add_labels, asked
from lightner.service.teaching.examples import COMMON
from lightner.service.teaching.schemas import MAX_FILE_CHARACTERS, Export, ImportAnswer, ImportRequest, State
from lightner.store.confined import read_bytes
from lightner.store.example import Example, labels_in
from lightner.store.example import State as Is
from lightner.store.exchange import Imported, is_binary, read_file, rendered_as
from lightner.types import InputError

AT_ONCE = 2
"""Binary files that one process of the service reads at a time: each may take `confined.MEMORY_BYTES`."""


def router(desk: Desk) -> APIRouter:
    """Import and export."""
    routes = APIRouter(tags=["teaching"], dependencies=[ANNOTATE_KEY], route_class=AnnotateRoute, responses=COMMON)
    turns = asyncio.Semaphore(AT_ONCE)

    @routes.post("/v1/domains/{domain}/examples/import", status_code=HTTPStatus.CREATED)
    async def import_examples(domain: DomainPath, request: ImportRequest, caller: Request) -> ImportAnswer:
        """Add the labelled sentences of a file of text, or of a Parquet, Arrow or DocBin file given in base64.

        Labels that are new to the domain are added to its labels.
        """
        who = key_name(caller)
        if request.content_base64 is None:
            read = await asked(domain, lambda: _read(request, who), field="body.content")
        else:
            async with turns:
                read = await asked(domain, lambda: _read(request, who), field="body.content_base64")
        new = await add_labels(desk, domain, labels_in(read.examples), who=who)
        added = await asked(domain, lambda: desk.examples.add(domain, read.examples))
        count = sum(each.new for each in added)
        return ImportAnswer(added=count, duplicates=len(added) - count, labels=new, notes=list(read.notes))

    @routes.get("/v1/domains/{domain}/examples/export", response_class=PlainTextResponse)
    async def export_examples(
        domain: DomainPath, format: Export = "examples", state: State | None = None
    ) -> PlainTextResponse:
        """Examples as a file: of one state, else all (in the formats of tools the finished ones)."""
        found = await asked(domain, lambda: desk.examples.all(domain))
        those = [each for each in found if _wanted(each, format, state)]
        content = await asked(domain, lambda: rendered_as(format, those), field="query")
        headers = {"content-disposition": f'attachment; filename="{domain}{_suffix(format)}"'}
        return PlainTextResponse(content, headers=headers)

    return routes


def _suffix(form: str) -> str:
    if form.startswith("conll"):
        return ".conll"
    return ".json" if form in ("label_studio", "gliner") else ".jsonl"


def _read(request: ImportRequest, who: str) -> Imported:
    columns = None if request.columns is None else parse_columns(request.columns)
    repairs = parse_repairs(request.repairs) if request.repairs else frozenset()
    name, state, content = request.name, Is(request.state), _as_text(request.name, request.given)
    if isinstance(content, str):
        read = read_file(name, content, state=state, who=who, columns=columns, repairs=repairs)
    else:
        read = read_bytes(name, content, state=state, who=who, columns=columns, repairs=repairs)
    if (found := sum(len(each.text) for each in read.examples)) > MAX_FILE_CHARACTERS:
        raise InputError(f"{name}: found {found} characters in its sentences, expected at most {MAX_FILE_CHARACTERS}")
    return read


def _as_text(name: str, content: str | bytes) -> str | bytes:
    """The content as text if it is that, also where it was given as bytes; the bytes of a binary file."""
    if isinstance(content, str) or is_binary(name) or b"\0" in content:
        return content
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content


def _wanted(each: Example, form: Export, state: State | None) -> bool:
    if state is not None:
        return each.now.state.value == state
    return form == "examples" or each.now.state in (Is.DONE, Is.TEST)
