"""`lightner tag`: texts to entities, by a prompt that is loaded here or through a running service."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, BinaryIO, TypeAlias

import click

from lightner.cli import values
from lightner.cli.parameters import (
    Command,
    Parsed,
    Several,
    backbone_option,
    example,
    json_option,
    label_files_options,
    labels_option,
    reference_option,
    registry_option,
)
from lightner.jobs import command, rows
from lightner.jobs.label_files import labels_given
from lightner.jobs.options import LIVE
from lightner.thresholds import Thresholds
from lightner.types import Calibration, InputError, LabelSet, TaggedText

_AT_ONCE = 64
_PATIENCE_S = 10.0
_STDIN = "-"
_KEY = "LIGHTNER_READ_KEY"
_FIELDS = ("start", "end", "text", "label", "score")
# Texts to the version of the prompt that read each, which labels have not, and what it found.
_Reader: TypeAlias = Callable[[Sequence[str]], list[tuple[str | None, TaggedText]]]


@click.command(
    cls=Command,
    epilog=example(
        'lightner tag --domain recipes "Whisk 150 g of sugar."',
        "lightner tag --domain recipes --file notes.txt --json > notes.jsonl",
        'lightner tag --labels "dish, ingredient" "Whisk 150 g of sugar."',
    ),
)
@click.argument("texts", nargs=-1, metavar="[TEXT...]")
@click.option("--domain", metavar="NAME", help="whose prompt reads the texts")
@labels_option(help="in place of a domain: names between commas, perhaps each with a description after a colon")
@label_files_options
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
    "--threshold",
    type=Parsed(values.threshold),
    default=0.0,
    metavar="NUMBER|tuned",
    help="leave out entities with a lower score; tuned: by the thresholds that were fitted with the prompt",
)
@click.option(
    "--thresholds",
    type=Several(Parsed(values.label_threshold)),
    default=(),
    metavar="LABEL=NUMBER...",
    callback=lambda _, __, found: dict(found),
    help="lowest scores of single labels, in place of --threshold",
)
@click.option(
    "--url",
    metavar="URL",
    help=f"ask the service at this address instead of loading a prompt; its key is in {_KEY}",
)
@json_option
def tag(
    texts: tuple[str, ...],
    file: str | None,
    url: str | None,
    as_json: bool,
    labels: Mapping[str, str | None] | None,
    threshold: float | str,
    thresholds: Mapping[str, float],
    label_words: str | None,
    descriptions: str | None,
    **given: Any,
) -> int:
    """Print the entities of texts, by a domain's prompt or by labels for which nothing was tuned.

    Each text is followed by its entities, a line each: label, characters from..to, words, probability. With --json a
    text is one line, an object like those of `lightner annotate`.
    """
    if bool(texts) == bool(file):
        raise click.UsageError("found both texts and --file, expected one" if texts else "found no text and no --file")
    _check_choice(labels, label_words or descriptions, **given)

    def work() -> None:
        named = None if labels is None else labels_given(labels, label_words=label_words, descriptions=descriptions)
        choice = _Choice(labels=named, least=Thresholds.of(threshold, thresholds), **given)
        shown = _as_json if as_json else _as_lines
        with _service(choice, url) if url else nullcontext(_here(choice)) as read:
            lines = iter(texts) if file is None else _lines(file)
            while portion := list(islice(lines, _AT_ONCE)):
                for text, (version, tagged) in zip(portion, read(portion), strict=True):
                    click.echo(shown(choice.domain, text, version, tagged))

    return command.exit_status(work)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """What reads the texts: a domain's prompt, or labels; where that and the backbone are; which entities are kept."""

    domain: str | None
    labels: LabelSet | None
    reference: str
    registry: str
    backbone: str | None
    least: Thresholds

    @property
    def words_by_label(self) -> dict[str, tuple[str, ...]]:
        assert self.labels is not None, "only asked where there are labels"
        return dict(zip(self.labels.names, self.labels.words, strict=True))


def _check_choice(labels: object, file: str | None, *, domain: str | None, reference: str, **_: Any) -> None:
    if (domain is None) == (labels is None):
        found = "neither --domain nor --labels" if labels is None else "both --domain and --labels"
        raise click.UsageError(f"found {found}, expected one")
    if labels is None and file is not None:
        raise click.UsageError(f"found {file} beside --domain, whose prompt has label words; expected it with --labels")
    if labels is not None and reference != LIVE:
        raise click.UsageError(f"found --prompt {reference} beside --labels, which have no versions")


def _here(choice: _Choice) -> _Reader:
    from lightner.model import backbone as backbones
    from lightner.model.untuned import label_prompt
    from lightner.store.loading import prompt_for
    from lightner.store.registry import Registry
    from lightner.tagger import tag_texts

    if choice.labels is not None:
        version, base = None, backbones.load(choice.backbone)
        prompt = label_prompt(base, choice.labels)
    else:
        assert choice.domain is not None, "one of the two was given"
        version, artifact = Registry.open(choice.registry).must_exist().fetch(choice.domain, choice.reference)
        base = backbones.load(choice.backbone)
        prompt = prompt_for(artifact, base)
    choice.least.check_labels(prompt.labels.names)

    def read(texts: Sequence[str]) -> list[tuple[str | None, TaggedText]]:
        found = tag_texts(base, [(prompt, text) for text in texts])
        return [(version, _kept(tagged, choice.least, prompt.calibration)) for tagged in found]

    return read


def _kept(tagged: TaggedText, least: Thresholds, fitted: Calibration) -> TaggedText:
    return replace(tagged, entities=tuple(each for each in tagged.entities if least.keeps(each, fitted)))


@contextmanager
def _service(choice: _Choice, url: str) -> Iterator[_Reader]:
    from lightner.client import Client, ClientError, ProblemError

    with Client(url, key=os.environ.get(_KEY) or None, patience_s=_PATIENCE_S, texts_per_request=_AT_ONCE) as client:
        least = choice.least.plain

        def asked(texts: Sequence[str]) -> list[tuple[str | None, TaggedText]]:
            if choice.domain is None:
                return [(None, each) for each in client.tag_labels(choice.words_by_label, texts, **least)]
            found = client.tag(choice.domain, texts, prompt=choice.reference, **least)
            return [(each.prompt_version, TaggedText(each.entities, each.windows)) for each in found]

        def read(texts: Sequence[str]) -> list[tuple[str | None, TaggedText]]:
            try:
                return asked(texts)
            except ProblemError as error:
                if 400 <= error.problem.status < 500:
                    where = url if choice.domain is None else f"{url}, domain {choice.domain!r}"
                    raise InputError(f"{where}: {error}") from error
                raise OSError(f"{url}: {error}") from error
            except ClientError as error:
                raise OSError(str(error)) from error

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


def _as_json(domain: str | None, text: str, version: str | None, tagged: TaggedText) -> str:
    entities = [{name: getattr(each, name) for name in _FIELDS} for each in tagged.entities]
    read_by = {"domain": domain} if version is None else {"domain": domain, "prompt_version": version}
    return json.dumps({**read_by, "text": text, "entities": entities, "windows": tagged.windows}, ensure_ascii=False)


def _as_lines(_domain: str | None, text: str, _version: str | None, tagged: TaggedText) -> str:
    places = [f"{each.start}..{each.end}" for each in tagged.entities]
    wide = max((len(each.label) for each in tagged.entities), default=0)
    room = max(map(len, places), default=0)
    lines = [
        f"  {each.label:<{wide}}  {place:<{room}}  {each.text}  {each.score:.2f}"
        for each, place in zip(tagged.entities, places, strict=True)
    ]
    return "\n".join([text, *lines])
