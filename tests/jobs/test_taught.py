"""Tuning jobs on the examples of a registry: what they learn from, and what they keep for those who watch."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lightner.data.formats import Columns
from lightner.jobs import recording
from lightner.jobs.inputs import material_of
from lightner.jobs.options import EXAMPLES, TuneOptions
from lightner.jobs.recording import Recorder, recorder_of
from lightner.jobs.tuned import disagreements, unchanged
from lightner.store.example import Mark, Provenance, State, new_example
from lightner.store.examples import Examples
from lightner.store.objects import RegistryUnavailable
from lightner.store.taught import Label, Taught
from lightner.store.tunings import Ending, Tunings
from lightner.types import InputError, Sentence, Span

WHEN = "2026-11-29T10:00:00+00:00"


def options(registry: Path, **more: object) -> TuneOptions:
    given = {"train": EXAMPLES, "domain": "dishes", "registry": str(registry), "storage": "/nowhere", **more}
    return TuneOptions(**given)  # type: ignore[arg-type]


def taught(registry: Path, count: int = 12, *, held: int = 0) -> Examples:
    store = Examples.open(str(registry))
    new = []
    for number in range(count):
        dish = ("soup", "stew", "rice")[number % 3]
        text, state = f"Cook{number} eats {dish}", State.TEST if number < held else State.DONE
        marks = [Mark(len(text) - 4, len(text), "dish")]
        made = new_example(
            text, who="ann", when=WHEN, place=number, marks=marks, state=state, provenance=Provenance.CORRECTED
        )
        new.append(made)
    new.append(new_example("Nobody has read this", who="ann", when=WHEN, place=count))
    new.append(new_example("Nor will this be", who="ann", when=WHEN, place=count + 1, state=State.SKIPPED))
    store.add("dishes", new)
    return store


def test_finished_examples_are_learned_from_and_those_held_out_are_for_the_test(tmp_path: Path) -> None:
    store = taught(tmp_path, 12, held=3)
    material = material_of(options(tmp_path))
    done = [each for each in store.all("dishes") if each.now.state is State.DONE]
    assert [sentence.place for sentence in material.everything] == [each.id for each in done]
    assert len(material.test) == 3
    assert not {s.words for s in material.test} & {
        s.words for fold in material.folds for s in (*fold.train, *fold.held)
    }
    assert material.everything[0] == Sentence(("Cook3", "eats", "soup"), (Span(2, 3, "dish"),))


def test_texts_that_are_not_labelled_yet_may_be_learned_from_too(tmp_path: Path) -> None:
    store = taught(tmp_path)
    store.add("dishes", [new_example(f"Bob{n} eats rice", who="ann", when=WHEN, place=99 + n) for n in range(3)])
    found = material_of(options(tmp_path, unlabelled=EXAMPLES)).unlabelled
    texts = {" ".join(sentence.words) for sentence in found}
    assert texts == {"Nobody has read this", "Bob0 eats rice", "Bob1 eats rice", "Bob2 eats rice"}
    assert not any(sentence.spans for sentence in found)


def test_words_that_people_gave_a_label_are_its_words(tmp_path: Path) -> None:
    given = Taught((Label("dish", "what people eat"), Label("place", ("somewhere",))), who="ann")
    taught(tmp_path).put_labels("dishes", given, revision=0)
    labels = material_of(options(tmp_path)).labels
    assert (labels.names, labels.words) == (("dish",), (("what", "people", "eat"),))


def test_without_finished_examples_the_job_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no finished example of 'dishes'"):
        material_of(options(tmp_path))


def test_columns_are_refused_since_examples_have_none(tmp_path: Path) -> None:
    taught(tmp_path)
    with pytest.raises(InputError, match="--columns: found it with --train examples:"):
        material_of(options(tmp_path, columns=Columns(word=1)))


def test_a_job_keeps_how_far_it_is(tmp_path: Path) -> None:
    tunings = Tunings.open(str(tmp_path))
    id_ = tunings.start("dishes", {}, who="ann").id
    recorder = recorder_of(options(tmp_path, tuning=id_))
    assert recorder is not None
    recorder.begin("scan", rounds=8)
    recorder.on_round("one", 1, 0.25)
    recorder.on_round("two", 1, 0.5)
    recorder._due = 0.0  # a round later
    recorder.on_round("one", 2, 0.125)
    known = tunings.progress("dishes", id_)
    assert known is not None
    assert (known.stage, known.rounds_done, known.rounds_planned, known.f1) == ("scan", 3, 8, 0.5)
    assert [point.f1 for point in known.curve] == [0.25, 0.5]
    assert known.seconds_left is not None
    recorder.result(unchanged("v000001", "Nothing has changed."))
    assert tunings.record("dishes", id_).ended is Ending.FINISHED
    assert tunings.result("dishes", id_)["verdict"] == "Nothing has changed."  # type: ignore[index]


def test_a_store_that_does_not_answer_does_not_end_a_tuning(tmp_path: Path) -> None:
    tunings = Tunings.open(str(tmp_path))
    id_ = tunings.start("dishes", {}, who="ann").id
    lock = tmp_path / ".lock"
    lock.unlink()
    lock.mkdir()
    recorder = Recorder(tunings, "dishes", id_)
    recorder.begin("scan", rounds=8)
    recorder.on_round("one", 1, 0.25)
    lock.rmdir()
    recorder._due = 0.0
    recorder.on_round("one", 2, 0.5)
    known = tunings.progress("dishes", id_)
    assert known is not None
    assert known.rounds_done == 2


def test_the_end_of_a_tuning_waits_for_a_store_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "_AGAIN_S", 0.01)
    tunings = Tunings.open(str(tmp_path))
    id_ = tunings.start("dishes", {}, who="ann").id
    lock = tmp_path / ".lock"
    lock.unlink()
    lock.mkdir()
    mended = threading.Timer(0.2, lock.rmdir)
    mended.start()
    Recorder(tunings, "dishes", id_).result(unchanged("v000001", "Nothing has changed."))
    mended.join()
    assert tunings.record("dishes", id_).ended is Ending.FINISHED
    assert tunings.result("dishes", id_)["verdict"] == "Nothing has changed."  # type: ignore[index]
    lock.unlink()
    lock.mkdir()
    monkeypatch.setattr(recording, "_PATIENCE_S", 0.05)
    with pytest.raises(RegistryUnavailable):
        Recorder(tunings, "dishes", id_).failed("why")


def test_a_tuning_that_is_not_recorded_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no tuning"):
        recorder_of(options(tmp_path, tuning="20261129t144400-1a2b3c"))
    assert recorder_of(options(tmp_path)) is None


def test_sentences_that_are_read_otherwise_come_with_their_example_the_most_different_first() -> None:
    held = [
        Sentence(("Ada", "eats", "soup"), (Span(2, 3, "dish"),), "id one"),
        Sentence(("Ben", "sleeps"), (), "id two"),
        Sentence(("Eva", "eats", "in", "Oslo"), (Span(3, 4, "place"),), "id three", "Eva eats\tin Oslo"),
    ]
    found = [[Span(2, 3, "dish")], [Span(0, 1, "dish")], [Span(0, 1, "dish"), Span(3, 4, "dish")]]
    assert disagreements(held, found) == [
        {
            "id": "id three",
            "text": "Eva eats\tin Oslo",
            "labelled": [{"start": 12, "end": 16, "label": "place"}],
            "found": [{"start": 0, "end": 3, "label": "dish"}, {"start": 12, "end": 16, "label": "dish"}],
        },
        {"id": "id two", "text": "Ben sleeps", "labelled": [], "found": [{"start": 0, "end": 3, "label": "dish"}]},
    ]
