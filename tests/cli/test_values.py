"""Values of the command line: paths that every node sees, numbers within bounds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lightner.cli import values
from lightner.jobs import command
from lightner.types import InputError


@pytest.mark.parametrize("text", ["/x", "s3://b", "s3://b/runs?scheme=http"])
def test_a_submitted_job_takes_addresses_and_absolute_paths_unchanged(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(command.SUBMITTED, "{}")
    assert values.place(text) == text


def test_a_submitted_job_takes_no_relative_folder_and_offers_only_what_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(command.SUBMITTED, "{}")
    assert values.shared_path("/x/file.txt") == Path("/x/file.txt")
    for option, text, said in (
        (values.place, "runs", "expected a URL or an absolute path: a submitted job runs in a copy"),
        (values.shared_path, "file", "expected an absolute path: a submitted job runs in a copy"),
        (values.shared_path, "s3://b/x", "expected a path that every node sees"),
    ):
        with pytest.raises(InputError, match=f"found '{text}', {said}"):
            option(text)


def test_elsewhere_a_folder_is_seen_from_where_the_job_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(command.SUBMITTED, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert (values.place("runs"), values.place("~/runs")) == (f"{tmp_path}/runs", f"{tmp_path}/home/runs")
    assert values.shared_path("file.txt") == tmp_path / "file.txt"


@pytest.mark.parametrize(
    ("parse", "text", "expected"),
    [
        (values.at_least(2), " 2", 2),
        (values.seed, str(2**32 - 1), 2**32 - 1),
        (values.minutes, "0.5", 0.5),
        (values.rate, "1e-3", 1e-3),
        (values.share, "1", 1.0),
    ],
)
def test_a_number_within_its_bounds_is_taken(parse: Callable[[str], float], text: str, expected: float) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("parse", "text", "said"),
    [
        (values.at_least(2), "1", "expected a whole number, at least 2"),
        (values.at_least(2), "3.0", "expected a whole number"),
        (values.at_least(2), "--3", "expected a whole number"),
        (values.seed, str(2**32), "expected at most"),
        (values.minutes, "inf", "expected a number of minutes above 0"),
        (values.minutes, "nan", "expected a number of minutes above 0"),
        (values.rate, "1", "expected a number above 0 and below 1"),
        (values.share, "1.1", "expected a number from 0 to 1"),
        (values.rate, "slow", "expected a number above 0 and below 1"),
    ],
)
def test_a_refused_number_is_named(parse: Callable[[str], float], text: str, said: str) -> None:
    with pytest.raises(InputError, match=f"^found {text!r}, {said}"):
        parse(text)
