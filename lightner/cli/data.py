"""`lightner data`: make labelled files from labelled files, and check them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lightner.cli import values
from lightner.cli.parameters import (
    Command,
    OneOf,
    Parsed,
    backbone_option,
    columns_option,
    example,
    file_option,
    json_option,
    label_files_options,
    repair_option,
)
from lightner.data.formats.options import Columns, Repair
from lightner.data.formats.writing import FORMATS
from lightner.jobs import command
from lightner.jobs.options import CheckOptions
from lightner.types import InputError

if TYPE_CHECKING:
    from lightner.data.conversion import Conversion


@click.group()
def data() -> None:
    """Make labelled files from labelled files, and check them."""


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


@data.command(cls=Command, epilog=example("lightner data convert export.json train.spacy"))
@click.argument("source", metavar="SOURCE")
@click.argument("target", type=click.Path(path_type=Path), metavar="TARGET")
@click.option("--to", "form", type=OneOf(FORMATS), help="format of TARGET (default: by its suffix)")
@click.option("--lossless", is_flag=True, help="refuse if anything would be lost, and write nothing")
@columns_option
@repair_option
@json_option
def convert(
    source: str,
    target: Path,
    form: str | None,
    lossless: bool,
    columns: Columns | None,
    repairs: frozenset[Repair],
    as_json: bool,
) -> int:
    """Write labelled sentences in another format, and say what it does not hold.

    SOURCE is a file, folder or hub name of any format in docs/formats.md, found by its content. TARGET is read back
    once it is written: what differs from SOURCE is listed. It appears whole or not at all.
    """

    def work() -> None:
        from lightner.data.conversion import convert

        done = convert(source, target, form=form, columns=columns, repairs=repairs, lossless=lossless)
        click.echo(json.dumps(_as_json(done)) if as_json else _described(done, source, target))

    return command.exit_status(work)


@data.command(cls=Command, epilog=example("lightner data check train.conll --test held_out.conll"))
@click.argument("file", metavar="FILE")
@file_option("--dev", help="a development set, to be compared with FILE")
@file_option("--test", help="a test set, to be compared with both")
@columns_option
@repair_option
@label_files_options
@backbone_option
@json_option
def check(**given: Any) -> int:
    """Report what tuning would find in a labelled file, without tuning.

    How the file is read; mentions of each label; lengths; doubles and contradictions; labels that the backbone reads as
    the same words; the share of sub-words that it does not know; sentences that FILE shares with the other sets.
    """
    from lightner.jobs.data_check import main

    return main(CheckOptions(**given))


def _described(done: Conversion, source: str, target: Path) -> str:
    read = done.read
    words = sum(len(sentence.words) for sentence in read.sentences)
    counts = f"{len(read.sentences)} sentences, {words} words, {sum(done.mentions.values())} spans"
    labels = ", ".join(f"{label} {count}" for label, count in done.mentions.items())
    return "\n".join(
        [
            f"{source}: {read.kind}: {counts}{f' ({labels})' if labels else ''}",
            *read.said(source),
            f"{target}: written as {done.form}",
            *(f"{target}: read back, differs in {each}" for each in done.differs_in),
        ]
    )


def _as_json(done: Conversion) -> dict[str, object]:
    read = done.read
    return {
        "read_as": read.kind,
        "sentences": len(read.sentences),
        "words": sum(len(sentence.words) for sentence in read.sentences),
        "labels": dict(done.mentions),
        **read.as_dict(),
        "written_as": done.form,
        "differs_in": list(done.differs_in),
    }
