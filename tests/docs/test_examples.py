"""The example data keeps the promises of its READMEs: counts, exact spans, consistent annotation, no leaks.

Reads the files with plain Python and knows nothing of the package's own parsers.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.paths import CHECKOUT

EXAMPLES = CHECKOUT / "examples"
RECIPES = {"duration", "ingredient", "quantity", "temperature", "tool"}
TICKETS = {"error_message", "operating_system", "person", "product", "version"}
SENTENCES = {"train": 50, "test": 40}
MENTIONS = {"train": 12, "test": 8}  # of every label, at least

Span = tuple[int, int, str]  # words, end exclusive, label


@dataclass(frozen=True)
class Row:
    """A sentence in words with its entities in the order of the text."""

    words: tuple[str, ...]
    spans: tuple[Span, ...]

    def entities(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """Lower-cased words and label of every entity."""
        for start, end, label in self.spans:
            yield _lower(self.words[start:end]), label


@dataclass(frozen=True)
class Domain:
    folder: str
    labels: frozenset[str]
    splits: dict[str, list[Row]]

    @property
    def rows(self) -> list[Row]:
        return self.splits["train"] + self.splits["test"]


@pytest.fixture(scope="module", params=["recipes", "support_tickets"])
def domain(request: pytest.FixtureRequest) -> Domain:
    if request.param == "recipes":
        splits = {split: _read_conll(EXAMPLES / f"recipes/{split}.conll") for split in SENTENCES}
        return Domain("recipes", frozenset(RECIPES), splits)
    splits = {split: _read_jsonl(EXAMPLES / f"support_tickets/{split}.jsonl") for split in SENTENCES}
    return Domain("support_tickets", frozenset(TICKETS), splits)


@pytest.mark.parametrize("split", SENTENCES)
def test_a_split_has_its_number_of_sentences_and_of_mentions(domain: Domain, split: str) -> None:
    rows = domain.splits[split]
    mentions = Counter(label for row in rows for _, label in row.entities())
    assert len(rows) == SENTENCES[split]
    assert set(mentions) == domain.labels
    assert min(mentions.values()) >= MENTIONS[split], mentions


@pytest.mark.parametrize("split", SENTENCES)
def test_a_split_has_empty_plain_and_dense_sentences_of_varied_length(domain: Domain, split: str) -> None:
    rows = domain.splits[split]
    lengths = [sum(word.isalnum() for word in row.words) for row in rows]
    assert sum(not row.spans for row in rows) >= len(rows) / 10
    assert sum(3 <= len(row.spans) <= 5 for row in rows) >= len(rows) / 10
    assert min(lengths) >= 5
    assert max(lengths) <= 25
    assert len(set(lengths)) >= 10


def test_no_sentence_is_repeated_even_with_other_entities(domain: Domain) -> None:
    sentences = Counter(_lower(row.words) for row in domain.rows)
    frames = Counter(_frame(row) for row in domain.rows)
    assert [sentence for sentence, count in sentences.items() if count > 1] == []
    assert [frame for frame, count in frames.items() if count > 1] == []


def test_held_out_entities_are_partly_seen_and_partly_new(domain: Domain) -> None:
    seen = {entity for row in domain.splits["train"] for entity in row.entities()}
    held_out = {entity for row in domain.splits["test"] for entity in row.entities()}
    assert 0.1 < len(held_out & seen) / len(held_out) < 0.6


def test_words_that_are_an_entity_once_are_one_everywhere_with_the_same_label(domain: Domain) -> None:
    labels: dict[tuple[str, ...], str] = {}
    for row in domain.rows:
        for words, label in row.entities():
            assert labels.setdefault(words, label) == label, words
    assert [found for row in domain.rows for found in _unlabelled(row, set(labels))] == []


def test_entities_are_disjoint_and_neither_begin_nor_end_with_punctuation(domain: Domain) -> None:
    for row in domain.rows:
        ends = [0, *(end for _, end, _ in row.spans)]
        for previous, (start, end, _) in zip(ends, row.spans, strict=False):
            assert previous <= start < end <= len(row.words), row
            assert row.words[start].isalnum(), row
            assert row.words[end - 1].isalnum(), row


def test_every_label_is_explained_in_the_readme(domain: Domain) -> None:
    readme = (EXAMPLES / domain.folder / "README.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| `(\w+)` \|", readme, flags=re.MULTILINE))
    assert explained == domain.labels


def _read_conll(path: Path) -> list[Row]:
    """Rows of word, tab, IOB2 tag; asserts the tagging scheme and that the words are those of a raw text."""
    rows = []
    for block in path.read_text(encoding="utf-8").rstrip("\n").split("\n\n"):
        words, spans = [], list[Span]()
        previous = "O"
        for index, line in enumerate(block.split("\n")):
            word, tag = line.split("\t")
            assert _words(word) == [(0, len(word))], f"{path.name}: {word!r} is more than one word"
            words.append(word)
            if tag.startswith("B-"):
                spans.append((index, index + 1, tag[2:]))
            elif tag != "O":
                assert previous in (f"B-{tag[2:]}", f"I-{tag[2:]}"), f"{path.name}: {tag!r} after {previous!r}"
                assert tag.startswith("I-"), f"{path.name}: {tag!r} is no IOB2 tag"
                spans[-1] = (spans[-1][0], index + 1, tag[2:])
            previous = tag
        rows.append(Row(tuple(words), tuple(spans)))
    return rows


def _read_jsonl(path: Path) -> list[Row]:
    """Rows of text and character offsets; asserts that the offsets lie on the edges of words."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        assert set(record) == {"text", "entities"}, line
        places = _words(record["text"])
        starts = {start: index for index, (start, _) in enumerate(places)}
        ends = {end: index + 1 for index, (_, end) in enumerate(places)}
        for start, end, _ in record["entities"]:
            assert start in starts, f"{path.name}: [{start}, {end}) begins inside a word of {line}"
            assert end in ends, f"{path.name}: [{start}, {end}) ends inside a word of {line}"
        spans = tuple((starts[start], ends[end], label) for start, end, label in record["entities"])
        rows.append(Row(tuple(record["text"][start:end] for start, end in places), spans))
    return rows


