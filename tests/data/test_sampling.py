"""Hold-outs, folds and k-shot samples: nothing lost, nothing leaked, every type on all sides where possible."""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightner.data.sampling import folds, hold_out, k_shot
from lightner.types import InputError, Sentence, Span

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy

TYPES = ("A", "B", "C", "D")
Holders = dict[str, set[tuple[str, ...]]]
seeds = st.integers(0, 1000)


@st.composite
def sets(draw: st.DrawFn, *, least: int = 2, most: int = 8, types: Sequence[str] = TYPES) -> list[Sentence]:
    """Sentences with up to three mentions; about one in ten repeats the words of another."""
    contents = draw(st.lists(st.lists(st.sampled_from(types), max_size=3), min_size=least, max_size=most))
    numbers = [number if draw(st.integers(0, 9)) else 0 for number in range(len(contents))]
    return [sentence(number, labels) for number, labels in zip(numbers, contents, strict=True)]


def sentence(number: int, labels: Sequence[str]) -> Sentence:
    words = ("w0", "w1", "w2", str(number))
    return Sentence(words, tuple(Span(index, index + 1, label) for index, label in enumerate(labels)))


def mentions(sentences: Sequence[Sentence]) -> Counter[str]:
    return Counter(span.label for each in sentences for span in each.spans)


def words_of(sentences: Sequence[Sentence]) -> set[tuple[str, ...]]:
    return {each.words for each in sentences}


def holders(sentences: Sequence[Sentence]) -> Holders:
    """The different sentences of each type, by their words."""
    found: Holders = defaultdict(set)
    for each in sentences:
        for span in each.spans:
            found[span.label].add(each.words)
    return found


def large(count: int, seed: int) -> list[Sentence]:
    """`count` sentences, a third without entities, types from common to rare."""
    generator = random.Random(seed)
    weights = (60, 30, 8, 2)
    return [
        sentence(number, generator.choices(TYPES, weights, k=generator.choice((0, 1, 2)))) for number in range(count)
    ]


def misses(train: set[tuple[str, ...]], held: set[tuple[str, ...]], found: Holders) -> int:
    """Sides that lack types; a type of one sentence belongs into train."""
    return sum((not those & train) + (len(those) > 1 and not those & held) for those in found.values())


def fewest_misses(sentences: Sequence[Sentence], found: Holders) -> int:
    """By trying every cut into two sides that are not empty."""
    units = sorted(words_of(sentences))
    sides = (
        {unit for unit, side in zip(units, cut, strict=True) if side}
        for cut in itertools.product((0, 1), repeat=len(units))
    )
    return min(misses(set(units) - side, side, found) for side in sides if 0 < len(side) < len(units))


@calm
@given(sets(), st.floats(0.05, 0.95), seeds)
def test_hold_out_parts_all_sentences_and_misses_no_type_that_any_cut_could_serve(
    sentences: list[Sentence], fraction: float, seed: int
) -> None:
    if len(words_of(sentences)) < 2:
        return
    train, held = hold_out(sentences, fraction=fraction, seed=seed)
    assert Counter(train) + Counter(held) == Counter(sentences)
    assert train
    assert held
    assert not words_of(train) & words_of(held)
    found = holders(sentences)
    assert misses(words_of(train), words_of(held), found) == fewest_misses(sentences, found)


@calm
@given(sets(), seeds, st.randoms(use_true_random=False))
def test_the_hold_out_is_independent_of_the_order_of_sentences(
    sentences: list[Sentence], seed: int, generator: random.Random
) -> None:
    if len(words_of(sentences)) < 2:
        return
    shuffled = generator.sample(sentences, len(sentences))
    sides = hold_out(sentences, fraction=0.3, seed=seed)
    assert [Counter(side) for side in hold_out(shuffled, fraction=0.3, seed=seed)] == [Counter(side) for side in sides]


def test_hold_out_keeps_the_order_of_the_input() -> None:
    sentences = large(200, seed=0)
    positions = {each: index for index, each in enumerate(sentences)}
    for side in hold_out(sentences, fraction=0.3, seed=1):
        assert [positions[each] for each in side] == sorted(positions[each] for each in side)


def test_hold_out_takes_the_fraction_of_the_sentences_and_of_every_type() -> None:
    sentences = large(1000, seed=3)
    _, held = hold_out(sentences, fraction=0.2, seed=5)
    assert len(held) == pytest.approx(200, abs=3)
    for name, total in mentions(sentences).items():
        assert mentions(held)[name] == pytest.approx(0.2 * total, abs=2)


def test_another_seed_holds_out_other_sentences_and_the_same_seed_the_same() -> None:
    sentences = large(100, seed=0)
    sides = [hold_out(sentences, fraction=0.2, seed=seed)[1] for seed in (0, 1, 0)]
    assert sides[0] == sides[2] != sides[1]


def test_a_type_of_one_sentence_stays_in_train() -> None:
    sentences = [sentence(0, "AA"), *(sentence(number, "B") for number in range(1, 5))]
    for seed in range(20):
        train, _ = hold_out(sentences, fraction=0.5, seed=seed)
        assert sentences[0] in train


