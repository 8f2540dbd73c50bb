"""The end of a job: exit status and last line."""

from __future__ import annotations

import pytest

from lightner.jobs import command
from lightner.store.registry import RegistryUnavailable
from lightner.types import InputError


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


def test_our_own_mistakes_are_not_reported_as_the_callers() -> None:
    with pytest.raises(ZeroDivisionError):
        command.exit_status(lambda: print(1 // 0))
