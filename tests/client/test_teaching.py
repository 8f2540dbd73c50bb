"""The client's side of teaching, against the real routes over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lightner.client import Client, ProblemError, Teaching
from lightner.jobs.tuned import unchanged
from lightner.service.middleware import Keys
from lightner.service.replica import BackboneReplica
from lightner.service.routes import create_app
from lightner.service.settings import RequestLimits
from lightner.service.teaching.tuner import JobState
from lightner.store.tunings import Ending, Tunings
from lightner.types import InputError
from tests.support.served import listening
from tests.support.serving import Place, prepare
from tests.support.teaching import NamedJobs, desk_of

KEY = "annotate key"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return prepare(tmp_path_factory.mktemp("place"))


@pytest.fixture
def jobs() -> NamedJobs:
    return NamedJobs()


@pytest.fixture
def dishes(place: Place, tmp_path: Path, jobs: NamedJobs) -> Iterator[Teaching]:
    reader = BackboneReplica(place.settings)
    desk = desk_of(str(tmp_path / "registry"), reader, jobs=jobs)
    app = create_app(reader, keys=Keys(None, None, KEY), limits=RequestLimits(), desk=desk)
    with listening(app) as url, Client(url, key=KEY, patience_s=0) as client:
        yield client.teaching("dishes")


def test_labels_examples_and_files_go_there_and_come_back(dishes: Teaching) -> None:
    assert dishes.put_labels([{"name": "dish", "colour": "#aa3377"}], revision=0) == dishes.labels()
    assert [each["new"] for each in dishes.add(["Ada eats soup. Ben bakes.", "Ben bakes."], split=True)] == [
        True, True, False
    ]  # fmt: skip
    first, second = dishes.examples()
    assert dishes.example(first["id"])["proposals"]["prompt_version"] is None
    changed = dishes.change(first["id"], [{"start": 9, "end": 13, "label": "dish"}], revision=1)
    assert (changed["state"], changed["who"]) == ("done", "annotate")
    with pytest.raises(ProblemError) as conflict:
        dishes.change(first["id"], [], revision=1)
    assert conflict.value.problem.present == changed
    assert dishes.undo(first["id"], revision=2)["state"] == "open"
    dishes.delete(second["id"], revision=1)
    assert [each["id"] for each in dishes.examples(order="suggested")] == [first["id"]]
    dishes.change(first["id"], [{"start": 9, "end": 13, "label": "dish"}], revision=3)
    assert dishes.counts()["labels"] == {"dish": {"sentences": 1, "mentions": 1}}
    assert dishes.import_file("a.conll", dishes.export("conll"))["duplicates"] == 1
    assert dishes.import_file("a.conll", dishes.export("conll").encode())["duplicates"] == 1


def test_many_texts_take_several_requests_and_are_listed_in_pages(dishes: Teaching) -> None:
    texts = [f"soup {number}" for number in range(300)]
    assert all(each["new"] for each in dishes.add(texts))
    assert [each["text"] for each in dishes.examples(state="open")] != []
    assert {each["text"] for each in dishes.examples()} == set(texts)


def test_a_tuning_is_started_watched_and_stopped(dishes: Teaching, jobs: NamedJobs, tmp_path: Path) -> None:
    dishes.put_labels([{"name": "dish"}], revision=0)
    spans = [{"start": 0, "end": 4, "label": "dish"}]
    dishes.add([{"text": f"soup {number}", "spans": spans} for number in range(10)])
    assert dishes.hold_out(0.2)["done"] == 8
    assert dishes.plan()["possible"]
    begun = dishes.tune(lengths=[8])
    store = Tunings.open(str(tmp_path / "registry"))
    seen: list[Any] = []
    for each in dishes.watch(begun["id"]):
        seen.append(each["state"])
        if each["state"] == "waiting":
            jobs.states = dict.fromkeys(jobs.states, JobState.RUNNING)
        else:
            store.write_result("dishes", begun["id"], {**unchanged("v000001", "Nothing has changed."), "seconds": 1.0})
            store.end("dishes", begun["id"], Ending.FINISHED)
    assert seen == ["waiting", "running", "finished"]
    assert dishes.tuning(begun["id"])["result"]["verdict"] == "Nothing has changed."
    second = dishes.tune()
    assert dishes.stop(second["id"])["state"] == "stopped"
    assert {each["id"] for each in dishes.tunings()} == {begun["id"], second["id"]}


@pytest.mark.parametrize("id_", ["../labels", "", "a/b", "a?b", None])
def test_an_id_that_leads_elsewhere_is_not_sent(dishes: Teaching, id_: Any) -> None:
    with pytest.raises(InputError, match="id: found"):
        dishes.example(id_)
    with pytest.raises(InputError, match="id: found"):
        dishes.stop(id_)
