"""What the trials of a job are, as its options, its pins and its sources have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs import scan, tune
from jobs.material import choices_of, material_of
from jobs.transfer import Choice, Source
from lightner.artifact import prompt_for
from lightner.formats import write_conll
from lightner.types import InputError, LabelSet, Sentence, Span
from tests.tiny import tiny_artifact, tiny_backbone

SENTENCES = [Sentence((f"ada{n}", "ran"), (Span(0, 1, "person"),)) for n in range(20)]


def choices(folder: Path, pins: str, *sources: Source | None, more: tuple[str, ...] = ()) -> tuple[Choice, ...]:
    """Of a job with these pins."""
    write_conll(folder / "train.conll", SENTENCES)
    (folder / "pin.yaml").write_text(pins)
    arguments = ["--train", str(folder / "train.conll"), "--domain", "mine", "--pin", str(folder / "pin.yaml"), *more]
    options = tune._parser().parse_args(arguments)
    return choices_of(options, material_of(options), sources or (None,))


def source() -> Source:
    base = tiny_backbone()
    made = tiny_artifact(base, "theirs", labels=LabelSet.of(["person"]), length=6, slots=7)
    return Source("theirs@v000001", prompt_for(made, base), made.card)


def test_of_a_pinned_length_or_rate_there_is_one_trial_and_what_follows_from_it_follows(tmp_path: Path) -> None:
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
