"""Fast decoding equals teacher forcing and the slow reference, for any mixture of rows in a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from lightner.model import decoding
from lightner.model._decoder import DecoderCache
from lightner.model.backbone import Backbone
from lightner.model.decoding import Decoded, greedy, greedy_reference
from lightner.model.drafts import Draft
from lightner.model.forward import IGNORE, Encoded, decode, legal_mask, log_probabilities, shift
from lightner.model.pointers import EOS, FIRST_LABEL, FLAT, NESTED, Grammar, Space
from lightner.model.prompts import Guidance
from lightner.tagger import Row
from lightner.types import Span
from tests.support.mixed import SENTENCES, domains, double_backbone, encoded, mixed_rows

FAMILIES = ("bart", "mbart")
TOLERANCE = 1e-10


def relative(decoded: Decoded, space: Space) -> list[tuple[str, int]]:
    """Ids that do not depend on how wide the batch is."""
    return [("word", i - space.first_word) if i >= space.first_word else ("label", i) for i in decoded.ids]


def decoded_rows(
    backbone: Backbone, rows: Sequence[Row], grammar: Grammar = FLAT
) -> list[tuple[list[tuple[str, int]], tuple[float, ...]]]:
    together, guidance = encoded(backbone, rows)
    return [
        (relative(row, together.space), row.log_p)
        for row in greedy(backbone, together, guidance, [grammar] * len(rows))
    ]


def assert_same(
    found: Sequence[tuple[list[tuple[str, int]], tuple[float, ...]]],
    expected: Sequence[tuple[list[tuple[str, int]], tuple[float, ...]]],
) -> None:
    assert [ids for ids, _ in found] == [ids for ids, _ in expected]
    for (_, mine), (_, its) in zip(found, expected, strict=True):
        assert mine == pytest.approx(its, abs=TOLERANCE)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("grammar", [FLAT, NESTED], ids=["flat", "nested"])
def test_cached_decoding_equals_the_slow_reference(family: str, grammar: Grammar) -> None:
    backbone = double_backbone(1, family)
    if grammar.nested:  # random weights rarely end nested output
        backbone.model.config.max_position_embeddings = 24
    rows = mixed_rows(backbone)
    together, guidance = encoded(backbone, rows)
    fast = greedy(backbone, together, guidance, [grammar] * len(rows))
    slow = greedy_reference(backbone, together, guidance, grammar)
    assert [row.ids for row in fast] == [row.ids for row in slow]
    for mine, its in zip(fast, slow, strict=True):
        assert mine.log_p == pytest.approx(its.log_p, abs=TOLERANCE)
        assert mine.end_log_p == pytest.approx(its.end_log_p, abs=TOLERANCE)
    assert any(row.end_log_p < 0 for row in fast)
    if not grammar.nested:  # rows finish at different steps, so some left the batch while others continued
        assert len({len(row.ids) for row in fast}) >= 3


@pytest.mark.parametrize("family", FAMILIES)
def test_cached_decoding_equals_teacher_forcing(family: str) -> None:
    backbone = double_backbone(2, family)
    rows = mixed_rows(backbone)
    together, guidance = encoded(backbone, rows)
    found = greedy(backbone, together, guidance)
    chances = forced(backbone, rows, found)
    for row, chance in zip(found, chances, strict=True):
        assert [int(step.argmax()) for step in chance[: len(row.ids)]] == list(row.ids)
        own = [float(step[written]) for step, written in zip(chance, row.ids, strict=False)]
        assert own == pytest.approx(row.log_p, abs=TOLERANCE)
        if len(row.ids) < 3 * together.space.words:
            assert int(chance[len(row.ids)].argmax()) == EOS


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("passes", [(7,), (1, 6), (3, 1, 3)], ids=str)
def test_the_decoders_own_layers_read_several_places_a_pass(family: str, passes: tuple[int, ...]) -> None:
    backbone = double_backbone(3, family)
    together, guidance = encoded(backbone, mixed_rows(backbone))
    places = torch.randint(together.space.size, (len(together.hidden), sum(passes)), generator=torch.manual_seed(0))
    cache = DecoderCache(backbone, together.hidden, together.attention_mask, guidance)
    with torch.inference_mode():
        parts = [cache.read(together.read_back(part)) for part in places.split(passes, dim=1)]
        expected = decode(backbone, together, guidance, places)
    torch.testing.assert_close(together.scores(torch.cat(parts, dim=1)), expected, rtol=0, atol=TOLERANCE)


def forced(backbone: Backbone, rows: Sequence[Row], found: Sequence[Decoded]) -> torch.Tensor:
    """Log-probabilities [B, T, C] of each step, given what `found` wrote before it, in one pass over the batch."""
    together, guidance = encoded(backbone, rows)
    longest = max(len(row.ids) for row in found) + 1
    targets = torch.tensor([[*row.ids, EOS, *[IGNORE] * (longest - len(row.ids) - 1)] for row in found])
    with torch.no_grad():
        scores = decode(backbone, together, guidance, shift(targets))
    return log_probabilities(scores, legal_mask(targets, together.real, together.space))


def test_a_score_is_the_product_of_the_entitys_three_step_probabilities() -> None:
    backbone = double_backbone(3)
    rows = mixed_rows(backbone)
    together, guidance = encoded(backbone, rows)
    found = greedy(backbone, together, guidance)
    chances = forced(backbone, rows, found).exp()
    first, entities = together.space.first_word, 0
    for row, decoded, chance in zip(rows, found, chances, strict=True):
        names = row.prompt.labels.names
        for number, (span, score) in enumerate(decoded.spans(names, together.space)):
            start, end, label = chance[3 * number : 3 * number + 3]
            product = start[first + span.start] * end[first + span.end - 1] * label[1 + names.index(span.label)]
            assert score == pytest.approx(float(product), rel=1e-9)
            assert 0 < score <= 1
            entities += 1
    assert entities > 10


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_of_flat_and_of_nested_domains_share_a_batch(family: str) -> None:
    backbone = double_backbone(13, family)
    backbone.model.config.max_position_embeddings = 24
    rows = mixed_rows(backbone)
    together, guidance = encoded(backbone, rows)
    grammars = [NESTED if place % 3 else FLAT for place in range(len(rows))]
    found = greedy(backbone, together, guidance, grammars)
    for row, grammar, mine in zip(rows, grammars, found, strict=True):
        alone = decoded_rows(backbone, [row], grammar)
        assert_same([(relative(mine, together.space), mine.log_p)], alone)
    assert {mine.ids for mine in found} != {mine.ids for mine in greedy(backbone, together, guidance)}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_mixed_batch_equals_one_row_at_a_time(family: str) -> None:
    backbone = double_backbone(4, family)
    rows = mixed_rows(backbone)
    together = decoded_rows(backbone, rows)
    assert_same(together, [decoded_rows(backbone, [row])[0] for row in rows])
    assert len({len(ids) for ids, _ in together}) >= 3


def test_order_changes_nothing() -> None:
    backbone = double_backbone(5)
    rows = mixed_rows(backbone)
    together = decoded_rows(backbone, rows)
    assert_same(decoded_rows(backbone, rows[::-1])[::-1], together)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_batch_size_changes_nothing(size: int) -> None:
    backbone = double_backbone(6)
    rows = mixed_rows(backbone)
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    assert_same([row for part in parts for row in decoded_rows(backbone, part)], decoded_rows(backbone, rows))


def test_padding_changes_nothing() -> None:
    backbone = double_backbone(7)
    prompt = domains(backbone)[1]
    short, long = Row(prompt, SENTENCES[1]), Row(prompt, SENTENCES[3])
    assert_same(decoded_rows(backbone, [short, long])[:1], decoded_rows(backbone, [short]))


def test_a_row_does_not_depend_on_when_the_others_finish() -> None:
    backbone = double_backbone(8)
    rows = mixed_rows(backbone)
    lengths = [len(ids) for ids, _ in decoded_rows(backbone, rows)]
    last = max(range(len(rows)), key=lengths.__getitem__)
    sooner = [index for index in range(len(rows)) if lengths[index] < lengths[last]]
    assert len({lengths[index] for index in sooner}) >= 2
    alone = decoded_rows(backbone, [rows[last]])
    for index in sooner:
        assert_same(decoded_rows(backbone, [rows[index], rows[last]])[1:], alone)


def test_a_guidance_shared_by_all_rows_stays_shared_while_rows_leave() -> None:
    backbone = double_backbone(9)
    prompt = domains(backbone)[1]
    rows = [Row(prompt, words) for words in SENTENCES]
    together, guidance = encoded(backbone, rows)
    assert {tensor.shape[1] for tensor in guidance.tensors().values()} == {1}
    per_row = guidance.map(lambda tensor: tensor.expand(-1, len(rows), *tensor.shape[2:]))
    masked = Guidance.from_tensors(per_row.tensors(), torch.ones(len(rows), guidance.length, dtype=torch.bool))
    shared = greedy(backbone, together, guidance)
    assert len({len(row.ids) for row in shared}) >= 2
    for mine, its in zip(shared, greedy(backbone, together, masked), strict=True):
        assert mine.ids == its.ids
        assert mine.log_p == pytest.approx(its.log_p, abs=TOLERANCE)


def endless(backbone: Backbone, *, rows: int) -> tuple[Encoded, Guidance]:
    """Rows of 100 words each of which becomes an entity, so that decoding ends where the decoder's positions do."""
    words = ("ada", "lives", "in", "rome") * 25
    together, guidance = encoded(backbone, [Row(domains(backbone)[0], words)] * rows)
    # Decoder states now sum to something positive, and candidates are multiples of ones: the earliest word always wins.
    backbone.model.get_decoder().layers[-1].final_layer_norm.bias.data += 10
    liking = torch.tensor([0, 1, 2, *range(len(words) + 1, 1, -1)], dtype=torch.float64)
    candidates = liking[None, :, None].expand_as(together.candidates) / len(words)
    return replace(together, candidates=candidates), guidance


