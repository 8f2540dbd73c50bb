"""What the jobs' command lines share: places that every node sees, and how a job ends."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from lightner.jobs import command
from lightner.store.registry import RegistryUnavailable
from lightner.types import InputError


@pytest.mark.parametrize("text", ["/x", "s3://b", "s3://b/runs?scheme=http"])
def test_a_submitted_job_takes_addresses_and_absolute_paths_as_they_are(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(command.SUBMITTED, "{}")
    assert command.place(text) == text


def test_a_submitted_job_takes_no_relative_folder_and_offers_only_what_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(command.SUBMITTED, "{}")
    assert command.shared_path("/x/file.txt") == Path("/x/file.txt")
    for option, text, said in (
        (command.place, "runs", "expected a URL or an absolute path: a submitted job runs in a copy"),
        (command.shared_path, "file", "expected an absolute path: a submitted job runs in a copy"),
        (command.shared_path, "s3://b/x", "expected a path that every node sees"),
    ):
        with pytest.raises(argparse.ArgumentTypeError, match=f"found '{text}', {said}"):
            option(text)


def test_elsewhere_a_folder_is_seen_from_where_the_job_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(command.SUBMITTED, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert (command.place("runs"), command.place("~/runs")) == (f"{tmp_path}/runs", f"{tmp_path}/home/runs")
    assert command.shared_path("file.txt") == tmp_path / "file.txt"


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (None, 0, ""),
        (InputError("f:1: found x,\n  expected y"), 2, "error: f:1: found x, expected y\n"),
        (RegistryUnavailable("s3://b: no answer"), 1, "error: s3://b: no answer\n"),
        (OSError(28, "No space left on device", "/out"), 1, "error: [Errno 28] No space left on device: '/out'\n"),
    ],
)
def test_a_job_ends_with_a_status_and_at_most_one_line(
    error: Exception | None, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        if error:
            raise error

    assert command.exit_status(work) == status
    assert capsys.readouterr() == ("", said)


def test_our_own_mistakes_are_not_told_as_the_callers() -> None:
    with pytest.raises(ZeroDivisionError):
        command.exit_status(lambda: print(1 // 0))