def _words(text: str) -> list[tuple[int, int]]:
    """Characters [start, end) of runs of letters and digits and of every other visible character."""
    return [match.span() for match in re.finditer(r"[^\W_]+|[^\w\s]|_", text)]


def _lower(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.lower() for word in words)


def _frame(row: Row) -> tuple[str, ...]:
    """The sentence with a label in place of each entity."""
    frame, position = list[str](), 0
    for start, end, label in row.spans:
        frame += [*_lower(row.words[position:start]), f"<{label}>"]
        position = end
    return (*frame, *_lower(row.words[position:]))


def _unlabelled(row: Row, entities: set[tuple[str, ...]]) -> Iterator[str]:
    """Words outside the entities of `row` that are an entity elsewhere."""
    covered = {index for start, end, _ in row.spans for index in range(start, end)}
    words = _lower(row.words)
    for entity in entities:
        for start in range(len(words) - len(entity) + 1):
            stretch = range(start, start + len(entity))
            if words[start : stretch.stop] == entity and not covered.issuperset(stretch):
                yield f"{' '.join(entity)} in {' '.join(row.words)}"


ORDERS = {"address", "brand", "city", "product", "street"}
ORDER_SENTENCES = {"train": 48, "test": 26}


@pytest.fixture(scope="module")
def orders() -> dict[str, list[Row]]:
    return {split: _read_jsonl(EXAMPLES / f"orders/{split}.jsonl") for split in ORDER_SENTENCES}


def test_orders_have_their_number_of_sentences_and_of_mentions(orders: dict[str, list[Row]]) -> None:
    readme = (EXAMPLES / "orders/README.md").read_text(encoding="utf-8")
    mentions = {split: Counter(label for row in rows for _, _, label in row.spans) for split, rows in orders.items()}
    assert {split: len(rows) for split, rows in orders.items()} == ORDER_SENTENCES
    for label in ORDERS:
        assert f"| `{label}` | {mentions['train'][label]} | {mentions['test'][label]} |" in readme
    assert set(mentions["train"]) == set(mentions["test"]) == ORDERS
    sentences = [_lower(row.words) for rows in orders.values() for row in rows]
    assert len(set(sentences)) == len(sentences)


def test_orders_are_nested_as_their_readme_says(orders: dict[str, list[Row]]) -> None:
    nested = dict.fromkeys(orders, 0)
    for split, rows in orders.items():
        for row in rows:
            inner = {
                (outer, one)
                for outer in row.spans
                for one in row.spans
                if one != outer and outer[0] <= one[0] and one[1] <= outer[1]
            }
            nested[split] += bool(inner)
            assert all((outer[2], one[2]) in _HELD for outer, one in inner), row
            for outer in row.spans:
                held = sorted(one[2] for whole, one in inner if whole == outer)
                assert held == {"address": ["city", "street"]}.get(outer[2], held), row
                assert len(held) <= 2
            for one in row.spans:
                crossed = [other for other in row.spans if one[0] < other[0] < one[1] < other[1]]
                assert crossed == [], row
    assert nested == {"train": 37, "test": 21}


_HELD = {("address", "street"), ("address", "city"), ("product", "brand")}
