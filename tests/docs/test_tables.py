"""Tables of results are those that the JSON files of the benchmarks make."""

from __future__ import annotations

import re
from typing import Any

import pytest

from benchmarks import report, slot_tables, tables


@pytest.mark.parametrize("page", tables.PAGES)
def test_the_tables_of_a_page_are_those_of_the_results(page: str) -> None:
    text = (report.CHECKOUT / page).read_text(encoding="utf-8")
    assert "<!-- table: " in text
    assert tables.rendered(text) == text, "run `python -m benchmarks.tables`"


def test_every_table_is_shown_somewhere() -> None:
    pages = "".join((report.CHECKOUT / page).read_text(encoding="utf-8") for page in tables.PAGES)
    assert set(re.findall(r"<!-- table: ([^>]+) -->", pages)) == set(tables.TABLES)


def test_a_figure_that_was_changed_by_hand_is_written_again() -> None:
    text = (report.CHECKOUT / "docs" / "results.md").read_text(encoding="utf-8")
    [mean] = re.findall(r"MIT Movie 10-shot .*? ([\d.]+) \|\n", text)
    drifted = text.replace(f" {mean} |\n", " 99.9 |\n")
    assert drifted != text
    assert tables.rendered(drifted) == text


def test_a_set_has_one_row_with_its_mean_and_deviation() -> None:
    runs = [
        {"test_precision": 0.5, "test_recall": 0.5, "test_f1": f1, "cross_validated_f1": 0.4} for f1 in (0.5, 0.6, 0.7)
    ]
    [row] = [tables._seeds_row("movie10", runs)]
    assert row[:2] == ["MIT Movie 10-shot", "3"]
    assert row[4:8] == ["50.0, 60.0, 70.0", "**60.0**", "10.0", "40.0, 40.0, 40.0"]


def test_another_method_is_compared_on_the_seeds_that_both_have() -> None:
    assert tables._against([0.6, 0.6], [10.0, 20.0]) == "60.0 (2), +15.0"
    assert tables._against([], []) == ""


def test_a_seed_that_prompt_tuning_lacks_is_left_out_of_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {"name": "ai", "seed": 0, "test_f1": 0.7}
    theirs = [{"name": "ai", "method": "lora", "seed": seed, "test_f1": f1} for seed, f1 in ((0, 0.6), (1, 0.1))]
    runs = {"few_shot": [ours], "baselines": theirs}
    monkeypatch.setattr(tables, "read", lambda name: {"runs": runs[name]})
    assert "| 70.0 (1) | 60.0 (1), +10.0 |" in tables.baselines()


def test_a_way_is_compared_with_the_rules_on_the_same_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    f1 = {("as the rules", 0): 60.0, ("as the rules", 1): 70.0, ("length 4", 1): 71.0, ("length 4", 2): 99.0}
    runs = [{"name": "ai", "way": way, "seed": seed, "f1": found} for (way, seed), found in f1.items()]
    monkeypatch.setattr(tables, "read", lambda name: {"runs": runs})
    assert tables.changes() == {"as the rules": [0.0], "length 4": [1.0]}


def test_other_samples_are_beside_the_first_one_with_the_same_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    first = [{"name": "ai", "seed": seed, "test_f1": f1, "train_sentences": 9} for seed, f1 in ((0, 0.5), (1, 0.9))]
    other = {"name": "ai-1", "seed": 0, "test_f1": 0.6, "train_sentences": 8}
    runs = {"few_shot": first, "few_shot_samples": [other]}
    monkeypatch.setattr(tables, "read", lambda name: {"runs": runs[name]})
    assert "| 9, 8 | 50.0, 60.0 | **55.0** | 7.1 | 28.3 |" in tables.few_shot_samples()


def test_a_source_is_compared_on_the_seeds_that_both_have(monkeypatch: pytest.MonkeyPatch) -> None:
    without = [{"name": "movie10", "seed": seed, "test_f1": f1} for seed, f1 in ((0, 0.5), (1, 0.9))]
    started = [{"name": "movie10", "seed": seed, "test_f1": 0.6} for seed in (0, 7)]
    runs = {"few_shot": without, "few_shot_32_slots": [], "few_shot_from_conll2003": started}
    names = ("paper", "paper, from CoNLL-2003")
    monkeypatch.setattr(tables, "read", lambda name: {"runs": runs[name]} if name in runs else _published(*names))
    assert "| 1 | 50.0 | 60.0 | +10.0 | 40 | 40 |" in tables.few_shot_from_source()


def _published(*sources: str) -> dict[str, dict[str, dict[str, int]]]:
    return {source: {"f1": {"movie10": 40}} for source in sources}


def test_the_mean_of_differences_has_an_interval_over_sets() -> None:
    assert tables._mean_of([2.0]) == "+2.0"
    assert tables._mean_of([1.0, 2.0, 3.0]) == "**+2.0** (-0.5 to +4.5)"


def test_a_table_is_written_where_a_new_page_has_nothing_yet() -> None:
    [new] = tables.rendered("<!-- table: zero-shot -->\n<!-- end of table -->").split("\n<!-- end")[:1]
    assert new == f"<!-- table: zero-shot -->\n\n{tables.zero_shot()}\n"


def test_a_source_is_compared_with_prompts_of_as_many_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(f1: float) -> dict[str, Any]:
        return {"name": "movie50", "seed": 0, "test_f1": f1}

    f1 = {"few_shot": 0.9, "few_shot_32_slots": 0.5, "few_shot_from_conll2003": 0.6}
    found = {**{name: {"runs": [run(each)]} for name, each in f1.items()}, "published": tables.published()}
    monkeypatch.setattr(tables, "read", found.__getitem__)
    assert "| MIT Movie 50-shot | 1 | 50.0 | 60.0 | +10.0 |" in tables.few_shot_from_source()


def test_the_gain_of_more_slots_is_that_of_the_seeds_that_both_have(monkeypatch: pytest.MonkeyPatch) -> None:
    f1 = {
        ("movie20", 32): {0: 60.0, 1: 62.0},
        ("movie20", 128): {1: 63.0},
        ("ai100", 32): {0: 1.0},
        ("ai100", 128): {0: 9.0},
    }
    runs = [
        {"name": name, "way": f"{slots} feed-forward slots", "seed": seed, "f1": each}
        for (name, slots), by_seed in f1.items()
        for seed, each in by_seed.items()
    ]
    monkeypatch.setattr(slot_tables, "read", lambda name: {"runs": runs})
    monkeypatch.setattr(slot_tables, "NUMBERS", (32, 128))
    table = slot_tables.gains()
    assert "| MIT Movie 20-shot | 143 | 60.0, 62.0 | 63.0 | +1.0 |" in table
    assert "**+1.0** (1 sets)" in table
