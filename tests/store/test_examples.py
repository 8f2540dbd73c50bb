"""Labelled examples in a store: what is kept, what two writers at once see, and what leaves the domain's folder."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lightner.store import example, taught
from lightner.store.artifact import FILES
from lightner.store.example import Mark, Provenance, State, new_example
from lightner.store.examples import Change, Conflict, Examples, UnknownExample, counted
from lightner.store.registry import Registry, RegistryUnavailable
from lightner.store.taught import Label, Taught
from lightner.types import InputError, Sentence, Span
from tests.support.tiny import tiny_artifact, tiny_backbone

if TYPE_CHECKING:
    from tests.support.s3 import S3Server

WHEN = "2026-11-29T10:00:00.000000+00:00"


@pytest.fixture(params=["memory", "file", pytest.param("s3", marks=pytest.mark.s3)])
def examples(request: pytest.FixtureRequest, tmp_path: Path) -> Examples:
    places = {"memory": "memory:///", "file": str(tmp_path / "prompts")}
    return Examples.open(places.get(request.param) or request.getfixturevalue("s3_url"))


def added(examples: Examples, *texts: str, domain: str = "movies", state: State = State.OPEN) -> list[str]:
    new = [new_example(text, who="ann", when=WHEN, place=place, state=state) for place, text in enumerate(texts)]
    return [each.example.id for each in examples.add(domain, new)]


def counted_reads(s3: S3Server) -> list[str]:
    """The paths of GET requests from now on; a listing's is that of the bucket."""
    seen: list[str] = []

    def note(method: str, path: str) -> bool:
        if method == "GET":
            seen.append(path)
        return False

    s3.fails = note
    return seen


def test_what_is_added_is_listed_in_its_order_and_read_back_equal(examples: Examples) -> None:
    ids = added(examples, "Mary sleeps.", "Ada lives in Oslo.", "Ben eats.")
    assert [each.id for each in examples.all("movies")] == ids
    assert [examples.get("movies", each) for each in ids] == list(examples.all("movies"))
    assert examples.all("recipes") == ()


def test_a_text_that_is_there_is_a_duplicate_whatever_its_white_space(examples: Examples) -> None:
    (first,) = added(examples, "Ada lives in Oslo.")
    examples.put("movies", first, Change(1, (Mark(0, 3, "PER"),), State.DONE), who="ann")
    new = [new_example(text, who="ben", when=WHEN) for text in (" Ada  lives in Oslo .\n", "Eva", "Eva")]
    assert [each.new for each in examples.add("movies", new)] == [False, True, False]
    assert examples.get("movies", first).now.marks == (Mark(0, 3, "PER"),)


def test_a_change_states_its_revision_and_another_one_meanwhile_is_a_conflict_that_shows_it(examples: Examples) -> None:
    (id_,) = added(examples, "Ada lives in Oslo.")
    present = examples.put("movies", id_, Change(1, (Mark(13, 17, "LOC"),), State.DONE), who="ann")
    with pytest.raises(Conflict, match="found revision 2, expected 1") as conflict:
        examples.put("movies", id_, Change(1, (Mark(0, 3, "PER"),), State.DONE), who="ben")
    assert conflict.value.present == present == examples.get("movies", id_)
    assert (present.now.who, present.now.provenance) == ("ann", Provenance.CORRECTED)


