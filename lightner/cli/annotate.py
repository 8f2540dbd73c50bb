"""`lightner annotate`."""

from __future__ import annotations

from typing import Any

import click

from lightner.cli import values
from lightner.cli.parameters import (
    Command,
    OneOf,
    Parsed,
    backbone_option,
    example,
    reference_option,
    registry_option,
    text_columns_option,
)
from lightner.jobs import rows
from lightner.jobs.options import AnnotateOptions


@click.command(cls=Command, epilog=example("lightner annotate notes.txt tickets.jsonl --out tagged --domain recipes"))
@click.argument("files", nargs=-1, required=True, type=Parsed(values.shared_path, completes="file"), metavar="FILE...")
@click.option(
    "--out",
    required=True,
    type=Parsed(values.shared_path, completes="dir"),
    metavar="FOLDER",
    help="for FILE.jsonl, and what is begun",
)
@click.option("--domain", metavar="NAME", help="of rows that name none")
@click.option("--format", "kind", type=OneOf(rows.KINDS), help="(default: by the suffix; .txt is plain text)")
@text_columns_option
@reference_option
@backbone_option
@registry_option
@click.option(
    "--workers",
    type=Parsed(values.at_least(1)),
    metavar="N",
    help="(default: as many as the cluster has room for)",
)
@click.option("--gpu", is_flag=True, help="a GPU for each worker")
def annotate(**given: Any) -> int:
    """Tag files of any size.

    Reads JSON Lines (`{"text": ...}` or `{"tokens": [...]}`, each perhaps with its own `"domain"`), plain text (a row
    per line) and CoNLL columns (a row per sentence); writes FOLDER/FILE.jsonl with one line per row, in order, with the
    answers that the service gives. A row's other fields are kept; its own "entities", "windows" or "prompt_version" as
    "own_entities" and so on. The same command resumes after a kill, with the prompts that it began with. FILE and
    FOLDER have to be where every node sees them, and FILE must not change until its output is complete.
    """
    from lightner.jobs.annotate import main

    return main(AnnotateOptions(**given))
