"""`lightner pretrain`."""

from __future__ import annotations

from typing import Any

import click

from lightner.cli import values
from lightner.cli.parameters import Command, Parsed, Several, example
from lightner.jobs.options import PretrainOptions

_FOLDER, _FILE = (Parsed(values.full_path, completes=kind) for kind in ("dir", "file"))
_COUNT = Parsed(values.at_least(1))


@click.command(
    cls=Command,
    epilog=example("lightner pretrain --start checkpoint --open my-text --steps 4000 --bf16 --out my-backbone"),
)
@click.option(
    "--start",
    type=_FOLDER,
    required=True,
    metavar="DIR",
    help="folder with a checkpoint of this job's, one of BART's family, or the files of all-MiniLM-L6-v2",
)
@click.option("--open", type=_FOLDER, metavar="DIR", help="folder with passages.jsonl, groups.jsonl (docs/backbone.md)")
@click.option("--sets", type=_FOLDER, metavar="DIR", help="folder with one directory of .conll files per labelled set")
@click.option("--raw", type=_FILE, metavar="FILE", help="raw English text, plain or .xz, labelled by WordNet")
@click.option(
    "--wordnet",
    type=_FOLDER,
    default="/usr/share/wordnet",
    metavar="DIR",
    help="folder of the WordNet database (default: /usr/share/wordnet)",
)
@click.option("--out", type=_FOLDER, required=True, metavar="DIR", help="where the finished checkpoint goes")
@click.option("--name", default="pretrain", metavar="NAME", help="of the run in the storage (default: pretrain)")
@click.option("--storage", type=_FOLDER, default="~/ray_results", metavar="DIR", help="states (default: ~/ray_results)")
@click.option("--steps", type=_COUNT, required=True, metavar="N", help="how long")
@click.option(
    "--rate",
    type=Parsed(values.rate),
    default=3e-4,
    metavar="RATE",
    help="the decoder's learning rate (default: 0.0003)",
)
@click.option("--batch-size", type=_COUNT, default=16, metavar="N", help="sentences per worker and step (default: 16)")
@click.option("--decoder-layers", type=_COUNT, default=2, metavar="N", help="of a start from MiniLM (default: 2)")
@click.option(
    "--leave-out",
    type=Several(click.STRING, least=0),
    default=(),
    metavar="SET...",
    help="sets of --sets that are kept out, to develop on",
)
@click.option(
    "--hold-out-groups",
    type=Parsed(values.share),
    default=0.05,
    metavar="SHARE",
    help="of the groups of --open, likewise (default: 0.05)",
)
@click.option(
    "--constant",
    type=Parsed(values.share),
    default=0.4,
    metavar="SHARE",
    help="of the steps, before the rate falls to zero (default: 0.4)",
)
@click.option(
    "--average-every",
    type=_COUNT,
    default=25,
    metavar="STEPS",
    help="between averages of the weights of CPU workers (default: 25)",
)
@click.option("--workers", type=_COUNT, default=2, metavar="N", help="data-parallel workers (default: 2)")
@click.option("--threads", type=_COUNT, default=1, metavar="N", help="CPU threads of each worker (default: 1)")
@click.option("--gpu", is_flag=True, help="a GPU for each worker")
@click.option("--bf16", is_flag=True, help="compute in bfloat16; weights stay in fp32")
@click.option("--report-every", type=_COUNT, default=50, metavar="N", help="steps between reports (default: 50)")
@click.option("--save-every", type=_COUNT, default=250, metavar="N", help="steps between saved states (default: 250)")
@click.option(
    "--seed", type=Parsed(values.seed), default=0, metavar="N", help="of batches and new weights (default: 0)"
)
def pretrain(**given: Any) -> int:
    """Pretrain a backbone on Ray Train.

    Learns from openly labelled text (--open), labelled sets (--sets) and raw text with weak labels (--raw), whichever
    are given. After a kill the same command with the same --name and --storage resumes from the last state, for as
    many --steps as it asks for then; other data, weights or settings are another run and need another --name. A
    checkpoint in --out is replaced; other files there stay. `--backbone DIR` then tunes and serves on it.
    """
    from lightner.jobs.pretrain import main

    return main(PretrainOptions(**given))
