"""The gate: comparisons of a new version, and when it may not go live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from lightner.evaluation.intervals import difference_interval, f1_interval
from lightner.evaluation.metrics import score
from lightner.jobs import publish
from lightner.jobs.gate import Opponents, Verdict, judge
from lightner.store.artifact import CARD, FILES, PromptArtifact
from lightner.store.card import JSON, to_json
from lightner.store.lineage import Measured, learned_from, recorded_on, traces
from lightner.tuning.training import fit, folded_tensors
from lightner.types import Counts, LabelSet, Scores, Sentence, Span
from tests.support.eight import EIGHT, LABELS, SHORT
from tests.support.tiny import tiny_artifact, tiny_backbone

BASE = tiny_backbone()
OTHERS = tuple(Sentence((*sentence.words, "too"), sentence.spans) for sentence in EIGHT)


def counted(sentences: Sequence[Sentence], *, right: bool) -> Measured:
    """A version that finds everything, or the same number of entities in wrong places."""
    return Measured(tuple(sentences), tuple(found_all(each) if right else found_none(each) for each in sentences))


def found_all(sentence: Sentence) -> Scores:
    return score([sentence.spans], [sentence.spans])


def found_none(sentence: Sentence) -> Scores:
    """As many entities as there are, all in the wrong place."""
    return Scores({name: replace(counts, true_positives=0) for name, counts in found_all(sentence).types.items()})


def of_type(*rows: tuple[int, int, int], name: str = "place") -> tuple[Scores, ...]:
    return tuple(Scores({name: Counts(*row)}) for row in rows)


def verdict_of(new: Measured, found: PromptArtifact | None, **more: Any) -> Verdict:
    return judge(new, LABELS.names, Opponents(found, more.pop("earlier", {})), BASE, seed=0, **more)


def live(
    *, f1: float | None, learned: Sequence[Sentence], held: Sequence[Sentence] = (), backbone_seed: int = 0
) -> PromptArtifact:
    """A random prompt with this F1 on its card."""
    found = tiny_artifact(tiny_backbone(backbone_seed), labels=LABELS)
    metrics: dict[str, JSON] = {} if f1 is None else {"f1": f1}
    data = {**traces(learned, counted(held, right=True)), "measured_counts": ""}
    return PromptArtifact(replace(found.card, metrics=metrics, data=data), found.tensors)


@pytest.fixture(scope="module")
def good() -> PromptArtifact:
    """A prompt that has memorised EIGHT, with a card that says otherwise."""
    plan = replace(SHORT, learning_rate=3e-2, batch_size=8, steps=60, rounds=2, feed_forward_slots=0, dropout=0.0)
    tensors = folded_tensors(fit(BASE, LABELS, EIGHT, (), plan))
    data = traces(OTHERS, counted(OTHERS, right=True))
    return publish.bare("movies", BASE, LABELS, tensors, sentences=EIGHT, metrics={"f1": 0.5}, data=data)


def test_the_first_version_goes_live() -> None:
    verdict = verdict_of(counted(EIGHT, right=False), None)
    assert verdict.passed
    assert "no live version" in verdict.comparison


@pytest.mark.parametrize(("right", "passed"), [(False, False), (True, True)])
def test_scores_on_the_same_sentences_are_compared_whatever_their_order(right: bool, passed: bool) -> None:
    new = counted(EIGHT[::-1], right=right)
    verdict = verdict_of(new, live(f1=0.9, learned=EIGHT, held=EIGHT))
    assert verdict.passed is passed
    assert "against 90.0 of the live version, measured on the same sentences" in verdict.comparison


def test_a_score_within_the_interval_is_no_worse() -> None:
    half = Measured(EIGHT, of_type(*((n % 2, 1, 1) for n in range(8))))
    for theirs, passed in [(0.6, True), (0.99, False)]:
        assert verdict_of(half, live(f1=theirs, learned=EIGHT, held=EIGHT)).passed is passed


def test_on_the_same_sentences_a_small_loss_counts_if_it_comes_with_no_gain() -> None:
    many = tuple(Sentence((f"w{n}", "in", "rome"), (Span(2, 3, "place"),)) for n in range(40))
    theirs = Measured(many, of_type(*((int(n < 30), 1, 1) for n in range(40))))
    worse = Measured(many[::-1], of_type(*((int(n < 24), 1, 1) for n in reversed(range(40)))))
    mixed = Measured(many, of_type(*((int(6 <= n < 34), 1, 1) for n in range(40))))
    found = live(f1=theirs.f1, learned=many)
    card = replace(found.card, data=traces(many, theirs))
    verdicts = [verdict_of(new, PromptArtifact(card, found.tensors)) for new in (worse, mixed, theirs)]
    assert [verdict.passed for verdict in verdicts] == [False, True, True]
    assert "f1 60.0 against 75.0 of the live version, measured on the same 40 sentences" in verdicts[0].comparison
    unpaired = f1_interval(worse.counts, seed=0)
    assert unpaired.high >= theirs.f1, "the score alone would not have told"


@pytest.mark.parametrize("damage", ["", "0:1,1", "0:1,1,x;0:1,1,1", "9:1,1,1" + ";0:1,1,1" * 7])
def test_counts_that_cannot_be_read_leave_the_score(damage: str) -> None:
    found = live(f1=0.9, learned=EIGHT, held=EIGHT)
    card = replace(found.card, data={**found.card.data, "measured_counts": damage})
    verdict = verdict_of(counted(EIGHT, right=True), PromptArtifact(card, found.tensors))
    assert "measured on the same sentences; " in verdict.comparison


def test_the_live_score_is_as_uncertain_as_its_card_says() -> None:
    half = Measured(EIGHT, of_type(*((n % 2, 1, 1) for n in range(8))))
    found = live(f1=0.99, learned=EIGHT, held=OTHERS)
    assert not verdict_of(half, found).passed
    card = replace(found.card, metrics={"f1": 0.99, "f1_interval": {"low": 0.4, "high": 1.0}})
    assert verdict_of(half, PromptArtifact(card, found.tensors)).passed


@pytest.mark.parametrize(("right", "passed"), [(False, False), (True, True)])
def test_on_other_sentences_the_live_prompt_itself_is_measured(good: PromptArtifact, right: bool, passed: bool) -> None:
    verdict = verdict_of(counted(EIGHT, right=right), good)
    assert verdict.passed is passed
    theirs = "100.0 of the live version on 8 sentences from which neither learned"
    assert theirs in verdict.comparison


def test_sentences_that_the_live_prompt_learned_from_do_not_count_for_it_even_if_their_labels_changed() -> None:
    learned = [Sentence(sentence.words, (Span(0, 1, "time"),)) for sentence in EIGHT[:3]]
    verdict = verdict_of(counted(EIGHT, right=True), live(f1=0.5, learned=learned, held=learned))
    assert "on 5 sentences from which neither learned" in verdict.comparison


def test_where_the_live_prompt_cannot_be_measured_its_own_score_counts() -> None:
    all_seen = live(f1=0.9, learned=EIGHT, held=OTHERS)
    of_another_backbone = live(f1=0.9, learned=(), backbone_seed=1)
    for theirs in (all_seen, of_another_backbone):
        verdict = verdict_of(counted(EIGHT, right=False), theirs)
        assert not verdict.passed
        assert "against 90.0 of the live version, measured on other sentences" in verdict.comparison


def test_a_live_version_that_cannot_be_compared_bars_nobody() -> None:
    verdict = verdict_of(counted(EIGHT, right=False), live(f1=None, learned=EIGHT))
    assert verdict.passed
    assert "neither be run on this backbone nor has it a score" in verdict.comparison


def test_a_card_shows_how_many_sentences_its_prompt_has_learned_from() -> None:
    card = live(f1=None, learned=EIGHT[:6]).card
    relabelled = replace(EIGHT[0], spans=())
    assert learned_from([relabelled, EIGHT[5], EIGHT[6], *OTHERS], card) == 2
    assert learned_from(EIGHT, replace(card, data={})) == 0, "it does not tell"


def test_the_sentences_of_a_source_are_on_the_card_of_a_prompt_that_started_from_it() -> None:
    source = live(f1=0.5, learned=EIGHT[:2]).card
    found = live(f1=0.5, learned=()).card
    data = traces(EIGHT[4:5], counted(OTHERS, right=True), source)
    assert learned_from(EIGHT, replace(found, data=data)) == 3
    untold = replace(source, data={})
    assert "learned_from" not in traces(EIGHT[4:5], counted(OTHERS, right=True), untold)


def test_sentences_that_its_source_has_learned_do_not_count_for_a_new_version() -> None:
    theirs = live(f1=0.9, learned=EIGHT, held=EIGHT)
    knows_some, knows_most, knows_all = (live(f1=0.5, learned=EIGHT[:count]).card for count in (3, 6, 8))
    right = counted(EIGHT, right=True)
    assert verdict_of(right, theirs).passed
    wrong_on_new = Measured(EIGHT, tuple(found_all(s) if n < 3 else found_none(s) for n, s in enumerate(EIGHT)))
    verdict = verdict_of(wrong_on_new, theirs, source=knows_some)
    assert not verdict.passed
    assert verdict.comparison.startswith("f1 0.0 ")
    for source, left in ((knows_most, "2 of the 8"), (knows_all, "none of the")):
        verdict = verdict_of(right, theirs, source=source)
        assert not verdict.passed
        assert verdict.comparison == f"{left} sentences that it was measured on are surely new to what it started from"
        assert verdict_of(right, None, source=source).passed


def numbered(count: int) -> tuple[Sentence, ...]:
    return tuple(Sentence((f"w{n}", "in", "rome"), (Span(2, 3, "place"),)) for n in range(count))


def right_in(count: int, *, of: int, also: int = 0) -> Measured:
    """Right in the first `count` sentences, and in the last `also`."""
    return Measured(numbered(of), of_type(*((int(n < count or n >= of - also), 1, 1) for n in range(of))))


def measured_live(theirs: Measured, *, f1: float | None = 0.9, **more: JSON) -> PromptArtifact:
    """A live prompt that learned from all sentences that it was measured on."""
    found = live(f1=f1, learned=())
    data = {**traces(theirs.sentences, theirs), **more}
    return PromptArtifact(replace(found.card, data=data), found.tensors)


def test_one_sentence_that_is_new_to_the_live_version_lets_no_lower_one_go_live() -> None:
    theirs, worse = right_in(36, of=40), right_in(20, of=41, also=1)
    verdict = verdict_of(worse, measured_live(theirs))
    assert not verdict.passed
    assert "f1 51.2 against " in verdict.comparison
    assert "on 41 sentences from which neither learned" in verdict.comparison
    assert verdict_of(right_in(36, of=41, also=1), measured_live(theirs)).passed


def test_without_a_record_of_single_sentences_the_scores_are_compared_rather_than_one_sentence() -> None:
    theirs, worse = right_in(36, of=40), right_in(20, of=41, also=1)
    earlier_package = measured_live(theirs, measured_sentences=None)
    verdict = verdict_of(worse, earlier_package)
    assert not verdict.passed
    assert "against 90.0 of the live version, measured on other sentences" in verdict.comparison
    unmeasured = measured_live(theirs, f1=None, measured_sentences=None)
    assert "on 1 sentences from which neither learned" in verdict_of(worse, unmeasured).comparison


def test_a_sentence_whose_labels_were_corrected_drops_out_of_the_comparison() -> None:
    theirs, new = right_in(36, of=40), right_in(36, of=41, also=1)
    relabelled = (replace(new.sentences[0], spans=(Span(0, 1, "place"),)), *new.sentences[1:])
    verdict = verdict_of(replace(new, sentences=relabelled), measured_live(theirs))
    assert verdict.passed
    assert "on 40 sentences from which neither learned" in verdict.comparison


@pytest.mark.parametrize(("added", "compared"), [(19, False), (20, True)])
def test_twenty_sentences_are_enough_however_many_others_there_are(added: int, compared: bool) -> None:
    theirs = measured_live(right_in(90, of=100), measured_sentences=None)
    comparison = verdict_of(right_in(90, of=100 + added), theirs).comparison
    assert (f"on {added} sentences from which neither learned" in comparison) is compared
    assert ("measured on other sentences" in comparison) is not compared


def test_with_few_sentences_no_interval_lies_below_zero_unless_three_are_worse() -> None:
    """Why few sentences are no evidence."""
    for count in range(3, 8):
        right = [Counts(1, 1, 1)] * count
        worse = [[Counts(0, 1, 1)] * lost + [Counts(1, 1, 1)] * (count - lost) for lost in (2, 3)]
        highs = [difference_interval(each, right, seed=0).high for each in worse]
        assert (highs[0], highs[1] < 0) == (0.0, True), count


def test_a_card_names_the_sentences_that_it_was_measured_on_if_they_are_not_too_many() -> None:
    measured = right_in(1, of=3)
    card = replace(live(f1=None, learned=()).card, data=traces((), measured))
    relabelled = replace(measured.sentences[1], spans=())
    asked = (*measured.sentences[::-1], relabelled, OTHERS[0])
    assert recorded_on(asked, card) == (*measured.scores[::-1], None, None)
    every = numbered(50_000)
    many, most = (traces(every, Measured(every[:count], of_type((1, 1, 1)) * count)) for count in (10_000, 50_000))
    assert "measured_sentences" in many
    assert "measured_sentences" not in most
    assert all(len(to_json(replace(card, data=data))) < FILES[CARD] for data in (many, most))


TWO, FIVE = ("place", "time"), ("food", "group", "person", "place", "time")


def sentences_of(count: int) -> tuple[Sentence, ...]:
    spans = (Span(0, 1, "person"), Span(2, 3, "place"), Span(4, 5, "time"))
    return tuple(Sentence((f"w{n}", "in", "rome", "on", "monday"), spans) for n in range(count))


def card_of(labels: tuple[str, ...], measured: Measured, f1: float) -> PromptArtifact:
    """The card of a live prompt of other labels, with a record of the sentences that it was measured on."""
    found = tiny_artifact(BASE, labels=LabelSet.of(labels))
    metrics: dict[str, JSON] = {"f1": f1, "f1_interval": {"low": f1 - 0.02, "high": f1 + 0.02}}
    data = traces(measured.sentences, measured)
    return PromptArtifact(replace(found.card, metrics=metrics, data=data), found.tensors)


def test_versions_of_other_labels_are_compared_on_those_that_both_have() -> None:
    every, right, wrong = sentences_of(30), Counts(1, 1, 1), Counts(0, 1, 1)
    new = Measured(every, (Scores({"person": wrong, "place": right, "time": right}),) * 30)
    found = card_of(TWO, new.restricted(TWO), f1=1.0)
    verdict = judge(new, FIVE, Opponents(found, {}), BASE, seed=0)
    assert verdict.passed, "its F1 over all five labels is lower"
    assert "f1 100.0 against 100.0 of the live version, measured on the same 30 sentences" in verdict.comparison
    assert "labels that both have (place, time): this one also finds food, group, person" in verdict.comparison
    worse = Measured(every, (Scores({"place": wrong, "time": right}),) * 30)
    assert not judge(worse, FIVE, Opponents(found, {}), BASE, seed=0).passed


def test_a_version_that_loses_a_label_says_so() -> None:
    every = sentences_of(30)
    found = card_of(FIVE, counted(every, right=True), f1=0.9)
    verdict = judge(counted(every, right=True).restricted(TWO), TWO, Opponents(found, {}), BASE, seed=0)
    assert "it no longer finds food, group, person" in verdict.comparison


def test_a_version_without_a_label_of_the_live_one_is_held_back() -> None:
    every = sentences_of(3)
    verdict = judge(
        counted(every, right=True),
        ("food",),
        Opponents(card_of(TWO, counted(every, right=True), f1=1.0), {}),
        BASE,
        seed=0,
    )
    assert not verdict.passed
    assert verdict.reason == "it has no label in common with the live version"


def test_small_losses_do_not_add_up() -> None:
    """Each version is worse than the one before only within noise; the last is far worse than the first."""
    every = sentences_of(60)

    def right(count: int) -> Measured:
        return Measured(every, of_type(*((int(n < count), 1, 1) for n in range(60))))

    versions = [card_of(FIVE, right(count), f1=count / 60) for count in (54, 53, 52, 50, 47)]
    earlier = {f"v{number:06d}": each.card for number, each in enumerate(versions[:-1], start=1)}
    new = right(45)
    assert judge(new, FIVE, Opponents(versions[-1], {}), BASE, seed=0).passed
    verdict = judge(new, FIVE, Opponents(versions[-1], earlier), BASE, seed=0)
    assert not verdict.passed
    assert "against 90.0 of v000001, the best that was live before" in verdict.comparison
    assert verdict.reason == "an earlier live version is better"


def test_small_losses_do_not_add_up_while_sentences_are_added() -> None:
    measured = [right_in(count, of=60 + added, also=added) for added, count in enumerate((54, 53, 52, 50, 47, 45))]
    versions = [card_of(FIVE, each, f1=each.f1) for each in measured]
    earlier = {f"v{number:06d}": each.card for number, each in enumerate(versions[:-2], start=1)}
    assert judge(measured[-1], FIVE, Opponents(versions[-2], {}), BASE, seed=0).passed
    verdict = judge(measured[-1], FIVE, Opponents(versions[-2], earlier), BASE, seed=0)
    assert not verdict.passed
    assert (
        "f1 75.0 against 90.0 of v000001, the best that was live before, measured on the same 60" in verdict.comparison
    )
