"""Declaration of options: values parsed by `values`, several values after one option, options that commands share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from lightner.cli import values
from lightner.data.formats.options import Repair, parse_columns, parse_repairs
from lightner.jobs import command
from lightner.jobs.options import LIVE
from lightner.labels import parse_labels
from lightner.types import InputError

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
LABELLED = "labelled sentences: a file, folder or hub name of any format in docs/formats.md"
# The parser sees several values of one option as one text; this character separates them, and no value can hold it.
_SEPARATOR = "\x1f"
_NEGATIVE = re.compile(r"-\d*\.?\d+(e-?\d+)?", re.IGNORECASE)


class Parsed(click.ParamType[Any]):
    """A value that a function of `values` parses from text; `completes` "file" or "dir" for completion by the shell."""

    def __init__(self, parse: Callable[[str], Any], *, completes: str = "plain") -> None:
        self.name = parse.__name__
        self._parse, self._completes = parse, completes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value  # a default that is not a text
        try:
            return self._parse(value)
        except InputError as error:
            name = param.opts[0].lstrip("-") if param else ""
            self.fail(str(error).removeprefix(f"{name}: "), param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [] if self._completes == "plain" else [CompletionItem(incomplete, type=self._completes)]


class OneOf(click.Choice[str]):
    """One of some names."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        return f"found {value!r}, expected one of {list(self.choices)}"


class Several(click.ParamType[Any]):
    """A tuple of values, all given after one option (`--lengths 8 16`); the last option of a name counts."""

    name = "several"

    def __init__(self, of: click.ParamType[Any], *, least: int = 1) -> None:
        self._of, self.least = of, least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return tuple(value)
        texts = value.split(_SEPARATOR) if value else []
        return tuple(self._of.convert(text, param, ctx) for text in texts)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return self._of.shell_complete(ctx, param, incomplete)


class Command(click.Command):
    """A command with options that take `Several` values."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if ctx.resilient_parsing:  # the shell asks for completions; the command may be incomplete
            return super().parse_args(ctx, args)
        several = {name: each for each in self.params if isinstance(each.type, Several) for name in each.opts}
        return super().parse_args(ctx, list(_joined(args, several, ctx)))


def _joined(words: Sequence[str], several: dict[str, click.Parameter], ctx: click.Context) -> Iterator[str]:
    """The words of the command line, with all values of a `Several` option joined into one word."""
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        yield word
        if word == "--":
            yield from words[position:]
            return
        if word in several:
            first = position
            while position < len(words) and not _is_option(words[position]):
                position += 1
            kind = several[word].type
            if isinstance(kind, Several) and position - first < kind.least:
                raise click.BadOptionUsage(word, f"{word}: found no value, expected at least {kind.least}", ctx)
            yield _SEPARATOR.join(words[first:position])


def _is_option(word: str) -> bool:
    return len(word) > 1 and word.startswith("-") and not _NEGATIVE.fullmatch(word)


def registry_option(function: Decorated) -> Decorated:
    """`--registry`: where prompts are."""
    return click.option(
        "--registry",
        type=Parsed(values.place, completes="dir"),
        default=command.default_registry,
        metavar="URL",
        help="prompts: a folder, or an address such as s3://bucket/prompts"
        " (default: LIGHTNER_REGISTRY, else ~/.lightner/registry)",
    )(function)


def backbone_option(function: Decorated) -> Decorated:
    """`--backbone`: the frozen model."""
    return click.option(
        "--backbone",
        metavar="NAME",
        help="hub name or folder, of mBART also NAME:LANGUAGE (default: the one that comes with the package)",
    )(function)


def reference_option(function: Decorated) -> Decorated:
    """`--prompt`: which version."""
    return click.option(
        "--prompt", "reference", default=LIVE, metavar="REF", help=f"alias or version (default: {LIVE})"
    )(function)


def columns_option(function: Decorated) -> Decorated:
    """`--columns`: what is read of a file."""
    return click.option(
        "--columns",
        type=Parsed(parse_columns),
        metavar="NAME=COLUMN,...",
        help="what is read of files, such as word=1,tag=4 (default: found by content; docs/formats.md)",
    )(function)


def text_columns_option(function: Decorated) -> Decorated:
    """`--columns` of a command that reads texts without labels; stays text, since a job stores it with its state."""
    return click.option(
        "--columns",
        type=Parsed(_columns_as_given),
        metavar="NAME=COLUMN,...",
        help="what is read of CoNLL columns, such as word=2 (default: found by content; docs/formats.md)",
    )(function)


def _columns_as_given(text: str) -> str:
    parse_columns(text)
    return text


def repair_option(function: Decorated) -> Decorated:
    """`--repair`: what of a file may be mended."""
    return click.option(
        "--repair",
        "repairs",
        type=Several(Parsed(parse_repairs)),
        default=(),
        metavar="REPAIR...",
        callback=lambda _, __, found: frozenset().union(*found),
        help=f"what may be mended of files, where it would be a guess: {', '.join(Repair)} (docs/formats.md)",
    )(function)


def json_option(function: Decorated) -> Decorated:
    """`--json`: for programs."""
    return click.option("--json", "as_json", is_flag=True, help="print JSON")(function)


def file_option(*names: str, **given: Any) -> Callable[[Decorated], Decorated]:
    """An option that names a file, which the shell completes."""
    return click.option(*names, type=click.Path(), metavar="FILE", **given)


def labels_option(**given: Any) -> Callable[[Decorated], Decorated]:
    """`--labels`: their names on the command line."""
    return click.option("--labels", type=Parsed(parse_labels), metavar="NAME,...", **given)


def label_files_options(function: Decorated) -> Decorated:
    """`--label-words` and `--descriptions`: what labels mean, where their names say too little."""
    words = file_option("--label-words", help='JSON: {"label": ["word", ...]} (default: from the label names)')
    return words(
        file_option("--descriptions", help='JSON: {"label": "what it is"}, in place of --label-words')(function)
    )


def example(*lines: str) -> str:
    """The last paragraph of a command's help, with its lines unchanged."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)
