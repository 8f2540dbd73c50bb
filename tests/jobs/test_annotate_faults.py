"""Annotating whole files under difficulties: gold entities, edits, full disks, stops, a wrong backbone."""

from __future__ import annotations

import fcntl
import json
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lightner.cli import main
from lightner.jobs import annotate, annotation
from lightner.jobs.annotation import AnnotationPlan, Annotator, Target, make_plan, whole, write_plan
from lightner.jobs.on_ray import session
from lightner.store.registry import Registry
from lightner.types import InputError
from tests.support.annotating import command, request
from tests.support.serving import Place, prepare

PART = "0123456789abcdef.part"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return prepare(tmp_path_factory.mktemp("a place"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (file := tmp_path / "in.txt").write_text("Ada lives in Paris\nmary\n")
    return file


def begin(place: Place, source: Path) -> tuple[AnnotationPlan, Target]:
    """Write a job's plan as the job does."""
    target = Target(source.parent / "out" / f"{source.name}.jsonl")
    plan = make_plan(request(place, source, domain="movies"), place.registry)
    write_plan(plan, target)
    return plan, target


def do_blocks(place: Place, plan: AnnotationPlan, target: Target) -> None:
    annotator = Annotator(str(place.folder), place.registry.url, "cpu")
    for index in range(len(plan.blocks)):
        annotator.annotate(target, index)


def run(place: Place, target: Target, source: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the command in this process, for cases without Ray."""
    monkeypatch.setattr(session, "connect", lambda *_, **__: pytest.fail("a Ray was joined"))
    return main(["annotate", *command(place, target.output.parent, str(source), "--domain", "movies")[2:]])


def edit(source: Path) -> None:
    """Write other content of the same size, with as many rows."""
    source.write_text(source.read_text().replace("Ada", "Eve"))


def test_a_rows_fields_with_names_of_the_output_are_kept_as_own_fields(place: Place, tmp_path: Path) -> None:
    gold = {"entities": [{"start": 0, "end": 3, "label": "PER"}], "windows": 9, "prompt_version": "by hand"}
    (source := tmp_path / "gold.jsonl").write_text(json.dumps({"text": "Ada lives in Paris", **gold, "id": 7}) + "\n")
    plan, target = begin(place, source)
    do_blocks(place, plan, target)
    annotation.assemble(plan, target)
    record = json.loads(target.output.read_text())
    assert {name: record[f"own_{name}"] for name in gold} == gold
    assert (record["prompt_version"], record["windows"], record["id"]) == ("v000001", 1, 7)
    assert record["entities"]
    assert all("score" in entity for entity in record["entities"])


def test_a_row_that_has_both_names_is_refused_before_any_is_tagged(place: Place, tmp_path: Path) -> None:
    (source := tmp_path / "gold.jsonl").write_text('{"text": "a"}\n{"text": "a", "entities": [], "own_entities": []}\n')
    with pytest.raises(InputError, match=r"gold\.jsonl:2: found both 'entities' and 'own_entities', expected one"):
        make_plan(request(place, source, domain="movies"), place.registry)


def test_a_file_that_is_edited_before_a_block_is_read_is_refused(place: Place, source: Path) -> None:
    plan, target = begin(place, source)
    edit(source)
    with pytest.raises(InputError, match=r"in\.txt: found it changed, expected a file that stays as it is"):
        do_blocks(place, plan, target)
    assert not annotation.begun(target)


def test_a_file_that_is_edited_while_it_is_read_is_refused(place: Place, source: Path) -> None:
    class Meanwhile(Registry):
        def resolve(self, domain: str, ref: str = "live") -> str:
            edit(source)
            return "v000001"

    registry = Meanwhile.open(place.registry.url)
    with pytest.raises(InputError, match=r"in\.txt: found it changed"):
        make_plan(request(place, source, domain="movies"), registry)


def test_parts_of_a_file_that_was_edited_since_are_not_put_together(place: Place, source: Path) -> None:
    plan, target = begin(place, source)
    do_blocks(place, plan, target)
    edit(source)
    with pytest.raises(InputError, match=r"in\.txt: found it changed"):
        annotation.assemble(plan, target)
    assert not target.output.exists()
    assert target.part(0).exists()


def test_a_plan_of_which_nothing_is_done_gives_way_to_another(
    place: Place, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = make_plan(request(place, source, domain="recipes"), place.registry)
    target = Target(source.parent / "out" / "in.txt.jsonl")
    write_plan(wrong, target)
    done: list[AnnotationPlan] = []

    def work(*_: object) -> None:
        done.append(annotation.read_plan(target))
        do_blocks(place, done[0], target)

    monkeypatch.setattr(annotate, "_run", work)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(session, "connect", lambda *_, **__: 1)
    words = ["annotate", *command(place, target.output.parent, str(source), "--domain", "movies")[2:]]
    assert main(words) == 0
    assert done[0].versions == {"movies": "v000001"}
    assert main([*words[:-1], "recipes"]) == 2
    assert "found what was begun with another domain, expected the same" in capsys.readouterr().err


def test_a_plan_keeps_how_the_columns_of_its_file_are_read(place: Place, tmp_path: Path) -> None:
    """A block with a single sentence does not show which column holds the words."""
    (source := tmp_path / "in.conll").write_text("1\tAda\tB-PER\n2\tran\tO\n\n1\t7\tO\n2\t8\tO\n")
    plan, target = begin(place, source)
    assert annotation.read_plan(target) == plan
    do_blocks(place, plan, target)
    annotation.assemble(plan, target)
    records = [json.loads(line) for line in target.output.read_text().splitlines()]
    assert [record["tokens"] for record in records] == [["Ada", "ran"], ["7", "8"]]
    named = replace(request(place, source, domain="movies"), columns="word=1")
    assert make_plan(named, place.registry).form.columns != plan.form.columns


def test_annotation_begun_by_an_earlier_release_is_refused(place: Place, source: Path) -> None:
    """Its plan lacks how the file is read."""
    _, target = begin(place, source)
    found = json.loads(target.plan.read_bytes())
    del found["form"]
    target.plan.write_text(json.dumps(found))
    with pytest.raises(InputError, match=r"in\.txt\.jsonl: found what an earlier release began"):
        annotation.read_plan(target)


def test_errors_in_a_worker_come_back_as_values(place: Place, source: Path) -> None:
    _, target = begin(place, source)
    item: dict[str, object] = {"output": str(target.output), "block": 0}
    answer = annotate._Worker("no such backbone", place.registry.url, False)(item)
    assert answer["fault"] == "InputError"
    assert "backbone 'no such backbone': found no loadable model" in str(answer["said"])
    source.unlink()
    answer = annotate._Worker(str(place.folder), place.registry.url, False)(item)
    assert answer == {"rows": 0, "fault": "OSError", "said": f"[Errno 2] No such file or directory: '{source}'"}


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Limit the size of files, as on a full disk; the error does not name the file either."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_reported_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=str(tmp_path / "out")), room_for(1000), whole(tmp_path / "out") as stream:
        stream.write(bytes(100_000))
    assert list(tmp_path.iterdir()) == []


def test_unfinished_files_of_a_killed_job_are_removed_by_the_next_one(
    place: Place, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, target = begin(place, source)
    do_blocks(place, plan, target)
    beside, others = target.output.parent, (".other.txt.jsonl." + PART, ".in.txt.jsonl.mine.part")
    for name in (f".in.txt.jsonl.{PART}", *others):
        (beside / name).touch()
    (target.state / f".part-000000.jsonl.{PART}").touch()
    assert run(place, target, source, monkeypatch) == 0
    assert sorted(path.name for path in beside.iterdir()) == sorted([".annotate", "in.txt.jsonl", *others])
    assert [path.name for path in target.state.iterdir()] == ["plan.json"]
    target.part(0).write_text("left by a kill behind the output")
    assert run(place, target, source, monkeypatch) == 0
    assert not target.part(0).exists()


def test_a_second_job_in_one_folder_is_refused_while_the_first_is_at_work(
    place: Place, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, target = begin(place, source)
    do_blocks(place, plan, target)
    capsys.readouterr()  # printed when the backbone is loaded
    folder = target.output.parent
    with (folder / annotation.STATE / ".lock").open("ab") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        assert run(place, target, source, monkeypatch) == 2
        assert capsys.readouterr().err == f"error: --out: found another job at work in {folder}, expected none\n"
        assert not target.output.exists()
    assert run(place, target, source, monkeypatch) == 0
    assert target.output.exists()


def test_a_stop_is_one_line_and_a_status(
    place: Place, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, target = begin(place, source)
    monkeypatch.setattr(session, "_told", threading.Event())
    monkeypatch.setattr(annotation, "read_plan", lambda _: signal.raise_signal(signal.SIGINT))
    assert run(place, target, source, monkeypatch) == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "stopped: finished blocks are kept; the same command resumes from here\n"
