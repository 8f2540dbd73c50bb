"""Records of tunings: one of a domain at a time, and one who resumes it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from lightner.store.tunings import Ending, Point, Progress, Record, TuningInProgress, Tunings, UnknownTuning
from lightner.types import InputError

ID = "20261129t144400-1a2b3c"


@pytest.fixture(params=["memory", "file", pytest.param("s3", marks=pytest.mark.s3)])
def tunings(request: pytest.FixtureRequest, tmp_path: Path) -> Tunings:
    places = {"memory": "memory:///", "file": str(tmp_path / "prompts")}
    return Tunings.open(places.get(request.param) or request.getfixturevalue("s3_url"))


def together(count: int, work: object) -> list[object]:
    """What each of so many threads got from `work` at once; an error in place of what it raised."""
    found: list[object] = []

    def call() -> None:
        try:
            found.append(work())  # type: ignore[operator]
        except InputError as error:
            found.append(error)

    threads = [threading.Thread(target=call) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_of_many_who_start_at_once_one_does_and_the_others_are_told_which(tunings: Tunings) -> None:
    found = together(5, lambda: tunings.start("dishes", {"seed": 0}, who="ann"))
    [started] = [each for each in found if isinstance(each, Record)]
    assert {each.id for each in found if isinstance(each, TuningInProgress)} == {started.id}
    assert tunings.all("dishes") == (started,)
    assert tunings.current("dishes") == started == tunings.record("dishes", started.id)


def test_when_one_has_ended_the_next_may_start_and_all_are_listed_newest_first(tunings: Tunings) -> None:
    assert (tunings.current("dishes"), tunings.all("dishes")) == (None, ())
    first = tunings.start("dishes", {"seed": 0}, who="ann")
    other = tunings.start("places", {}, who="ann")
    ended = tunings.end("dishes", first.id, Ending.FAILED, reason="why")
    assert (ended.ended, ended.reason) == (Ending.FAILED, "why")
    assert tunings.end("dishes", first.id, Ending.FINISHED) == ended
    second = tunings.start("dishes", {"seed": 1}, who="ben")
    assert {each.id for each in tunings.all("dishes")} == {first.id, second.id}
    assert (tunings.current("dishes"), tunings.all("places")) == (second, (other,))


def test_of_many_who_find_a_job_dead_one_resumes_it(tunings: Tunings) -> None:
    record = tunings.start("dishes", {}, who="ann")
    found = together(5, lambda: tunings.again("dishes", record.id, after=1))
    [again] = [each for each in found if each is not None]
    assert isinstance(again, Record)
    assert (again.attempt, found.count(None)) == (2, 4)
    assert again.job != record.job
    tunings.end("dishes", record.id, Ending.STOPPED)
    assert tunings.again("dishes", record.id, after=2) is None


def test_progress_and_result_are_kept(tunings: Tunings) -> None:
    record = tunings.start("dishes", {}, who="ann")
    assert (tunings.progress("dishes", record.id), tunings.result("dishes", record.id)) == (None, None)
    for done in (1, 2):
        known = Progress("scan", done, 8, 0.5, 3.0, None, "2026-11-29T10:00:00+00:00", (Point(1.5, 0.5),))
        tunings.write_progress("dishes", record.id, known)
        assert tunings.progress("dishes", record.id) == known
    tunings.write_result("dishes", record.id, {"verdict": "fine"})
    assert tunings.result("dishes", record.id) == {"verdict": "fine"}


@pytest.mark.parametrize("id_", ["..", "../x", ID + "/x", "", ID.upper(), "a" * 22])
def test_no_id_leads_out_of_the_folder(tmp_path: Path, id_: str) -> None:
    tunings = Tunings.open(str(tmp_path))
    for use in (
        lambda: tunings.record("dishes", id_),
        lambda: tunings.end("dishes", id_, Ending.STOPPED),
        lambda: tunings.write_result("dishes", id_, {}),
    ):
        with pytest.raises(InputError, match="tuning: found id"):
            use()
    with pytest.raises(UnknownTuning):
        tunings.record("dishes", ID)
    assert list(tmp_path.rglob("*.json")) == []


def test_those_that_have_not_ended_are_found_in_all_domains_and_those_that_have_are_forgotten(tunings: Tunings) -> None:
    first, second = tunings.start("dishes", {}, who="ann"), tunings.start("movies", {}, who="ann")
    with pytest.raises(TuningInProgress):
        tunings.start("dishes", {}, who="ben")
    assert {each.id for each in tunings.unfinished()} == {first.id, second.id}
    tunings.end("dishes", first.id, Ending.FINISHED)
    for _ in range(2):
        assert tunings.unfinished() == (second,)
    assert [each.path for each in tunings._objects.list(".tunings/")] == [f".tunings/movies/{second.id}"]


def test_a_name_without_a_record_is_forgotten_after_a_while(tmp_path: Path) -> None:
    tunings = Tunings.open(str(tmp_path))
    name = tmp_path / ".tunings" / "dishes" / ID
    name.parent.mkdir(parents=True)
    name.touch()
    assert tunings.unfinished() == ()
    assert name.exists()
    os.utime(name, (name.stat().st_mtime - 3700,) * 2)
    assert tunings.unfinished() == ()
    assert not name.exists()
