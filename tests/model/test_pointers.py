"""The pointer language: writing and reading spans are inverse, and one grammar holds in training and in decoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightner.model.decoding import greedy
from lightner.model.forward import IGNORE, legal_mask, log_probabilities, pointer_loss, shift
from lightner.model.pointers import EOS, FIRST_LABEL, FLAT, NESTED, Grammar, Space, decode_ids, encode_spans, legal
from lightner.types import InputError, Span, crossing
from tests.support.mixed import double_backbone, encoded, mixed_rows

NAMES = ("a", "b", "c", "d")


@dataclass(frozen=True)
class Annotated:
    """A row of a batch: how many labels and words it has, and its gold spans."""

    labels: int
    words: int
    spans: tuple[Span, ...]


@st.composite
def rows(draw: st.DrawFn, *, nested: bool) -> Annotated:
    labels, words = draw(st.integers(1, len(NAMES))), draw(st.integers(1, 9))
    starts = st.integers(0, words - 1)
    pairs = draw(
        st.lists(st.tuples(starts, st.integers(1, words), st.integers(0, labels - 1)), max_size=6, unique=True)
    )
    spans: list[Span] = []
    for start, size, label in sorted(pairs):
        span = Span(start, min(start + size, words), NAMES[label])
        apart = not spans or span.start >= spans[-1].end
        if (span not in spans and crossing((*spans, span)) is None) if nested else apart:
            spans.append(span)
    return Annotated(labels, words, tuple(sorted(spans)))


def batches(nested: bool) -> st.SearchStrategy[list[Annotated]]:
    return st.lists(rows(nested=nested), min_size=1, max_size=4)


def widest(batch: Sequence[Annotated]) -> Space:
    return Space(labels=max(row.labels for row in batch), words=max(row.words for row in batch))


def real_ids(row: Annotated, space: Space) -> set[int]:
    labels = range(FIRST_LABEL, FIRST_LABEL + row.labels)
    return {EOS, *labels, *range(space.first_word, space.first_word + row.words)}


@pytest.mark.parametrize("grammar", [FLAT, NESTED], ids=["flat", "nested"])
@settings(deadline=None, max_examples=100)
@given(draw=st.data())
def test_reading_written_spans_gives_them_back(grammar: Grammar, draw: st.DataObject) -> None:
    row = draw.draw(rows(nested=grammar.nested))
    space = Space(draw.draw(st.integers(row.labels, 6)), draw.draw(st.integers(row.words, 12)))
    ids = encode_spans(row.spans, NAMES[: row.labels], space, grammar=grammar)
    assert decode_ids(ids, NAMES[: row.labels], space) == row.spans
    assert decode_ids(ids[:-1], NAMES[: row.labels], space) == row.spans
    assert len(ids) == 3 * len(row.spans) + 1


@pytest.mark.parametrize("grammar", [FLAT, NESTED], ids=["flat", "nested"])
@settings(deadline=None, max_examples=100)
@given(draw=st.data())
def test_each_step_of_a_written_target_is_legal(grammar: Grammar, draw: st.DataObject) -> None:
    row = draw.draw(rows(nested=grammar.nested))
    space = Space(row.labels, row.words)
    ids = encode_spans(row.spans, NAMES[: row.labels], space, grammar=grammar)
    for step, written in enumerate(ids):
        assert written in legal(ids[:step], space, grammar)


@settings(deadline=None, max_examples=100)
@given(draw=st.data())
def test_whatever_is_chosen_nested_output_can_be_finished_and_is_what_would_be_written(draw: st.DataObject) -> None:
    own = Space(draw.draw(st.integers(1, 3)), draw.draw(st.integers(1, 5)))
    space = Space(3, own.words + draw.draw(st.integers(0, 2)))
    ids: list[int] = []
    while len(ids) < 3 * 3 * 2 * space.words:
        choices = legal(ids, space, NESTED, own)
        first, last = NESTED.choices(ids, len(ids), space, own)
        assert choices - {EOS} == set(range(first, last + 1)), "no step is a dead end"
        chosen = draw.draw(st.sampled_from(sorted(choices)))
        if chosen == EOS:
            break
        ids.append(chosen)
    spans = decode_ids(ids[: len(ids) // 3 * 3], NAMES, space)
    assert encode_spans(spans, NAMES, space, grammar=NESTED) == (*ids[: len(ids) // 3 * 3], EOS)


@pytest.mark.parametrize("grammar", [FLAT, NESTED], ids=["flat", "nested"])
@settings(deadline=None, max_examples=100)
@given(draw=st.data())
def test_the_fast_grammar_equals_the_obvious_one_at_every_step(grammar: Grammar, draw: st.DataObject) -> None:
    batch = draw.draw(batches(grammar.nested))
    space = widest(batch)
    written = [encode_spans(row.spans, NAMES[: row.labels], space, grammar=grammar) for row in batch]
    longest = max(map(len, written)) + draw.draw(st.integers(0, 2))
    targets = torch.tensor([[*ids, *[IGNORE] * (longest - len(ids))] for ids in written])
    real = torch.zeros(len(batch), space.size, dtype=torch.bool)
    for index, row in enumerate(batch):
        real[index, sorted(real_ids(row, space))] = True
    mask = legal_mask(targets, real, space, grammar)
    for index, (row, ids) in enumerate(zip(batch, written, strict=True)):
        for step in range(longest):
            found = set(mask[index, step].nonzero()[:, 0].tolist())
            if step < len(ids):
                assert found == legal(ids[:step], space, grammar, Space(row.labels, row.words)) & real_ids(row, space)
            else:
                assert EOS in found


@settings(deadline=None, max_examples=50)
@given(batch=batches(nested=False), seed=st.integers(0, 1000))
def test_the_loss_is_the_mean_cross_entropy_over_legal_candidates_of_real_steps(
    batch: list[Annotated], seed: int
) -> None:
    space = widest(batch)
    written = [encode_spans(row.spans, NAMES[: row.labels], space) for row in batch]
    longest = max(map(len, written))
    targets = torch.tensor([[*ids, *[IGNORE] * (longest - len(ids))] for ids in written])
    real = torch.zeros(len(batch), space.size, dtype=torch.bool)
    for index, row in enumerate(batch):
        real[index, sorted(real_ids(row, space))] = True
    size = (len(batch), longest, space.size)
    scores = torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    expected = []
    for index, (row, ids) in enumerate(zip(batch, written, strict=True)):
        for step, target in enumerate(ids):
            allowed = sorted(legal(ids[:step], space) & real_ids(row, space))
            expected.append(torch.logsumexp(scores[index, step, allowed], 0) - scores[index, step, target])
    loss = pointer_loss(scores, targets, legal_mask(targets, real, space))
    assert float(loss) == pytest.approx(float(torch.stack(expected).mean()), rel=1e-12)


def test_teacher_forcing_reads_the_step_before() -> None:
    targets = torch.tensor([[4, 5, 1, 0], [0, IGNORE, IGNORE, IGNORE]])
    assert shift(targets).tolist() == [[-1, 4, 5, 1], [-1, 0, 0, 0]]


def test_probabilities_of_bf16_scores_are_computed_in_float32() -> None:
    scores = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.bfloat16)
    legal_now = torch.tensor([[True, False, True]])
    found = log_probabilities(scores, legal_now)
    assert found.dtype == torch.float32
    assert found[0].exp().tolist() == pytest.approx([0.11920292, 0.0, 0.88079708], abs=1e-7)


def test_a_label_that_is_not_in_the_set_is_refused() -> None:
    with pytest.raises(InputError, match=r"found label 'food', expected one of \['a', 'b'\]"):
        encode_spans([Span(0, 1, "food")], ["a", "b"], Space(2, 3))


@pytest.mark.parametrize("second", [Span(1, 2, "b"), Span(0, 3, "b"), Span(0, 4, "a")])
def test_flat_targets_refuse_entities_that_overlap_and_nested_ones_take_them(second: Span) -> None:
    spans = [second, Span(0, 3, "a")]
    with pytest.raises(InputError, match="expected entities that do not overlap"):
        encode_spans(spans, NAMES, Space(4, 4))
    ids = encode_spans(spans, NAMES, Space(4, 4), grammar=NESTED)
    assert decode_ids(ids, NAMES, Space(4, 4)) == tuple(sorted(spans))


@pytest.mark.parametrize("second", [Span(2, 4, "b"), Span(0, 3, "a")], ids=["crossing", "twice"])
def test_nested_targets_refuse_entities_that_cross_or_are_given_twice(second: Span) -> None:
    with pytest.raises(InputError, match="expected entities that differ, and lie within one another or share no word"):
        encode_spans([Span(0, 3, "a"), second], NAMES, Space(4, 4), grammar=NESTED)


@pytest.mark.parametrize("grammar", [FLAT, NESTED], ids=["flat", "nested"])
def test_output_of_random_weights_is_well_formed(grammar: Grammar) -> None:
    entities = 0
    for family in ("bart", "mbart"):
        backbone = double_backbone(0, family)
        batch = mixed_rows(backbone)[: 6 if grammar.nested else None]
        together, guidance = encoded(backbone, batch)
        for row, decoded in zip(batch, greedy(backbone, together, guidance, [grammar] * len(batch)), strict=True):
            assert len(decoded.ids) == len(decoded.log_p)
            assert all(value <= 0 for value in decoded.log_p)
            own = {EOS, *range(FIRST_LABEL, FIRST_LABEL + len(row.prompt.labels))}
            own |= set(range(together.space.first_word, together.space.first_word + len(row.words)))
            for step, written in enumerate(decoded.ids):
                own_space = Space(len(row.prompt.labels), len(row.words))
                now = legal(decoded.ids[:step], together.space, grammar, own_space)
                assert written in now & own
            spans = [span for span, _ in decoded.spans(row.prompt.labels.names, together.space)]
            entities += len(spans)
            assert spans == sorted(set(spans))
            assert crossing(spans) is None
            assert grammar.nested or all(before.end <= after.start for before, after in pairwise(spans))
    assert entities > 20
