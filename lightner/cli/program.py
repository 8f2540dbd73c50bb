"""The `lightner` command as a whole: parse, call a command, and answer every mistake in one line.

Imports nothing heavy; each command imports what it needs when it runs.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import click

import lightner
from lightner.cli.annotate import annotate
from lightner.cli.create import create
from lightner.cli.data import data
from lightner.cli.doctor import doctor
from lightner.cli.evaluate import evaluate
from lightner.cli.pretrain import pretrain
from lightner.cli.prompts import prompts
from lightner.cli.serve import serve
from lightner.cli.suggest import suggest
from lightner.cli.tag import tag
from lightner.cli.teach import teach
from lightner.cli.tune import tune
from lightner.jobs.command import MISTAKE, SPIN, SUBMITTED

NAME = "lightner"
# Packages that come with an extra, and the extra's name.
EXTRAS = {
    "cachetools": "ray",
    "ray": "ray",
    "fastapi": "ray",
    "fastapi_offline": "ray",
    "matplotlib": "ray",
    "prometheus_client": "ray",
    "pydantic": "ray",
    "requests": "ray",
    "starlette": "ray",
    "tqdm": "ray",
    "yaml": "ray",
    "httpx": "client",
    "nltk": "pretrain",
    "tokenizers": "pretrain",
    "spacy": "spacy",
    "srsly": "spacy",
    "tenacity": "client",
}


_HELP: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 120}


@click.group(
    epilog="Each command has --help with an example. Completion in bash: "
    'eval "$(_LIGHTNER_COMPLETE=bash_source lightner)"; zsh_source and fish_source for the others.',
)
@click.version_option(lightner.__version__, message="%(version)s")
def group() -> None:
    """Few-shot named-entity recognition by prompt tuning of one frozen encoder-decoder, tuned and served on Ray."""


for _command in (create, tune, tag, teach, serve, evaluate, annotate, suggest, prompts, data, doctor, pretrain):
    group.add_command(_command)


def main(words: Sequence[str] | None = None, *, door: str | None = None) -> int:
    """Run a command line, by default the process's; returns the exit status.

    `door`: the first word is the command, and its usage begins with this text.
    """
    given = list(sys.argv[1:] if words is None else words)
    command: click.Command = group
    if door is not None:
        command, given = group.commands[given[0]], given[1:]
    if SUBMITTED not in os.environ:  # of a submitted job the session sets it, for the workers as well
        os.environ.setdefault(*SPIN)  # before torch is imported, which reads it
    try:
        status = command.main(given, prog_name=door or NAME, standalone_mode=False, **_HELP)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return MISTAKE
    except click.ClickException as error:
        return _refused(error)
    except click.Abort:
        _say("stopped")
        return 128 + signal.SIGINT
    except ModuleNotFoundError as error:
        return _missing(error)
    return status if isinstance(status, int) else 0


def _refused(error: click.ClickException) -> int:
    """Print one line for a mistake in the words of the command."""
    message, name = error.format_message(), NAME
    if isinstance(error, click.BadParameter) and error.param is not None and error.message:
        message = f"{_called(error.param)}: {error.message}"
    if isinstance(error, click.UsageError) and error.ctx is not None:
        name = error.ctx.command_path
    _say(f"error: {message.removesuffix('.')} ({name} --help lists all options)")
    return MISTAKE


def _missing(error: ModuleNotFoundError) -> int:
    """Print one line for a missing package of an extra. Raises the error again for any other package."""
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        raise error
    extra = EXTRAS[package]
    _say(f"error: found no package {package!r}, which this command needs: pip install 'lightner-ray[{extra}]'")
    return MISTAKE


def _called(parameter: click.Parameter) -> str:
    return parameter.opts[0] if isinstance(parameter, click.Option) else parameter.make_metavar(click.Context(group))


def _say(line: str) -> None:
    click.echo(line, err=True)