def test_of_many_writers_at_once_one_succeeds_for_each_revision_and_no_label_is_lost(examples: Examples) -> None:
    (id_,) = added(examples, "Ada lives in Oslo.")
    outcomes: list[str] = []

    def write(who: str) -> None:
        try:
            examples.put("movies", id_, Change(1, (Mark(0, 3, who),), State.DONE), who=who)
            outcomes.append(who)
        except Conflict as conflict:
            outcomes.append(f"told of {conflict.present.now.number}")

    threads = [threading.Thread(target=write, args=(f"w{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winner = examples.get("movies", id_).now
    assert sorted(outcomes) == ["told of 2"] * 5 + [winner.who]
    assert winner.marks == (Mark(0, 3, winner.who),)


def test_undo_goes_back_step_by_step_and_keeps_the_history(examples: Examples) -> None:
    (id_,) = added(examples, "Ada lives in Oslo.")
    examples.put("movies", id_, Change(1, (Mark(0, 3, "PER"),), State.DONE), who="ann")
    examples.put("movies", id_, Change(2, (Mark(0, 3, "LOC"),), State.DONE), who="ben")
    assert examples.undo("movies", id_, 3, who="ann").now.marks == (Mark(0, 3, "PER"),)
    again = examples.undo("movies", id_, 4, who="ann")
    assert (again.now.marks, again.now.state, len(again.revisions)) == ((), State.OPEN, 5)
    with pytest.raises(InputError, match="found no earlier revision"):
        examples.undo("movies", id_, 5, who="ann")
    examples.put("movies", id_, Change(5, (Mark(13, 17, "LOC"),), State.DONE), who="ann")
    assert examples.undo("movies", id_, 6, who="ann").now.marks == ()


def test_what_is_deleted_is_gone_with_its_text_and_can_be_added_again(examples: Examples, tmp_path: Path) -> None:
    (id_,) = added(examples, "Ada lives in Oslo.")
    with pytest.raises(Conflict):
        examples.delete("movies", id_, 7)
    examples.delete("movies", id_, 1)
    assert examples.all("movies") == ()
    assert not any("Ada" in path.read_text() for path in tmp_path.rglob("*.json"))
    for late in (
        lambda: examples.get("movies", id_),
        lambda: examples.put("movies", id_, Change(1, (), State.DONE), who="ben"),
        lambda: examples.delete("movies", id_, 1),
    ):
        with pytest.raises(UnknownExample):
            late()
    assert added(examples, "Ada lives in Oslo.") == [id_]
    assert examples.get("movies", id_).now.number == 1


@pytest.mark.parametrize("id_", ["../labels", "..%2Flabels", "a" * 31, "A" * 32, "a" * 32 + "/x", "", "a/../b"])
def test_no_id_leads_out_of_the_folder(tmp_path: Path, id_: str) -> None:
    examples = Examples.open(str(tmp_path))
    for use in (
        lambda: examples.get("movies", id_),
        lambda: examples.put("movies", id_, Change(1, (), State.DONE), who="ann"),
        lambda: examples.delete("movies", id_, 1),
        lambda: examples.undo("movies", id_, 1, who="ann"),
    ):
        with pytest.raises(InputError, match="expected 32 digits"):
            use()
    assert list(tmp_path.rglob("*.json")) == []


@pytest.mark.parametrize("domain", ["../movies", "a/b", "", "Movies"])
def test_no_domain_leads_out_of_the_registry(tmp_path: Path, domain: str) -> None:
    examples = Examples.open(str(tmp_path / "prompts"))
    with pytest.raises(InputError, match="domain: found"):
        added(examples, "Ada", domain=domain)
    with pytest.raises(InputError, match="domain: found"):
        examples.put_labels(domain, Taught((Label("a"),)), revision=0)
    assert list(tmp_path.rglob("*.json")) == []


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        ([Mark(0, 2, "PER")], "spans.0: found .*'Ad', expected the start and the end of words"),
        ([Mark(0, 9, "PER"), Mark(4, 12, "PER")], r"found \[0, 9\) and \[4, 12\), expected spans that share no word"),
        ([Mark(0, 3, "PER"), Mark(0, 3, "PER")], r"spans: found \[0, 3\) 'PER' twice"),
        ([Mark(0, 3, "PER"), Mark(4, 90, "PER")], "spans.1: .*expected 0 <= start < end <= 18"),
        ([Mark(3, 3, "PER")], "spans.0"),
        ([Mark(-3, 3, "PER")], "spans.0"),
    ],
)
def test_spans_are_of_whole_words_and_do_not_cross(examples: Examples, marks: list[Mark], message: str) -> None:
    (id_,) = added(examples, "Ada lives in Oslo.")
    with pytest.raises(InputError, match=message):
        examples.put("movies", id_, Change(1, tuple(marks), State.DONE), who="ann")
    assert examples.get("movies", id_).now.number == 1


def test_spans_may_lie_within_one_another(examples: Examples) -> None:
    (id_,) = added(examples, "Ada lives in Oslo.")
    marks = (Mark(0, 17, "FACT"), Mark(0, 3, "PER"), Mark(13, 17, "LOC"))
    examples.put("movies", id_, Change(1, marks, State.DONE), who="ann")
    assert set(examples.get("movies", id_).now.marks) == set(marks)


@pytest.mark.parametrize(
    ("text", "message"), [(" \n", "no words"), ("a" * 10_001, "10001 characters"), ("a\ud800b", "surrogate")]
)
def test_a_text_that_nobody_can_label_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        new_example(text, who="ann", when=WHEN)


def test_an_example_is_a_sentence_in_words_with_its_id_as_place() -> None:
    made = new_example("  Ada lives in\nNew York.", who="a", when=WHEN, marks=[Mark(2, 5, "PER"), Mark(15, 23, "LOC")])
    sentence = made.sentence()
    assert sentence == Sentence(("Ada", "lives", "in", "New", "York", "."), (Span(0, 1, "PER"), Span(3, 5, "LOC")))
    assert sentence.place == made.id
    assert example.marks_of(made.text, sentence.spans) == made.now.marks


def test_a_long_history_is_cut_at_its_old_end_and_still_read() -> None:
    made = new_example("Ada", who="ann", when=WHEN)
    for _ in range(example.MAX_HISTORY + 5):
        made = made.revised(who="ben")
    assert [each.number for each in made.revisions] == list(range(7, 107))
    assert example.from_record(example.to_record(made), where="here") == made


def labelled(examples: Examples, count: int) -> None:
    new = []
    for number in range(count):
        text, label = f"Person{number} sleeps", "PER" if number % 2 else "LOC"
        marks = [Mark(0, len(f"Person{number}"), label)]
        new.append(new_example(text, who="ann", when=WHEN, place=number, marks=marks, state=State.DONE))
    examples.add("movies", new)


def test_a_stratified_share_of_the_finished_ones_becomes_a_fixed_test_set(examples: Examples) -> None:
    labelled(examples, 20)
    known = ("Person0", "sleeps")
    held = examples.hold_out("movies", share=0.3, seed=0, who="ann", learned=lambda s: s.words == known)
    states, sentences, _ = counted(examples.all("movies"))
    assert states == {"done": 20 - len(held), "test": len(held)}
    assert 4 <= len(held) <= 8
    assert {each.now.marks[0].label for each in held} == {"PER", "LOC"}
    assert sentences == {"PER": 10, "LOC": 10}
    assert known not in {each.sentence().words for each in held}
    assert len(examples.sentences("movies", State.DONE)) == 20 - len(held)
    first = held[0]
    for state in (State.DONE, State.OPEN):
        with pytest.raises(InputError, match="expected the test set to stay"):
            examples.put("movies", first.id, Change(2, first.now.marks, state), who="ann")
    assert examples.undo("movies", first.id, 2, who="ann").now.state is State.TEST
    assert examples.put("movies", first.id, Change(3, (), State.TEST), who="ann").now.marks == ()
    assert examples.put("movies", first.id, Change(4, (), State.SKIPPED), who="ann").now.state is State.SKIPPED


def test_no_undo_leads_back_into_the_test_set_once_it_may_have_been_learned_from(examples: Examples) -> None:
    labelled(examples, 4)
    held, *_ = examples.hold_out("movies", share=0.3, seed=0, who="ann", learned=lambda _: False)
    examples.put("movies", held.id, Change(2, held.now.marks, State.SKIPPED), who="ann")
    assert examples.undo("movies", held.id, 3, who="ann").now.state is State.TEST
    examples.put("movies", held.id, Change(4, held.now.marks, State.SKIPPED), who="ann")
    examples.put("movies", held.id, Change(5, held.now.marks, State.DONE), who="ann")
    assert examples.undo("movies", held.id, 6, who="ann").now.state is State.SKIPPED
    with pytest.raises(InputError, match="found it done since it left the test set"):
        examples.undo("movies", held.id, 7, who="ann")
    assert examples.get("movies", held.id).now.state is State.SKIPPED


def test_nobody_is_put_into_the_test_set_by_a_change(examples: Examples) -> None:
    (id_,) = added(examples, "Ada lives in Oslo.")
    with pytest.raises(InputError, match="found test for one that is open"):
        examples.put("movies", id_, Change(1, (), State.TEST), who="ann")


def test_without_examples_that_no_prompt_learned_from_none_are_held_out(examples: Examples) -> None:
    labelled(examples, 4)
    with pytest.raises(InputError, match="found 0 of 4 finished examples that no prompt has learned from"):
        examples.hold_out("movies", share=0.3, seed=0, who="ann", learned=lambda _: True)


def test_labels_are_kept_with_their_words_and_colours_and_a_second_writer_is_told(examples: Examples) -> None:
    assert examples.labels("movies") is None
    assert examples.domains() == ()
    given = Taught((Label("dish", ("soup", "stew"), "#aa3377"), Label("place", "where it is")), who="ann")
    first = examples.put_labels("movies", given, revision=0)
    assert first == examples.labels("movies")
    assert (first.names, first.revision, first.label_set().words[0]) == (("dish", "place"), 1, ("soup", "stew"))
    assert examples.domains() == ("movies",)
    with pytest.raises(Conflict, match="found revision 1, expected 0") as conflict:
        examples.put_labels("movies", given, revision=0)
    assert conflict.value.present == first


def test_a_label_that_spans_have_cannot_be_left_out(examples: Examples) -> None:
    labelled(examples, 2)
    with pytest.raises(InputError, match=r"found none of \['LOC'\]"):
        examples.put_labels("movies", Taught((Label("PER"),)), revision=0)


@pytest.mark.parametrize(
    "labels",
    [(Label("a"), Label("a")), (Label(" a"),), (Label("a", ()),), (Label("a", None, "red"),), (Label("a", " "),)],
)
def test_labels_that_no_domain_can_have_are_refused(labels: tuple[Label, ...]) -> None:
    with pytest.raises(InputError):
        Taught(labels)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format_version": 2}', b"\xff"])
def test_an_object_that_is_damaged_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    examples = Examples.open(str(tmp_path))
    (id_,) = added(examples, "Ada")
    path = tmp_path / "movies" / "examples" / "items" / f"{id_}.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{id_}.json: found no example"):
        examples.get("movies", id_)
    (tmp_path / "movies" / "examples" / "labels.json").write_bytes(content)
    with pytest.raises(InputError, match=r"labels.json: found no labels"):
        examples.labels("movies")