def entangled(count: int, seed: int) -> list[Sentence]:
    """`count` sentences and 1.5 times as many types of three sentences each, which a hidden cut serves all."""
    generator = random.Random(seed)
    labels: list[list[str]] = [[] for _ in range(count)]
    for name in range(count * 3 // 2):
        three = generator.sample(range(count), 3)
        while len({number % 2 for number in three}) == 1:
            three = generator.sample(range(count), 3)
        for number in three:
            labels[number].append(f"T{name}")
    words = tuple(f"w{index}" for index in range(max(map(len, labels))))
    return [
        Sentence((*words, str(number)), tuple(Span(index, index + 1, name) for index, name in enumerate(those)))
        for number, those in enumerate(labels)
    ]


def test_types_that_share_their_sentences_all_stand_on_both_sides() -> None:
    for seed in range(20):
        sentences = entangled(40, seed)
        train, held = hold_out(sentences, fraction=0.5, seed=seed)
        assert misses(words_of(train), words_of(held), holders(sentences)) == 0


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_hold_out_refuses_a_fraction_that_leaves_a_side_empty(fraction: float) -> None:
    with pytest.raises(InputError, match=f"found fraction {fraction}, expected 0 < fraction < 1"):
        hold_out(large(10, seed=0), fraction=fraction, seed=0)


def test_hold_out_refuses_fewer_than_two_different_sentences() -> None:
    with pytest.raises(InputError, match="found 1 different sentences, expected at least 2"):
        hold_out([sentence(0, "A")] * 5, fraction=0.5, seed=0)


@calm
@given(sets(least=3), st.integers(2, 5), seeds)
def test_folds_hold_every_sentence_once_and_leak_none(sentences: list[Sentence], count: int, seed: int) -> None:
    if len(words_of(sentences)) < count:
        return
    pairs = folds(sentences, count=count, seed=seed)
    assert len(pairs) == count
    assert sum((Counter(held) for _, held in pairs), Counter()) == Counter(sentences)
    for train, held in pairs:
        assert Counter(train) + Counter(held) == Counter(sentences)
        assert held
        assert not words_of(train) & words_of(held)


@calm
@given(sets(), seeds)
def test_two_folds_miss_no_type_that_any_cut_could_serve(sentences: list[Sentence], seed: int) -> None:
    if len(words_of(sentences)) < 2:
        return
    (_, first), (_, second) = folds(sentences, count=2, seed=seed)
    shared = {name: those for name, those in holders(sentences).items() if len(those) > 1}
    assert misses(words_of(first), words_of(second), shared) == fewest_misses(sentences, shared)


@calm
@given(sets(), seeds, st.randoms(use_true_random=False))
def test_folds_do_not_depend_on_the_order_of_the_sentences(
    sentences: list[Sentence], seed: int, generator: random.Random
) -> None:
    if len(words_of(sentences)) < 2:
        return
    shuffled = generator.sample(sentences, len(sentences))
    one, other = (folds(these, count=2, seed=seed) for these in (sentences, shuffled))
    assert [Counter(held) for _, held in one] == [Counter(held) for _, held in other]


def test_folds_are_of_one_size_and_share_every_type() -> None:
    sentences = large(1003, seed=7)
    held = [side for _, side in folds(sentences, count=5, seed=2)]
    assert {len(side) for side in held} <= {200, 201}
    for name, total in mentions(sentences).items():
        for side in held:
            assert mentions(side)[name] == pytest.approx(total / 5, abs=2)


def test_folds_refuse_a_count_that_cannot_be() -> None:
    with pytest.raises(InputError, match="found count 1, expected at least 2"):
        folds(large(10, seed=0), count=1, seed=0)
    with pytest.raises(InputError, match="found 3 different sentences, expected at least 4, one for each fold"):
        folds(large(3, seed=0) * 2, count=4, seed=0)


@calm
@given(sets(most=12), st.integers(1, 4), seeds)
def test_a_k_shot_sample_has_k_of_every_type_and_no_needless_sentence(
    sentences: list[Sentence], k: int, seed: int
) -> None:
    if not mentions(sentences):
        return
    sample = k_shot(sentences, k=k, seed=seed)
    assert not Counter(sample) - Counter(sentences)
    assert len(words_of(sample)) == len(sample)
    fullest_last = sorted(sentences, key=lambda each: (-len(each.spans), each.spans), reverse=True)
    distinct = list({each.words: each for each in fullest_last}.values())
    goals = {name: min(k, total) for name, total in mentions(distinct).items()}
    assert all(mentions(sample)[name] >= goal for name, goal in goals.items())
    for index in range(len(sample)):
        rest = mentions([*sample[:index], *sample[index + 1 :]])
        assert any(rest[name] < goal for name, goal in goals.items())


def test_a_k_shot_sample_is_exact_where_sentences_allow_it() -> None:
    sentences = large(600, seed=4)
    for seed in range(5):
        sample = k_shot(sentences, k=5, seed=seed)
        assert all(5 <= count <= 6 for count in mentions(sample).values())
        assert mentions(sample).keys() == set(TYPES)


def test_a_k_shot_sample_does_not_depend_on_the_order_and_keeps_it() -> None:
    sentences = large(200, seed=9)
    shuffled = random.Random(1).sample(sentences, len(sentences))
    one, other = k_shot(sentences, k=5, seed=3), k_shot(shuffled, k=5, seed=3)
    assert Counter(one) == Counter(other)
    assert list(one) == [each for each in sentences if each in set(one)]
    assert Counter(one) != Counter(k_shot(sentences, k=5, seed=4))


def test_a_k_shot_sample_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="found k 0, expected at least 1"):
        k_shot(large(10, seed=0), k=0, seed=0)
    with pytest.raises(InputError, match="found no entities"):
        k_shot([sentence(0, "")], k=1, seed=0)