@pytest.mark.parametrize("grammar", [FLAT, NESTED], ids=["flat", "nested"])
def test_decoding_without_end_stops_at_the_decoders_positions(grammar: Grammar) -> None:
    backbone = double_backbone(10)
    together, guidance = endless(backbone, rows=1)
    [found] = greedy(backbone, together, guidance, [grammar])
    assert len(found.ids) == backbone.max_pieces // 3 * 3 == 126
    starts = [span.start for span, _ in found.spans(["a", "b"], together.space)]
    assert starts == ([0] * 42 if grammar.nested else list(range(42)))


def test_spans_of_a_row_carry_names_and_scores() -> None:
    space = Space(labels=2, words=5)
    decoded = Decoded(ids=(3, 4, 2, 6, 6, 1), log_p=(-0.5, -0.25, -0.25, 0.0, 0.0, -2.0))
    spans, scores = zip(*decoded.spans(["food", "place"], space), strict=True)
    assert spans == (Span(0, 2, "place"), Span(3, 4, "food"))
    assert scores == pytest.approx((math.exp(-1), math.exp(-2)))


def test_the_step_that_ends_a_row_counts_in_its_mean() -> None:
    assert Decoded((3, 4, 2), (-0.5, -0.25, -0.25), -3.0).mean_log_p == pytest.approx(-1.0)
    assert Decoded((), (), -3.0).mean_log_p == -3.0