def test_what_was_read_is_read_again_only_when_it_has_changed(examples: Examples) -> None:
    ids = added(examples, "Mary sleeps.", "Ada lives in Oslo.")
    other = Examples(examples._objects)
    before = other.all("movies")
    examples.put("movies", ids[1], Change(1, (Mark(0, 3, "PER"),), State.DONE), who="ann")
    after = other.all("movies")
    assert after[0] is before[0]
    assert after[1] == examples.get("movies", ids[1]) != before[1]
    examples.delete("movies", ids[0], 1)
    assert [each.id for each in other.all("movies")] == ids[1:]


@pytest.mark.s3
def test_what_has_not_changed_is_listed_and_not_read_again(s3: S3Server, s3_url: str) -> None:
    ids = added(Examples.open(s3_url), *(f"text {number}" for number in range(40)))
    examples = Examples.open(s3_url)
    seen = counted_reads(s3)
    assert [each.id for each in examples.all("movies")] == ids
    assert len(seen) == 41
    examples.all("movies")
    assert len(seen) == 42
    Examples.open(s3_url).put("movies", ids[7], Change(1, (), State.DONE), who="ann")
    seen.clear()
    assert examples.all("movies")[7].now.state is State.DONE
    assert [path.endswith(f"/{ids[7]}.json") for path in seen] == [False, True]


