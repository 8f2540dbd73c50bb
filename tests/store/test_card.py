"""The card of a prompt: strict names, plain JSON, and a README that gives every score."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lightner.store.artifact import Card, metrics_of
from lightner.store.card import from_json, readme, to_json
from lightner.types import Counts, InputError, Reach, Scores, check_name

CARD = Card(
    domain="movies",
    labels=("LOC", "PER"),
    label_words=(("location",), ("person",)),
    backbone_name="embedded",
    backbone_fingerprint="0123456789abcdef" * 4,
    length=3,
    slots=2,
)


@pytest.mark.parametrize("name", ["movies", "0", "a.b_c-d", "x" * 128])
def test_names_that_may_stand_in_a_path_are_accepted(name: str) -> None:
    assert check_name(name, "domain") == name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "A", "-a", "_a", "a\n", "a b", "é", "x" * 129, "a\0"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"^domain: found"):
        check_name(name, "domain")


def test_free_fields_must_be_plain_json() -> None:
    values: list[Any] = [{"a": float("inf")}, {"a": {1, 2}}, {"a": "\ud800"}, ["a"]]
    for value in values:
        with pytest.raises(InputError, match="tuning: found"):
            replace(CARD, tuning=value)
    assert replace(CARD, tuning={"rates": (1, 2)}).tuning == {"rates": [1, 2]}


def test_metrics_and_readme_give_the_scores_of_every_type() -> None:
    metrics = metrics_of(Scores({"PER": Counts(1, 2, 2), "L|O<b>C": Counts(3, 3, 3)}))
    assert metrics["f1"] == 0.8
    assert metrics["types"] == {
        "L|O<b>C": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 3},
        "PER": {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2},
    }
    text = readme(replace(CARD, metrics=metrics, tuning={"learning_rate": 0.01}))
    assert "| all | 0.8000 | 0.8000 | 0.8000 | 5 |" in text
    assert "| PER | 0.5000 | 0.5000 | 0.5000 | 2 |" in text
    assert "| L\\|O&lt;b>C | 1.0000 | 1.0000 | 1.0000 | 3 |" in text
    assert "- learning_rate: 0.01" in text
    assert "# Prompt `movies`" in text
    assert CARD.backbone_fingerprint in text


def test_the_readme_says_on_what_scores_were_measured_and_how_sure_they_are() -> None:
    metrics = metrics_of(Scores({"PER": Counts(1, 2, 2)}))
    sure: dict[str, Any] = {
        "f1_interval": {"low": 0.25, "high": 0.75},
        "measured_on": "9 sentences",
        "other_seeds": {"f1": [0.5, 0.75], "f1_mean": 0.625, "f1_stdev": 0.125},
    }
    text = readme(replace(CARD, metrics={**metrics, **sure}))
    assert "Measured on 9 sentences. F1 lies between 0.2500 and 0.7500 in 95 % of resamples" in text
    assert "With 2 other seeds, which chose nothing, F1 is 0.6250 (standard deviation 0.1250)." in text
    assert "Measured on" not in readme(replace(CARD, metrics=metrics))


def test_the_readme_has_the_scan_as_a_table_with_the_longest_trials_first() -> None:
    trial = {"prompt_length": 8, "learning_rate": 0.01, "rounds": 2, "best_round": 2, "f1": 0.75, "seconds": 1.0}
    winner = {**trial, "learning_rate": 0.03, "rounds": 8, "best_round": 6, "f1": 0.6}
    text = readme(replace(CARD, tuning={"steps": 120, "scan": [trial, winner]}))
    assert (
        "| prompt_length | learning_rate | rounds | best_round | f1 |\n"
        "|---|---|---|---|---|\n"
        "| 8 | 0.03 | 8 | 6 | 0.6 |\n"
        "| 8 | 0.01 | 2 | 2 | 0.75 |\n"
    ) in text
    assert "- steps: 120" in text
    assert "- scan:" not in text
    started = readme(
        replace(CARD, tuning={"scan": [{**trial, "started_from": None}, {**winner, "started_from": "a|b"}]})
    )
    assert "| 8 | 0.03 | a\\|b | 8 | 6 | 0.6 |" in started
    assert "| 8 | 0.01 |  | 2 | 2 | 0.75 |" in started
    for odd in (7, "word", [], [1], [{"f1": "high"}]):
        assert "# Prompt" in readme(replace(CARD, tuning={"scan": odd}))


def test_the_readme_shortens_what_nobody_reads() -> None:
    text = readme(replace(CARD, data={"learned_from": "0123abcd" * 100}))
    assert "(800 characters, all in card.json)" in text
    assert len(text) < 1000


def test_a_card_without_scores_says_so() -> None:
    assert "Not measured." in readme(CARD)


def test_a_card_is_made_now_in_utc_and_survives_its_json() -> None:
    assert CARD.created.endswith("+00:00")
    assert from_json(to_json(CARD)) == CARD
    assert CARD.label_set.names == ("LOC", "PER")


def test_the_reach_is_kept_and_that_of_an_earlier_card_has_no_usual_length() -> None:
    card = replace(CARD, reach=Reach(30, 2, 13))
    content = json.loads(to_json(card))
    assert from_json(to_json(card)) == card
    content["reach"] = {"words": 30, "sentences": 2}
    assert from_json(json.dumps(content).encode()).reach == Reach(30, 2)
    for wrong in ({"words": 30, "sentences": 2, "usual": 31}, {"words": 0, "sentences": 1}, {"words": 30}, 30):
        content["reach"] = wrong
        with pytest.raises(InputError, match="reach"):
            from_json(json.dumps(content).encode())
