"""`lightner suggest`."""

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
    file_option,
    reference_option,
    registry_option,
    text_columns_option,
)
from lightner.data.formats.writing import JSONL, TEXT_FORMATS
from lightner.jobs import rows
from lightner.jobs.options import SuggestOptions


@click.command(
    cls=Command,
    epilog=example("lightner suggest --domain recipes --texts notes.txt --n 20 --to label_studio --out tasks.json"),
)
@click.option("--domain", required=True, metavar="NAME", help="for whose prompt texts are to be labelled")
@file_option("--texts", required=True, help="texts without labels: .jsonl, .txt (one a line) or CoNLL columns")
@click.option("--n", type=Parsed(values.at_least(1)), default=20, metavar="N", help="how many texts (default: 20)")
@click.option("--to", type=OneOf(TEXT_FORMATS), default=JSONL, help=f"for which tool (default: {JSONL})")
@file_option("--out", help="where they are written (default: standard output)")
@click.option("--format", "kind", type=OneOf(rows.KINDS), help="of --texts (default: by the suffix)")
@text_columns_option
@reference_option
@backbone_option
@registry_option
def suggest(**given: Any) -> int:
    """Pick the texts that are most worth labelling next, with the entities that the prompt finds in them.

    Of every label in turn those of which the prompt is least sure, kept diverse, none that was learned from. Correct
    the entities in the tool of --to, then tune on the result.
    """
    from lightner.jobs.suggest import main

    return main(SuggestOptions(**given))
