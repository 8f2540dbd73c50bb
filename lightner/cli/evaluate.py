"""`lightner evaluate`."""

from __future__ import annotations

from typing import Any

import click

from lightner.cli.parameters import (
    LABELLED,
    Command,
    backbone_option,
    columns_option,
    example,
    file_option,
    reference_option,
    registry_option,
    repair_option,
)
from lightner.jobs.options import EvaluateOptions


@click.command(
    cls=Command, epilog=example("lightner evaluate --domain recipes --test held_out.conll --prompt candidate")
)
@click.option("--domain", required=True, metavar="NAME", help="whose prompt")
@file_option("--test", required=True, help=LABELLED)
@reference_option
@backbone_option
@registry_option
@columns_option
@repair_option
def evaluate(**given: Any) -> int:
    """Score a published prompt on labelled sentences.

    Prints precision, recall and F1 per type and overall (strict, entity level, equal to seqeval), and the kinds of
    errors; warns if the prompt has learned from some of the sentences.
    """
    from lightner.jobs.evaluate import main

    return main(EvaluateOptions(**given))
