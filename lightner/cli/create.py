"""`lightner create`."""

from __future__ import annotations

from typing import Any

import click

from lightner.cli.parameters import (
    Command,
    backbone_option,
    example,
    json_option,
    label_files_options,
    labels_option,
    registry_option,
)
from lightner.jobs.options import CreateOptions


@click.command(
    cls=Command,
    epilog=example(
        'lightner create recipes --labels "dish, ingredient, price"',
        'lightner create recipes --labels "dish, price" --descriptions what_they_are.json',
    ),
)
@click.argument("domain")
@labels_option(
    required=True,
    help="names between commas; a description may follow a name after a colon, as in 'dish, price: what it costs'",
)
@label_files_options
@registry_option
@backbone_option
@json_option
def create(**given: Any) -> int:
    """Publish the first version of a new domain, made from its labels alone.

    No labelled sentence is needed; the version is live at once. `lightner tune` makes the domain's next versions.
    """
    from lightner.jobs.create import main

    return main(CreateOptions(**given))
