"""Binary files in a process of their own: what is damaged, swells or takes too long is refused and ends no other."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from lightner.store import confined
from lightner.store.confined import read_bytes
from lightner.store.example import State
from lightner.store.exchange import Imported
from lightner.types import InputError

PLAIN: dict[str, Any] = {"state": State.DONE, "who": "ann", "columns": None, "repairs": frozenset()}


def imported(name: str, content: bytes) -> Imported:
    return read_bytes(name, content, **PLAIN)


def stream(table: pyarrow.Table) -> bytes:
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def test_a_file_of_few_bytes_that_claims_many_rows_is_read_no_longer_than_it_may(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(confined, "TIME_S", 4)
    rows = pyarrow.nulls(3 * 10**8)
    content = stream(pyarrow.table({"tokens": rows, "ner_tags": rows}))
    assert len(content) < 1000
    with pytest.raises(InputError, match=r"^a.arrow: found content that cannot be read"):
        imported("a.arrow", content)
    assert "reading a.arrow took more than 4 s" in caplog.text


def test_a_file_that_swells_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(confined, "MEMORY_BYTES", 2**28)
    rows = pyarrow.table({"tokens": ["soup" * 2**18] * 200})
    pyarrow.parquet.write_table(rows, tmp_path / "a.parquet", compression="zstd")
    content = (tmp_path / "a.parquet").read_bytes()
    assert len(content) < confined.MAX_BYTES
    with pytest.raises(InputError, match=r"^a.parquet: found a table that `datasets` cannot read \(malloc of size"):
        imported("a.parquet", content)


def test_a_reader_that_ends_without_an_answer_is_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(confined, "MEMORY_BYTES", 10 * 2**20)
    with pytest.raises(InputError, match=r"^a.arrow: found content that cannot be read with 10 MiB of memory"):
        imported("a.arrow", b"ARROW1")
    assert "reading a.arrow ended with status" in caplog.text


def test_the_reader_has_no_keys_and_runs_no_module_of_the_folder_or_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIGHTNER_ADMIN_KEY", "secret")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "json.py").write_text("raise SystemExit(3)")
    seen: list[Any] = []
    run = confined.subprocess.run

    def noted(*given: Any, **more: Any) -> Any:
        seen.append(more["env"])
        return run(*given, **more)

    monkeypatch.setattr(confined.subprocess, "run", noted)
    assert [each.text for each in imported("pyarrow.conll", b"Ada B-PER\n").examples] == ["Ada"]
    assert "LIGHTNER_ADMIN_KEY" not in seen[0]
    assert "LIGHTNER_ADMIN_KEY" in os.environ


@pytest.mark.parametrize("name", ["../a.parquet", ".parquet", "a/b.parquet"])
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    with pytest.raises(InputError, match="name: found"):
        imported(name, b"PAR1")


def test_what_is_too_large_is_refused_before_it_is_written() -> None:
    with pytest.raises(
        InputError, match=rf"found {confined.MAX_BYTES + 1} bytes, expected at most {confined.MAX_BYTES}"
    ):
        imported("a.parquet", bytes(confined.MAX_BYTES + 1))