@pytest.mark.s3
def test_domains_are_found_without_listing_their_examples(s3: S3Server, s3_url: str) -> None:
    examples, registry = Examples.open(s3_url), Registry.open(s3_url)
    examples.put_labels("movies", Taught((Label("PER"),)), revision=0)
    registry.publish(tiny_artifact(tiny_backbone(), "recipes"))
    added(examples, *(f"text {number}" for number in range(20)))
    added(examples, *(f"text {number}" for number in range(20)), domain="recipes")
    s3.listed = 0
    assert (registry.domains(), examples.domains()) == (("recipes",), ("movies",))
    # Of the version; the top level has two objects at most, and there is one domain with labels.
    assert s3.listed <= len(FILES) + 3
    assert registry.versions("recipes") == ("v000001",)
    assert registry.collect_garbage("recipes", keep=1) == ()
    assert s3.listed <= 3 * len(FILES) + 3


@pytest.mark.s3
def test_all_taught_domains_are_found_by_one_request_as_soon_as_their_labels_are_saved(
    s3: S3Server, s3_url: str
) -> None:
    examples, elsewhere = Examples.open(s3_url), Examples.open(s3_url)
    names = [f"domain-{number:02d}" for number in range(40)]
    for name in names:
        assert examples.put_labels(name, Taught((Label("PER"),)), revision=0).revision == 1
    added(examples, "Ada lives in Oslo.", domain="unlabelled")
    with pytest.raises(Conflict):
        examples.put_labels("refused", Taught((Label("PER"),)), revision=3)
    seen = counted_reads(s3)
    assert elsewhere.domains() == tuple(names)
    assert len(seen) == 1
    examples.put_labels("zoo", Taught((Label("ANIMAL"),)), revision=0)
    assert elsewhere.domains() == (*names, "zoo")


