"""The storage of runs: addresses with a query, refusals; and tuning on S3, stopped and resumed on a real Ray."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.fs
import pytest

from lightner.jobs.on_ray import local, storage
from lightner.types import InputError
from tests.support.jobs import kill, start, wait_for, words
from tests.support.paths import CHECKOUT
from tests.support.s3 import ENVIRONMENT, S3Server


@pytest.fixture
def address(s3_url: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A storage in a fresh bucket, with the server in its address."""
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    return f"{s3_url}?scheme=http&endpoint_override={s3.url.removeprefix('http://')}"


@pytest.fixture
def head(address: str) -> Iterator[local.Head]:
    """A Ray that inherits the environment of `address`."""
    started = local.start()
    yield started
    local.stop(started)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/srv/runs/", "/srv/runs/x"),
        ("/srv/what?", "/srv/what?/x"),
        ("s3://b/runs", "s3://b/runs/x"),
        ("s3://b/runs/?scheme=http&endpoint_override=h:1", "s3://b/runs/x?scheme=http&endpoint_override=h:1"),
    ],
)
def test_a_name_goes_before_the_query(given: str, expected: str) -> None:
    assert storage.inside(given, "x") == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [("foo://b/runs", "foo"), ("s3://b/runs?schme=http", "schme"), ("{folder}/file/runs", "file")],
)
def test_an_unusable_storage_is_refused(given: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=rf"--storage: found .*{said}.*expected a folder or an address"):
        storage.check(given.format(folder=tmp_path))


def test_the_check_leaves_no_files(tmp_path: Path) -> None:
    storage.check(str(tmp_path / "runs"))
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.s3
def test_a_bucket_with_its_server_in_the_environment_passes_the_check(s3_url: str) -> None:
    storage.check(f"{s3_url}/runs")


@pytest.mark.s3
def test_a_bucket_that_does_not_exist_is_one_line_and_starts_nothing(place: Path, s3: S3Server) -> None:
    nowhere = f"s3://nobodys/runs?scheme=http&endpoint_override={s3.url.removeprefix('http://')}"
    done = subprocess.run(
        [sys.executable, *words(place, "nowhere", "--storage", nowhere)],
        cwd=CHECKOUT, env={**local.environment(), **ENVIRONMENT, "RAY_ADDRESS": "127.0.0.1:1"}, capture_output=True,
        text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert f"--storage: found {nowhere!r}" in line
    assert "Traceback" not in done.stderr


@pytest.mark.s3
@pytest.mark.ray
def test_a_killed_job_of_two_workers_resumes_from_object_storage_and_begins_anew_what_was_lost_there(
    head: local.Head, place: Path, address: str, tmp_path: Path
) -> None:
    logs = [tmp_path / name for name in ("killed", "interrupted", "finished")]
    command = words(
        place, "bucket", "--storage", address, "--workers", "2", "--dev", str(place / "train.conll"), pin="slow.yaml"
    )
    process = start(head, *command, log=logs[0])
    wait_for(logs[0], r"scan .* round [5-9] ", process)  # after four rounds the state is saved, whatever the time is
    process.kill()
    process.wait()
    process = start(head, *command, "--shard", log=logs[1])  # which changes the place of the weights, but no result
    wait_for(logs[1], r"scan .* round ", process)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM, logs[1].read_text()
    said = logs[1].read_text()
    assert not re.search(r"scan .* round 1 ", said), "it began again instead of resuming"
    assert said.splitlines()[-1] == "stopped: nothing was published; the same command resumes from here"
    files, folder = pyarrow.fs.FileSystem.from_uri(address)
    lost = {path[1] for name in stored(files, folder) if (path := re.match(r"(.*/round_\d+)/", name))}
    assert lost
    for path in lost:
        files.delete_dir(path)
    process = start(head, *command, log=logs[2])
    wait_for(logs[2], r"scan .* round [2-9] ", process)
    kill("ray::RayTrainWorker", head)
    assert process.wait(timeout=900) == 0, logs[2].read_text()
    finished = logs[2].read_text()
    assert len(re.findall(r"scan .* round 1 ", finished)) == 1, "it is begun anew once, and resumes after the kill"
    assert "each measured on 20 sentences that the trial did not learn from" in finished
    assert "published bucket v000001" in finished
    kept = re.search(r"^kept as scan.png, scan.html and scan.txt in (.+)$", finished, re.MULTILINE)
    assert kept
    files, folder = pyarrow.fs.FileSystem.from_uri(kept[1])
    found = stored(files, folder)
    assert any("/events.out.tfevents." in path for path in found), found
    with files.open_input_file(f"{folder}/scan.txt") as table:
        assert table.read().decode() in finished
    assert not (place / "runs").exists(), "something was kept on this machine"


def stored(files: pyarrow.fs.FileSystem, folder: str) -> list[str]:
    """The paths of all files below a folder."""
    found = files.get_file_info(pyarrow.fs.FileSelector(folder, recursive=True))
    return [each.path for each in found if each.is_file]