def taggers(backbone: Backbone, rows: Sequence[Row], *, seed: int = 0) -> list[torch.Tensor]:
    """Random draft taggers, which find entities everywhere and are nearly always wrong."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [(1 + 2 * len(row.prompt.labels.names), backbone.shape.width + 1) for row in rows]
    return [torch.randn(size, generator=generator, dtype=torch.float64) for size in sizes]


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record the places of every pass of decoding from now on."""
    counted: list[int] = []
    read = DecoderCache.read

    def counting(cache: DecoderCache, inputs: torch.Tensor) -> torch.Tensor:
        counted.append(inputs.shape[1])
        return read(cache, inputs)

    monkeypatch.setattr(DecoderCache, "read", counting)
    return counted


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("grammar", [FLAT, NESTED], ids=["flat", "nested"])
def test_drafts_change_nothing(family: str, grammar: Grammar, passes: list[int]) -> None:
    backbone = double_backbone(11, family)
    if grammar.nested:
        backbone.model.config.max_position_embeddings = 24
    rows = mixed_rows(backbone)
    together, guidance = encoded(backbone, rows)
    slow = greedy_reference(backbone, together, guidance, grammar)
    assert not passes
    for seed in range(4):
        drafting: list[torch.Tensor | None] = [*taggers(backbone, rows, seed=seed)]
        drafting[seed] = None
        fast = greedy(backbone, together, guidance, [grammar] * len(rows), drafting)
        assert [row.ids for row in fast] == [row.ids for row in slow]
        for mine, its in zip(fast, slow, strict=True):
            assert mine.log_p == pytest.approx(its.log_p, abs=TOLERANCE)
    assert max(passes) > 3  # guesses were read


