"""Options of each job: values that a command line is parsed into once. Knows neither torch nor Ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lightner.data.formats.options import Columns, Repair
from lightner.tuning import rules

AUTO = "auto"
"""In place of a domain to start from: label words alone, and the published prompts that are likeliest to help."""
EXAMPLES = "examples:"
"""In place of a file to learn from: the finished examples of the domain in the registry."""
MOST_SOURCES = 2
"""Of `AUTO`: each costs as many trials as rates are scanned, so that two at most double the scan."""
MLFLOW, WANDB = "mlflow", "wandb"
TRACKERS = {MLFLOW: "mlflow-skinny", WANDB: "wandb"}
"""Where a tuning job can log to besides TensorBoard files, and the package that each takes."""
LIVE = "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneOptions:
    """Options of `tune`. Files and folders are paths; registry and storage are folders or URLs."""

    train: str
    """Labelled sentences: a file, a source of the library `datasets`, or `EXAMPLES`."""
    domain: str
    registry: str
    storage: str
    dev: str | None = None
    test: str | None = None
    backbone: str | None = None
    unlabelled: str | None = None
    """A file of texts, as `annotate` reads them, or `EXAMPLES` for those that are not labelled yet."""
    source: str | None = None
    """The domain to start from, as `domain` or `domain@reference`, or `AUTO`."""
    label_words: str | None = None
    descriptions: str | None = None
    """In place of the label words."""
    lengths: tuple[int, ...] = rules.PROMPT_LENGTHS
    rates: tuple[float, ...] = rules.LEARNING_RATES
    pin: str | None = None
    workers: int | None = None
    gpu: bool = False
    runs_per_gpu: int | None = None
    shard: bool = False
    seed: int = 0
    seeds: int = 0
    budget_minutes: float | None = None
    log: tuple[str, ...] = ()
    columns: Columns | None = None
    """Of all files; None: found by content."""
    repairs: frozenset[Repair] = frozenset()
    """What reading may mend of all files."""
    dry_run: bool = False
    force: bool = False
    tuning: str | None = None
    """The id of the registry's record of this tuning, into which progress and result are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateOptions:
    """Of `create`."""

    domain: str
    labels: Mapping[str, str | None]
    """Names, each perhaps with a description."""
    registry: str
    label_words: str | None = None
    descriptions: str | None = None
    backbone: str | None = None
    as_json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions:
    """Options of `evaluate`."""

    domain: str
    test: str
    registry: str
    reference: str = LIVE
    """An alias or a version."""
    backbone: str | None = None
    columns: Columns | None = None
    repairs: frozenset[Repair] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotateOptions:
    """Options of `annotate`; all paths are absolute, since every node reads them."""

    files: tuple[Path, ...]
    out: Path
    registry: str
    domain: str | None = None
    kind: str | None = None
    """How all files are read; None: each by its suffix."""
    columns: str | None = None
    """Of files in CoNLL columns, as `parse_columns` reads it; kept with the state of what is begun."""
    reference: str = LIVE
    backbone: str | None = None
    workers: int | None = None
    gpu: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestOptions:
    """Of `suggest`."""

    domain: str
    texts: str
    """A file of texts, as `annotate` reads them."""
    registry: str
    n: int = 20
    to: str = "jsonl"
    """For which tool, of `lightner.data.formats.writing.TEXT_FORMATS`."""
    out: str | None = None
    """None: standard output."""
    kind: str | None = None
    columns: str | None = None
    reference: str = LIVE
    backbone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """Of `data check`."""

    file: str
    dev: str | None = None
    test: str | None = None
    columns: Columns | None = None
    repairs: frozenset[Repair] = frozenset()
    label_words: str | None = None
    descriptions: str | None = None
    backbone: str | None = None
    as_json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainOptions:
    """Options of `pretrain`; all paths are absolute, since every node reads them."""

    start: Path
    out: Path
    storage: Path
    steps: int
    open: Path | None = None
    sets: Path | None = None
    raw: Path | None = None
    wordnet: Path = Path("/usr/share/wordnet")
    name: str = "pretrain"
    rate: float = 3e-4
    batch_size: int = 16
    decoder_layers: int = 2
    leave_out: tuple[str, ...] = ()
    hold_out_groups: float = 0.05
    """Share of the groups of `open` that is kept out, to develop on."""
    constant: float = 0.4
    """Share of the steps before the rate falls to zero."""
    average_every: int = 25
    workers: int = 2
    threads: int = 1
    gpu: bool = False
    bf16: bool = False
    report_every: int = 50
    save_every: int = 250
    seed: int = 0
