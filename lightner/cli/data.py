"""`lightner data`: make labelled files from labelled files."""

from __future__ import annotations

from pathlib import Path

import click

from lightner.cli import values
from lightner.cli.parameters import Command, Parsed, columns_option, example, repair_option
from lightner.data.formats.options import Columns, Repair
from lightner.jobs import command
from lightner.types import InputError


@click.group()
def data() -> None:
    """Make labelled files from labelled files."""


@data.command(cls=Command, epilog=example("lightner data kshot train.conll --k 10 --out ten_shot.conll"))
@click.argument("file", type=click.Path(), metavar="FILE")
@click.option(
    "--k", required=True, type=Parsed(values.at_least(1)), metavar="K", help="mentions of each type, at least"
)
@click.option("--seed", type=Parsed(values.seed), default=0, metavar="N", help="which sample (default: 0)")
@columns_option
@repair_option
@click.option(
    "--out", required=True, type=click.Path(), metavar="FILE", help=".jsonl is JSON Lines, all else CoNLL columns"
)
def kshot(file: str, k: int, seed: int, columns: Columns | None, repairs: frozenset[Repair], out: str) -> int:
    """Write a few-shot sample of a labelled file: K mentions of every type, and few more.

    The sample depends on the sentences and the seed, not on their order. Of a type with fewer than K mentions all are
    taken.
    """

    def work() -> None:
        from lightner.data.formats import JSONL_SUFFIXES, read, write_conll, write_jsonl
        from lightner.data.sampling import k_shot

        sentences = read(file, columns=columns, repairs=repairs)
        if Path(out).exists() and Path(out).samefile(file):
            raise InputError(f"--out: found the file {file} that is sampled, expected another one")
        sample = k_shot(sentences, k=k, seed=seed)
        write = write_jsonl if Path(out).suffix.lower() in JSONL_SUFFIXES else write_conll
        write(Path(out), sample)
        mentions = sum(len(sentence.spans) for sentence in sample)
        click.echo(f"{out}: {len(sample)} of {len(sentences)} sentences, {mentions} mentions")

    return command.exit_status(work)