def draft_of(row: Decoded, space: Space) -> Draft:
    """The draft that says what the row says."""
    triples = [(start, end, label) for start, end, label in zip(*[iter(row.ids)] * 3, strict=True)]
    classes = {end - space.first_word: label - FIRST_LABEL for _, end, label in triples}
    entities = tuple((start - space.first_word, end - space.first_word) for start, end, _ in triples)
    return Draft(entities, [classes.get(word, 0) for word in range(space.words)])


def test_a_right_draft_takes_one_pass(monkeypatch: pytest.MonkeyPatch, passes: list[int]) -> None:
    backbone = double_backbone(12)
    rows = mixed_rows(backbone)
    together, guidance = encoded(backbone, rows)
    plain = greedy(backbone, together, guidance)
    alone = len(passes)
    assert alone == max(len(row.ids) for row in plain) + 1 > 3

    monkeypatch.setattr(decoding, "draft", lambda *_: [draft_of(row, together.space) for row in plain])
    monkeypatch.setattr(decoding, "GUESSED_IDS", 1000)
    drafted = greedy(backbone, together, guidance)
    assert len(passes) == alone + 1
    assert [row.ids for row in drafted] == [row.ids for row in plain]
    for mine, its in zip(drafted, plain, strict=True):
        assert mine.log_p == pytest.approx(its.log_p, abs=TOLERANCE)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_at_the_last_positions_waits_for_one_with_a_long_draft(
    family: str, monkeypatch: pytest.MonkeyPatch, passes: list[int]
) -> None:
    backbone = double_backbone(12, family)
    together, guidance = endless(backbone, rows=2)
    plain = greedy(backbone, together, guidance)
    assert [len(row.ids) for row in plain] == [backbone.max_pieces // 3 * 3] * 2
    right = draft_of(plain[0], together.space)
    always_wrong = Draft(tuple((word, word + 1) for word in range(0, together.space.words - 1, 2)), right.classes)
    monkeypatch.setattr(decoding, "draft", lambda *_: [right, always_wrong])
    passes.clear()
    drafted = greedy(backbone, together, guidance)
    assert max(passes) == 1 + decoding.GUESSED_IDS
    assert [row.ids for row in drafted] == [row.ids for row in plain]
    for mine, its in zip(drafted, plain, strict=True):
        assert mine.log_p == pytest.approx(its.log_p, abs=TOLERANCE)
