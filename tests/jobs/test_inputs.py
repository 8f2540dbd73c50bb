"""A job's inputs, the name of its run, and its trials, by options, pins and sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from lightner.data.formats import parse_columns, parse_repairs, write_conll
from lightner.jobs import scan
from lightner.jobs.choices import Choice, choices_of, run_key
from lightner.jobs.inputs import Material, material_of
from lightner.jobs.sources import SourcePrompt
from lightner.store.loading import prompt_for
from lightner.types import InputError, LabelSet, Sentence, Span
from tests.support.options import tune_options
from tests.support.tiny import tiny_artifact, tiny_backbone

SENTENCES = [Sentence((f"ada{n}", "ran"), (Span(0, 1, "person"),)) for n in range(20)]
OTHERS = [Sentence(("rome", "burns", f"{n}"), (Span(0, 1, "old town"),)) for n in range(9)]


def job(
    folder: Path,
    pins: str,
    *sources: SourcePrompt | None,
    more: Sequence[str] = (),
    sentences: Sequence[Sentence] = SENTENCES,
) -> tuple[Material, tuple[Choice, ...]]:
    """The inputs of a job with these pins, and its choices."""
    write_conll(folder / "train.conll", sentences)
    (folder / "pin.yaml").write_text(pins)
    arguments = ["--train", str(folder / "train.conll"), "--domain", "mine", "--pin", str(folder / "pin.yaml"), *more]
    options = tune_options(arguments)
    material = material_of(options)
    return material, choices_of(options, material, sources or (None,))


def choices(folder: Path, pins: str, *sources: SourcePrompt | None) -> tuple[Choice, ...]:
    return job(folder, pins, *sources)[1]


def key(
    folder: Path,
    *more: str,
    pins: str = "{}",
    sentences: Sequence[Sentence] = SENTENCES,
    source: SourcePrompt | None = None,
    fingerprint: str = "of the backbone",
) -> str:
    """The name of the run of a job with these options."""
    return run_key(*job(folder, pins, source, more=more, sentences=sentences), fingerprint)


def source() -> SourcePrompt:
    base = tiny_backbone()
    made = tiny_artifact(base, "theirs", labels=LabelSet.of(["person"]), length=6, slots=7)
    return SourcePrompt("theirs@v000001", prompt_for(made, base), made.card)


def test_a_pinned_length_or_rate_is_not_scanned_and_derived_settings_follow(tmp_path: Path) -> None:
    assert len(choices(tmp_path, "{}")) == 4
    shorter = [choice.plan for choice in choices(tmp_path, "{prompt_length: 3}")]
    assert [(plan.prompt_length, plan.feed_forward_slots) for plan in shorter] == [(3, 12), (3, 12)]
    assert len({plan.learning_rate for plan in shorter}) == 2
    assert len(choices(tmp_path, "{learning_rate: 0.02}")) == 2
    assert len(choices(tmp_path, "{prompt_length: 3, learning_rate: 0.02}")) == 1


def test_no_two_trials_of_a_job_have_one_name(tmp_path: Path) -> None:
    for pins in ("{}", "{prompt_length: 3}", "{feed_forward_slots: 0}", "{steps: 40}"):
        found = choices(tmp_path, pins, None, source())
        assert (
            len({scan._name(choice) for choice in found}) == len({scan.key(choice) for choice in found}) == len(found)
        )


def test_a_source_decides_on_its_lengths_and_pins_on_the_rest(tmp_path: Path) -> None:
    found = choices(tmp_path, "{dropout: 0.2}", source())
    assert [(c.plan.prompt_length, c.plan.feed_forward_slots, c.plan.dropout) for c in found] == [(5, 7, 0.2)] * 2
    mixed = choices(tmp_path, "{prompt_length: 3}", None, source())
    assert [(choice.plan.prompt_length, choice.started_from) for choice in mixed] == [
        *[(3, None)] * 2, *[(5, "theirs@v000001")] * 2
    ]  # fmt: skip


def test_pins_that_all_sources_decide_on_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"pin.yaml: found \['feed_forward_slots', 'prompt_length'\], expected neither"
    ):
        choices(tmp_path, "{prompt_length: 3, feed_forward_slots: 2}", source())


def test_a_run_is_known_by_all_that_its_result_depends_on(tmp_path: Path) -> None:
    (words := tmp_path / "words.json").write_text('{"person": ["human", "name"]}')
    write_conll(dev := tmp_path / "dev.conll", OTHERS)
    reworded, relabelled = (
        [*SENTENCES[:-1], replace(SENTENCES[-1], **change)] for change in ({"words": ("ada", "sat")}, {"spans": ()})
    )
    renewed = replace(source(), reference="theirs@v000002")
    keys = [
        key(tmp_path),
        key(tmp_path, sentences=reworded),
        key(tmp_path, sentences=relabelled),
        key(tmp_path, "--dev", str(dev)),
        key(tmp_path, "--label-words", str(words)),
        key(tmp_path, "--seed", "1"),
        key(tmp_path, "--lengths", "8"),
        key(tmp_path, "--rates", "0.02"),
        key(tmp_path, pins="{dropout: 0.2}"),
        key(tmp_path, pins="{folds: 2}"),
        key(tmp_path, pins="{early_stopping: false}"),
        key(tmp_path, source=source()),
        key(tmp_path, source=renewed),
        key(tmp_path, fingerprint="of another"),
    ]
    assert len(set(keys)) == len(keys)


def test_other_options_do_not_change_a_run(tmp_path: Path) -> None:
    write_conll(test := tmp_path / "test.conll", OTHERS)
    (elsewhere := tmp_path / "elsewhere").mkdir()
    asked = ["--test", str(test), "--seeds", "3", "--log", "mlflow", "--workers", "2", "--budget", "1", "--force"]
    assert key(tmp_path, *asked) == key(tmp_path, pins="{workers: 2}") == key(elsewhere) == key(tmp_path)


def test_label_words_are_those_of_the_file_and_of_the_names_of_the_others(tmp_path: Path) -> None:
    (words := tmp_path / "words.json").write_text('{"person": ["human", "name"]}')
    material, _ = job(tmp_path, "{}", more=["--label-words", str(words)], sentences=[*SENTENCES, *OTHERS])
    assert material.labels == LabelSet(("old town", "person"), (("old", "town"), ("human", "name")))


def test_selection_never_sees_a_test_file(tmp_path: Path) -> None:
    write_conll(test := tmp_path / "test.conll", OTHERS)
    without, choices_without = job(tmp_path, "{}")
    with_it, choices_with = job(tmp_path, "{}", more=["--test", str(test)])
    assert with_it.test == tuple(OTHERS)
    assert (with_it.labels, with_it.folds, with_it.dev) == (without.labels, without.folds, without.dev)
    assert [choice.plan for choice in choices_with] == [choice.plan for choice in choices_without]
    assert run_key(with_it, choices_with, "x") == run_key(without, choices_without, "x")


def test_long_texts_are_learned_in_parts_and_the_report_says_so(tmp_path: Path) -> None:
    text = Sentence(
        tuple(["ada", "met", "emil", "in", "rome", "."] * 120), (Span(0, 1, "person"), Span(714, 715, "person"))
    )
    material, _ = job(tmp_path, "{}", sentences=[*SENTENCES, text])
    assert len(material.everything) == len(SENTENCES) + 6
    assert sum(len(each.spans) for each in material.everything) == len(SENTENCES) + 2
    [said] = [warning for warning in material.report.warnings if "parts" in warning]
    assert said.startswith("1 texts of more than 120 words are learned in 6 parts, cut at sentence ends, first at ")


def test_columns_and_repairs_given_by_the_user_are_applied_printed_and_kept_on_the_card(tmp_path: Path) -> None:
    rows = "".join(f"1\tada{n}\tO\tB-person\n2\tran\tO\tO\n\n" for n in range(20))
    (file := tmp_path / "four.conll").write_text(rows, encoding="utf-8")
    options = replace(tune_options(["--train", str(file), "--domain", "mine"]), test=str(file))
    by_content = material_of(options)
    named = material_of(replace(options, columns=parse_columns("word=2,tag=4")))
    assert named.everything[0].words == by_content.everything[0].words == ("ada0", "ran")
    assert named.everything[0].spans == (Span(0, 1, "person"),)
    said = [line for line in named.read if line.startswith(f"{file}: columns: word 2, tag 4")]
    assert len(said) == 2, "once for --train, once for --test"
    with pytest.raises(InputError, match=r"four\.conll"):
        material_of(replace(options, columns=parse_columns("word=2,tag=9")))
    cut = '{"text": "adam ran", "spans": [{"start": 0, "end": 3, "label": "person"}]}\n'
    whole = '{"text": "bob ran home", "spans": [{"start": 0, "end": 3, "label": "person"}]}\n'
    (records := tmp_path / "cut.jsonl").write_text(cut + whole * 2, encoding="utf-8")
    options = tune_options(["--train", str(records), "--domain", "mine"])
    with pytest.raises(InputError, match="--repair"):
        material_of(options)
    mended = material_of(replace(options, repairs=parse_repairs("grow-to-word")))
    assert mended.everything[0].spans == (Span(0, 1, "person"),)
    read: Any = mended.source["read"]
    assert read["repairs"] == ["grow-to-word"]
    assert [note["count"] for note in read["notes"]] == [1]
    assert len(mended.read) == 1


def test_the_card_distinguishes_training_sets_that_are_not_single_files(tmp_path: Path) -> None:
    def source_of(folder: str, sentences: Sequence[Sentence]) -> Any:
        rows = {"tokens": [list(each.words) for each in sentences], "ner_tags": [["B-person", "O"] for _ in sentences]}
        Dataset.from_dict(rows).save_to_disk(tmp_path / folder)
        return material_of(tune_options(["--train", str(tmp_path / folder), "--domain", "mine"])).source

    found = source_of("some", SENTENCES)
    assert len(found["sentences_sha256"]) == 64
    assert source_of("shuffled", SENTENCES[::-1])["sentences_sha256"] == found["sentences_sha256"]
    assert source_of("others", SENTENCES[1:])["sentences_sha256"] != found["sentences_sha256"]


def test_unlabelled_texts_are_new_sentences_and_part_of_the_runs_name(tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("ada0 ran\nbob ran home\n\nbob ran home\neve slept\n")
    material, _ = job(tmp_path, "{}", more=["--unlabelled", str(texts)])
    assert [sentence.words for sentence in material.unlabelled] == [("bob", "ran", "home"), ("eve", "slept")]
    assert job(tmp_path, "{}")[0].unlabelled == ()
    plain, with_texts = key(tmp_path), key(tmp_path, "--unlabelled", str(texts))
    texts.write_text("bob ran home\n")
    assert len({plain, with_texts, key(tmp_path, "--unlabelled", str(texts))}) == 3


def test_of_many_unlabelled_sentences_a_sample_is_read(tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    lines = [f"bob{number} ran" for number in range(1500)]
    texts.write_text("\n".join(lines))
    first = job(tmp_path, "{}", more=["--unlabelled", str(texts)])[0].unlabelled
    texts.write_text("\n".join(reversed(lines)))
    again = job(tmp_path, "{}", more=["--unlabelled", str(texts)])[0].unlabelled
    assert len(first) == 1000
    assert {*first} == {*again}
    other = job(tmp_path, "{}", more=["--unlabelled", str(texts), "--seed", "1"])[0].unlabelled
    assert {*other} != {*first}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("texts.txt", "ada0 ran\n", "found no sentence that is new"),
        ("texts.txt", "", "found no sentence that is new"),
        ("texts.dat", "x", "found suffix '.dat'"),
        ("gone.txt", None, "found 'No such file or directory'"),
    ],
)
def test_unlabelled_texts_that_give_nothing_are_refused_by_name(
    tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    texts = tmp_path / name
    if content is not None:
        texts.write_text(content)
    with pytest.raises(InputError, match=message) as refused:
        job(tmp_path, "{}", more=["--unlabelled", str(texts)])
    assert str(refused.value).startswith(str(texts))