@pytest.mark.s3
def test_an_answer_that_is_lost_is_no_conflict_with_oneself(s3: S3Server, s3_url: str) -> None:
    examples = Examples.open(s3_url)
    (id_,) = added(examples, "Ada lives in Oslo.")
    lost = iter([True])
    s3.loses_answer = lambda method, path: method == "PUT" and id_ in path and next(lost, False)
    changed = examples.put("movies", id_, Change(1, (Mark(0, 3, "PER"),), State.DONE), who="ann")
    assert changed.now.number == 2
    assert examples.get("movies", id_) == changed


@pytest.mark.s3
def test_a_store_that_is_cut_off_fails_and_loses_nothing(s3: S3Server, s3_url: str) -> None:
    examples = Examples.open(s3_url, timeout_s=0.5)
    (id_,) = added(examples, "Ada lives in Oslo.")
    s3.fails = lambda method, path: True
    with pytest.raises(RegistryUnavailable):
        examples.put("movies", id_, Change(1, (), State.DONE), who="ann")
    s3.behave()
    assert examples.put("movies", id_, Change(1, (), State.DONE), who="ann").now.state is State.DONE


def test_labels_and_examples_are_written_and_read_without_loss() -> None:
    given = Taught((Label("a", ("b",)), Label("c", "what it is", "#000000")), 3, "ann", WHEN)
    assert taught.from_record(json.loads(taught.to_json(given)), where="here") == given
