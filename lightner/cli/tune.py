"""`lightner tune`."""

from __future__ import annotations

from typing import Any

import click

from lightner.cli import values
from lightner.cli.parameters import (
    LABELLED,
    Command,
    OneOf,
    Parsed,
    Several,
    backbone_option,
    columns_option,
    example,
    file_option,
    label_files_options,
    registry_option,
    repair_option,
)
from lightner.jobs import command
from lightner.jobs.options import AUTO, EXAMPLES, MOST_SOURCES, TRACKERS, TuneOptions
from lightner.store.tunings import check_tuning
from lightner.tuning import rules

_LENGTHS, _RATES = (" ".join(f"{value:g}" for value in those) for those in (rules.PROMPT_LENGTHS, rules.LEARNING_RATES))


@click.command(
    cls=Command,
    epilog=example(
        "lightner tune --train recipes.conll --domain recipes",
        "lightner tune --train recipes.conll --domain recipes --dry-run",
    ),
)
@file_option("--train", required=True, help=f"{LABELLED}; {EXAMPLES} those labelled in the registry (docs/jobs.md)")
@click.option("--domain", required=True, metavar="NAME", help="name under which the prompt is published")
@file_option("--dev", help="sentences to select on (default: cross-validation on those of --train)")
@file_option("--test", help="sentences to report the published prompt on; nothing is selected on them")
@file_option(
    "--unlabelled",
    help="texts without labels to learn from too, where that helps (docs/rules.md): .txt, .jsonl, .conll,"
    f" or {EXAMPLES} those in the registry that are not labelled yet",
)
@backbone_option
@registry_option
@click.option(
    "--storage",
    type=Parsed(values.place, completes="dir"),
    default=lambda: str(command.home() / "runs"),
    metavar="URL",
    help="checkpoints; a folder that all nodes share, or s3://bucket/runs (default: ~/.lightner/runs; docs/storage.md)",
)
@click.option(
    "--from",
    "source",
    metavar="DOMAIN[@REF]",
    help="start from the prompt of another domain, whatever its labels; its lengths are not scanned;"
    f" '{AUTO}': scan label words alone and at most {MOST_SOURCES} live prompts (docs/rules.md)",
)
@label_files_options
@click.option(
    "--lengths",
    type=Several(Parsed(values.at_least(0))),
    default=rules.PROMPT_LENGTHS,
    metavar="N...",
    help=f"prompt lengths to scan (default: {_LENGTHS})",
)
@click.option(
    "--rates",
    type=Several(Parsed(values.rate)),
    default=rules.LEARNING_RATES,
    metavar="RATE...",
    help=f"learning rates to scan (default: {_RATES})",
)
@file_option("--pin", help="YAML with values in place of the rules' (docs/rules.md), for experts")
@click.option(
    "--workers",
    type=Parsed(values.at_least(1)),
    metavar="N",
    help="data-parallel workers of each run (default: 1)",
)
@click.option("--gpu", is_flag=True, help="train on GPUs")
@click.option(
    "--runs-per-gpu",
    type=Parsed(values.at_least(1)),
    metavar="N",
    help="runs of one worker that share a GPU (default: by the size of the backbone, docs/rules.md)",
)
@click.option("--shard", is_flag=True, help="spread the frozen weights over the workers (for what one GPU cannot hold)")
@click.option(
    "--seed", type=Parsed(values.seed), default=0, metavar="N", help="of folds, batches and start (default: 0)"
)
@click.option(
    "--seeds",
    type=Parsed(values.at_least(2)),
    default=0,
    metavar="N",
    help="measure the winner again with N other seeds, for mean and spread of its F1",
)
@click.option(
    "--budget",
    "budget_minutes",
    type=Parsed(values.minutes),
    metavar="MINUTES",
    help="end the scan after this time, with what it has found",
)
@click.option(
    "--log",
    type=Several(OneOf(sorted(TRACKERS))),
    default=(),
    metavar="TRACKER...",
    help=f"also log to these, of {' and '.join(sorted(TRACKERS))};"
    " TensorBoard event files are always in the run's storage (docs/watching.md)",
)
@columns_option
@repair_option
@click.option("--dry-run", is_flag=True, help="say what would be done and how long it would take, then end")
@click.option("--force", is_flag=True, help="tune although nothing has changed, publish although live is better")
@click.option(
    "--tuning", type=Parsed(check_tuning), metavar="ID", hidden=True, help="the service's record of this tuning"
)
def tune(**given: Any) -> int:
    """Tune a prompt for a domain and publish it.

    Scans prompt length and learning rate by cross-validation, learns the winner again on all sentences, and publishes
    the result into the prompt registry. The same command resumes where a killed one stopped.
    """
    from lightner.jobs.tune import main

    return main(TuneOptions(**given))
