"""What the library `datasets` reads: its folders, Parquet and Arrow files, and data sets on the Hugging Face hub.

A source is a path, or a name on the hub: `org/name` or `org/name/configuration`; a split may follow after a colon. A
path that exists takes precedence over a name. The library is imported only when such a source is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightner.data.formats._json import Record
from lightner.data.formats._tags import OUTSIDE, encode
from lightner.types import InputError, Sentence

if TYPE_CHECKING:
    from datasets import Dataset

TABLES = (".parquet", ".arrow")
_INDEXED = b"ARROW1"
_SAVED = ("dataset_dict.json", "state.json")  # of save_to_disk: several splits, one
_HUB_NAME = re.compile(r"(?P<name>[\w-][\w.-]*/[\w-][\w.-]*)(?:/(?P<configuration>[\w-][\w.-]*))?")
_FILES = re.compile(
    r".*\.(conll|bio|iob2?|bioes|txt|tsv|csv|jsonl?|ndjson|ann|parquet|arrow|xml|ya?ml|zip|t?gz|bz2|xz)"
)
"""Names that are meant as files, though they look like names on the hub."""


def is_source(source: str) -> bool:
    """Whether a source is one for `datasets`: a folder, a file of its tables, or a name that only the hub can have."""
    path, _ = _parted(source)
    if Path(path).exists():
        return Path(path).is_dir() or Path(path).suffix.lower() in TABLES
    return _HUB_NAME.fullmatch(path) is not None and _FILES.fullmatch(path.lower()) is None


def records_of(source: str) -> list[Record]:
    """The rows of a source, with class numbers replaced by class names.

    Raises InputError for a source that cannot be read, and for one of several splits if none is named.
    """
    path, split = _parted(source)
    rows = _rows(path, split, source)
    decode = _decoder(rows.features)
    return [(decode(row), f"{source}: record {index}") for index, row in enumerate(rows.to_list())]


def save(path: Path, sentences: Sequence[Sentence], texts: Sequence[str | None]) -> None:
    """Write `tokens`, `ner_tags` (IOB2, numbers of classes with names) and `text` into a new folder or a Parquet file.

    Raises InputError for spans that overlap.
    """
    import datasets
    import pyarrow.parquet

    tags = [encode(sentence, sentence.where) for sentence in sentences]
    names = [OUTSIDE, *sorted({tag for each in tags for tag in each} - {OUTSIDE})]
    columns: dict[str, Any] = {"tokens": [list(each.words) for each in sentences], "ner_tags": tags}
    features: dict[str, Any] = {
        "tokens": datasets.List(datasets.Value("string")),
        "ner_tags": datasets.List(datasets.ClassLabel(names=names)),
    }
    if any(text is not None for text in texts):
        columns["text"], features["text"] = list(texts), datasets.Value("string")
    table = datasets.Dataset.from_dict(columns, datasets.Features(features))
    if path.suffix.lower() == TABLES[0]:
        pyarrow.parquet.write_table(table.with_format("arrow")[:], path)
    else:
        quiet = datasets.are_progress_bars_disabled()
        datasets.disable_progress_bars()
        try:
            table.save_to_disk(path)
        finally:
            if not quiet:
                datasets.enable_progress_bars()


def _parted(source: str) -> tuple[str, str | None]:
    """The path or name, and the split after a colon; the path of an existing file may itself have a colon."""
    path, colon, split = source.partition(":")
    return (source, None) if Path(source).exists() or not colon else (path, split)


def _rows(path: str, split: str | None, source: str) -> Dataset:
    import datasets  # only when it is needed: it takes seconds
    import pyarrow

    failures = (
        OSError,
        ValueError,
        TypeError,
        AttributeError,  # of metadata that are not those of `datasets`
        RuntimeError,
        KeyError,
        pyarrow.ArrowException,
        datasets.exceptions.DatasetsError,
    )
    try:
        found = _loaded(Path(path), path, split)
    except failures as error:
        raise InputError(f"{source}: {_unread(Path(path), error)}") from error
    if not isinstance(found, datasets.Dataset):
        return _chosen(found, split, source)
    if split is not None and found.split is None:
        raise InputError(f"{source}: found one table without splits, expected no split {split!r}")
    return found


def _loaded(local: Path, path: str, split: str | None) -> Any:
    """A table, or several by the name of their split."""
    import datasets

    if local.is_file():
        return _table(local)
    if any((local / name).exists() for name in _SAVED):
        return datasets.load_from_disk(path)
    if local.is_dir():
        return datasets.load_dataset(path, split=split)
    named = _HUB_NAME.fullmatch(path)
    assert named is not None, path
    return datasets.load_dataset(named["name"], named["configuration"], split=split)


def _unread(path: Path, error: Exception) -> str:
    """Why a source cannot be read, and what could be."""
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    if path.is_dir():
        what = "a folder that `datasets` cannot read"
        return f"found {what} ({reason}), expected one of save_to_disk, of Parquet or JSON files, or of BRAT"
    if path.exists():
        return f"found a table that `datasets` cannot read ({reason}), expected one of its Parquet or Arrow files"
    what = "no such file or folder, nor a data set of that name on the hub"
    return f"found {what} ({reason}), expected a readable file or a name such as org/name:train"


def _table(path: Path) -> Dataset:
    """The table in a file, read without a copy in the cache of `datasets`."""
    import datasets
    import pyarrow.parquet

    table = pyarrow.parquet.ParquetFile(path).read() if path.suffix.lower() == TABLES[0] else _arrow(path.read_bytes())
    table.validate(full=True)  # native code follows the offsets of a damaged file out of its memory
    return datasets.Dataset(table)


def _arrow(content: bytes) -> Any:
    """The table in a file of record batches, which `datasets` writes as a stream and others with an index."""
    import pyarrow

    opened = pyarrow.ipc.open_file if content.startswith(_INDEXED) else pyarrow.ipc.open_stream
    return opened(pyarrow.BufferReader(content)).read_all()


def _chosen(splits: Mapping[str, Dataset], split: str | None, source: str) -> Dataset:
    """The named split, or the only one. Raises InputError."""
    names = sorted(splits)
    chosen = names[0] if split is None and len(names) == 1 else split
    if chosen not in names:
        expected = f"one of them after a colon, such as {source.partition(':')[0]}:{names[0]}"
        raise InputError(f"{source}: found the splits {names}, expected {expected}")
    return splits[chosen]


def _decoder(feature: Any) -> Callable[[Any], Any]:
    """A function that replaces class numbers by class names in values of a feature."""
    if hasattr(feature, "int2str"):
        names = dict(enumerate(feature.names))
        return lambda value: names.get(value, value)
    if isinstance(feature, dict):
        decoders = {name: _decoder(each) for name, each in feature.items()}
        return lambda value: value and {name: decoders[name](each) for name, each in value.items()}
    inner = getattr(feature, "feature", feature[0] if isinstance(feature, list) else None)
    if inner is None:
        return lambda value: value
    decode = _decoder(inner)
    return lambda value: value and [decode(each) for each in value]
