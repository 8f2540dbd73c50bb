"""Sources that the library `datasets` reads: folders, Parquet, Arrow, JSON and CSV files, and names on the hub."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from lightner.data.formats import Columns, parse_columns, read, read_corpus
from lightner.types import InputError, Sentence, Span
from tests.support.paths import CHECKOUT

datasets: Any = pytest.importorskip("datasets")

LENA = Sentence(("Lena", "Sol's", "in", "Cork"), (Span(0, 2, "PER"), Span(3, 4, "LOC")))
RAIN = Sentence(("it", "rains"))
NAMES = ["O", "B-PER", "I-PER", "B-LOC"]
WORDS = [list(LENA.words), list(RAIN.words)]
NUMBERS = [[1, 2, 0, 3], [0, 0]]
TAGS = [[NAMES[number] for number in numbers] for numbers in NUMBERS]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def classes(words: str = "tokens", tags: str = "ner_tags") -> Any:
    """A data set whose tags are numbers of classes."""
    tag = datasets.ClassLabel(names=NAMES)
    features = datasets.Features({words: datasets.List(datasets.Value("string")), tags: datasets.List(tag)})
    return datasets.Dataset.from_dict({words: WORDS, tags: NUMBERS}, features=features)


def strings(words: str = "tokens", tags: str = "ner_tags") -> Any:
    """A data set whose tags are strings."""
    return datasets.Dataset.from_dict({words: WORDS, tags: TAGS})


@pytest.mark.parametrize("make", [classes, strings])
@pytest.mark.parametrize(
    ("words", "tags"), [("tokens", "ner_tags"), ("words", "tags"), ("words", "labels"), ("tokens", "ner")]
)
def test_a_saved_data_set_is_read_whatever_its_columns_are_called(
    tmp_path: Path, make: Any, words: str, tags: str
) -> None:
    make(words, tags).save_to_disk(tmp_path / "saved")
    found = read(tmp_path / "saved")
    assert found == (LENA, RAIN)
    assert found[1].place == f"{tmp_path / 'saved'}: record 1"


def test_a_colon_selects_one_of_several_splits(tmp_path: Path) -> None:
    path = tmp_path / "splits"
    datasets.DatasetDict({"train": classes(), "test": classes().select([1])}).save_to_disk(path)
    assert read(f"{path}:train") == (LENA, RAIN)
    assert read(f"{path}:test") == (RAIN,)
    with pytest.raises(InputError, match=r"splits: found the splits \['test', 'train'\], expected one .*splits:test"):
        read(path)
    with pytest.raises(InputError, match=r"splits:dev: found the splits \['test', 'train'\]"):
        read(f"{path}:dev")


def test_an_only_split_needs_no_name_and_a_table_has_none(tmp_path: Path) -> None:
    datasets.DatasetDict({"train": classes()}).save_to_disk(tmp_path / "splits")
    assert read(tmp_path / "splits") == (LENA, RAIN)
    classes().save_to_disk(tmp_path / "one")
    with pytest.raises(InputError, match="one:train: found one table without splits, expected no split 'train'"):
        read(f"{tmp_path / 'one'}:train")


@pytest.mark.parametrize("make", [classes, strings])
def test_a_parquet_file_keeps_the_names_of_its_classes(tmp_path: Path, make: Any) -> None:
    make().to_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == (LENA, RAIN)
    assert not (tmp_path / "cache").exists()


def test_an_arrow_file_is_read(tmp_path: Path) -> None:
    classes().save_to_disk(tmp_path / "saved")
    [arrow] = (tmp_path / "saved").glob("*.arrow")
    assert read(arrow) == (LENA, RAIN)


def as_arrow(table: Any, *, indexed: bool) -> bytes:
    sink = pyarrow.BufferOutputStream()
    with (pyarrow.ipc.new_file if indexed else pyarrow.ipc.new_stream)(sink, table.schema) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


@pytest.mark.parametrize("indexed", [False, True])
def test_an_arrow_file_is_read_whoever_wrote_it(tmp_path: Path, indexed: bool) -> None:
    (tmp_path / "a.arrow").write_bytes(as_arrow(classes().data.table, indexed=indexed))
    assert read(tmp_path / "a.arrow") == (LENA, RAIN)


@pytest.mark.parametrize("form", ["parquet", "stream", "indexed"])
def test_damaged_tables_are_refused_or_read_and_end_nothing(tmp_path: Path, form: str) -> None:
    """Offsets that lead out of the memory among them, which would end this process."""
    table, chance = strings().data.table, random.Random(0)
    path = tmp_path / ("a.parquet" if form == "parquet" else "a.arrow")
    if form == "parquet":
        pyarrow.parquet.write_table(table, path)
    else:
        path.write_bytes(as_arrow(table, indexed=form == "indexed"))
    whole, refused = path.read_bytes(), 0
    for _ in range(150):
        damaged = bytearray(whole)
        for place in chance.sample(range(len(whole)), chance.choice([1, 2, 5])):
            damaged[place] = chance.choice([0, 127, 128, 255])
        path.write_bytes(damaged[: chance.choice([len(whole)] * 4 + [len(whole) // 2])])
        try:
            read(path)
        except InputError as error:
            refused += str(error).startswith(f"{path}:")
    assert refused > 50


def test_json_and_csv_files_of_datasets_are_read(tmp_path: Path) -> None:
    strings().to_json(tmp_path / "a.jsonl")
    assert read(tmp_path / "a.jsonl") == (LENA, RAIN)
    strings().to_csv(tmp_path / "a.csv")
    assert "['Lena' \"\"Sol's\"\" 'in'" in (tmp_path / "a.csv").read_text()  # as numpy shows a list
    assert read(tmp_path / "a.csv") == (LENA, RAIN)
    strings().to_pandas().map(list).to_csv(tmp_path / "b.csv")
    assert read(tmp_path / "b.csv") == (LENA, RAIN)
    (tmp_path / "c.csv").write_text(
        'id,text,entities\n7,"Rosa sang","[{""start"": 0, ""end"": 4, ""label"": ""PER""}]"\n'
    )
    assert read(tmp_path / "c.csv") == (Sentence(("Rosa", "sang"), (Span(0, 1, "PER"),)),)


def test_a_list_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    many = datasets.Dataset.from_dict({"tokens": [["a"], ["w"] * 1500], "ner_tags": [["O"], ["O"] * 1500]})
    many.to_csv(tmp_path / "a.csv")
    with pytest.raises(
        InputError, match=r"a\.csv:3: tokens: found .* expected a list as JSON, Python or numpy writes it"
    ):
        read(tmp_path / "a.csv")


def test_a_folder_of_data_files_is_read_as_on_the_hub(tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    classes().to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    classes().select([1]).to_parquet(folder / "data" / "test-00000-of-00001.parquet")
    assert read(f"{folder}:train") == (LENA, RAIN)
    assert read(f"{folder}:train[:1]") == (LENA,)
    with pytest.raises(InputError, match=r"found the splits \['test', 'train'\]"):
        read(folder)


def test_numbers_of_classes_without_names_are_refused(tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"tokens": WORDS, "ner_tags": NUMBERS}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(
        InputError, match=r"a\.parquet: record 0: ner_tags\[0\]: found 1, expected a string, the name of a"
    ):
        read(tmp_path / "a.parquet")


def test_spans_of_a_text_may_be_a_list_of_objects_with_classes(tmp_path: Path) -> None:
    label = datasets.ClassLabel(names=["LOC", "PER"])
    span = {"start": datasets.Value("int64"), "end": datasets.Value("int64"), "label": label}
    features = datasets.Features({"text": datasets.Value("string"), "entities": datasets.List(span)})
    row = {"text": "Rosa sang", "entities": [{"start": 0, "end": 4, "label": 1}]}
    datasets.Dataset.from_list([row], features=features).to_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == (Sentence(("Rosa", "sang"), (Span(0, 1, "PER"),)),)


def test_the_columns_that_count_may_be_named(tmp_path: Path) -> None:
    both = classes().add_column("fine_tags", [["B-man", "I-man", "O", "B-city"], ["O", "O"]])
    both.to_parquet(path := tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"record 0: found labels or offsets in the field 'fine_tags'"):
        read(path)
    assert read(path, columns=parse_columns("word=tokens,tag=ner_tags")) == (LENA, RAIN)
    fine = read_corpus(path, columns=Columns(tag="fine_tags")).sentences[0]
    assert [span.label for span in fine.spans] == ["man", "city"]


def test_sources_that_are_not_data_sets_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("no table")
    with pytest.raises(InputError, match=r"a\.parquet: found a table that `datasets` cannot read"):
        read(tmp_path / "a.parquet")
    (tmp_path / "a.arrow").write_text("no table")
    with pytest.raises(InputError, match=r"a\.arrow: found a table that `datasets` cannot read"):
        read(tmp_path / "a.arrow")


def test_a_name_that_is_neither_here_nor_on_the_hub_is_refused_with_both(tmp_path: Path) -> None:
    """In a separate process, since access to the hub is decided when the library is imported."""
    code = (
        "import sys\nfrom lightner.data.formats import read\nfrom lightner.types import InputError\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n        read(name)\n    except InputError as error:\n        print(error)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PYTHONPATH": str(CHECKOUT)}
    names = ["org/name", "org/name:train", "org/name/german:train", "org/train.conll", "name"]
    done = subprocess.run(
        [sys.executable, "-c", code, *names], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    for line, name in zip(said[:3], names[:3], strict=True):
        assert line.startswith(f"{name}: found no such file or folder, nor a data set of that name on the hub (")
        assert line.endswith("expected a readable file or a name such as org/name:train")
    for line, name in zip(said[3:], names[3:], strict=True):
        assert line.startswith(
            f"{name}: found 'No such file or directory', expected a readable file, or a name on the hub"
        )


def test_a_path_on_disk_has_precedence_over_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    classes().save_to_disk(Path("org") / "name")
    assert read("org/name") == (LENA, RAIN)
    Path("org/a:b").write_text("Lena B-PER\n")
    assert read("org/a:b")[0].words == ("Lena",)
