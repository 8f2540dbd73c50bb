"""`lightner tag`: texts to entities, by a prompt that is loaded here or through a running service."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, BinaryIO, TypeAlias

import click

from lightner.cli.parameters import Command, backbone_option, example, json_option, reference_option, registry_option
from lightner.jobs import command, rows
from lightner.types import InputError, TaggedText

_AT_ONCE = 64
_PATIENCE_S = 10.0
_STDIN = "-"
_KEY = "LIGHTNER_READ_KEY"
_FIELDS = ("start", "end", "text", "label", "score")
# Texts to the version of the prompt that read each, and what it found.
_Reader: TypeAlias = Callable[[Sequence[str]], list[tuple[str, TaggedText]]]


@click.command(
    cls=Command,
    epilog=example(
        'lightner tag --domain recipes "Whisk 150 g of sugar."',
        "lightner tag --domain recipes --file notes.txt --json > notes.jsonl",
    ),
)
@click.argument("texts", nargs=-1, metavar="[TEXT...]")
@click.option("--domain", required=True, metavar="NAME", help="whose prompt reads the texts")
@click.option(
    "--file",
    type=click.Path(allow_dash=True),
    metavar="FILE",
    help="texts, one a line; - is standard input (files of other kinds, and large ones: lightner annotate)",
)
@reference_option
@backbone_option
@registry_option
@click.option(
    "--url",
    metavar="URL",
    help=f"ask the service at this address instead of loading a prompt; its key is in {_KEY}",
)
@json_option
def tag(texts: tuple[str, ...], domain: str, file: str | None, url: str | None, as_json: bool, **given: Any) -> int:
    """Print the entities of texts.

    Each text is followed by its entities, a line each: label, characters from..to, words, probability. With --json a
    text is one line, an object like those of `lightner annotate`.
    """
    if bool(texts) == bool(file):
        raise click.UsageError("found both texts and --file, expected one" if texts else "found no text and no --file")

    def work() -> None:
        reader = _service(domain, url, **given) if url else _here(domain, **given)
        shown = _as_json if as_json else _as_lines
        with reader as read:
            lines = iter(texts) if file is None else _lines(file)
            while portion := list(islice(lines, _AT_ONCE)):
                for text, (version, tagged) in zip(portion, read(portion), strict=True):
                    click.echo(shown(domain, text, version, tagged))

    return command.exit_status(work)


@contextmanager
def _here(domain: str, *, reference: str, backbone: str | None, registry: str) -> Iterator[_Reader]:
    from lightner.model import backbone as backbones
    from lightner.store.loading import prompt_for
    from lightner.store.registry import Registry
    from lightner.tagger import tag_texts

    version, artifact = Registry.open(registry).must_exist().fetch(domain, reference)
    base = backbones.load(backbone)
    prompt = prompt_for(artifact, base)
    yield lambda texts: [(version, tagged) for tagged in tag_texts(base, [(prompt, text) for text in texts])]


@contextmanager
def _service(domain: str, url: str, *, reference: str, **_: Any) -> Iterator[_Reader]:
    from lightner.client import Client, ClientError, ProblemError

    with Client(url, key=os.environ.get(_KEY) or None, patience_s=_PATIENCE_S, texts_per_request=_AT_ONCE) as client:

        def read(texts: Sequence[str]) -> list[tuple[str, TaggedText]]:
            try:
                found = client.tag(domain, texts, prompt=reference)
            except ProblemError as error:
                if 400 <= error.problem.status < 500:
                    raise InputError(f"{url}, domain {domain!r}: {error}") from error
                raise OSError(f"{url}: {error}") from error
            except ClientError as error:
                raise OSError(str(error)) from error
            return [(each.prompt_version, TaggedText(each.entities, each.windows)) for each in found]

        yield read


def _lines(file: str) -> Iterator[str]:
    if file == _STDIN:
        yield from _rows(sys.stdin.buffer, "standard input")
        return
    try:
        stream = open(file, "rb")  # noqa: SIM115 - closed below; only the opening may be refused here
    except OSError as error:
        raise InputError(f"{file}: found {error.strerror!r}, expected a readable file") from error
    with stream:
        yield from _rows(stream, file)


def _rows(stream: BinaryIO, name: str) -> Iterator[str]:
    return (row.text or "" for row in rows.read_rows(stream, name, rows.RowFormat(rows.TEXT)))


def _as_json(domain: str, text: str, version: str, tagged: TaggedText) -> str:
    entities = [{name: getattr(each, name) for name in _FIELDS} for each in tagged.entities]
    row = {"domain": domain, "prompt_version": version, "text": text, "entities": entities, "windows": tagged.windows}
    return json.dumps(row, ensure_ascii=False)


def _as_lines(_domain: str, text: str, _version: str, tagged: TaggedText) -> str:
    places = [f"{each.start}..{each.end}" for each in tagged.entities]
    wide = max((len(each.label) for each in tagged.entities), default=0)
    room = max(map(len, places), default=0)
    lines = [
        f"  {each.label:<{wide}}  {place:<{room}}  {each.text}  {each.score:.2f}"
        for each, place in zip(tagged.entities, places, strict=True)
    ]
    return "\n".join([text, *lines])
