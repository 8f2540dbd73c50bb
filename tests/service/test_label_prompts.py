"""Prompts of labels in requests: read once, bounded in bytes and in number, cancelled when nobody waits."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass

import pytest

from lightner.labels import label_set
from lightner.service.label_prompts import LabelPrompts
from lightner.service.messages import Reason, Refusal
from lightner.service.observers import Silent
from lightner.service.settings import CacheLimits
from lightner.types import InputError, LabelSet

pytestmark = pytest.mark.anyio
A, B, C = (label_set([name, "food"]) for name in "abc")
SIZE = 10


@dataclass(frozen=True)
class Made:
    """A prompt made from labels."""

    labels: LabelSet
    nbytes: int = SIZE


class Reader:
    """Reads labels when allowed; counts its calls, and cancelled ones."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.asked: Counter[LabelSet] = Counter()
        self.given_up = 0

    async def __call__(self, labels: LabelSet) -> Made:
        self.asked[labels] += 1
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        if "bad" in labels.names:
            raise InputError("label 'bad': found it")
        if "broken" in labels.names:
            raise RuntimeError("secret")
        return Made(labels)


class Notes(Silent[object]):
    """Records reported events."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def on_lookup(self, *, hit: bool) -> None:
        raise AssertionError("lookups of domains are others")

    def on_label_lookup(self, *, hit: bool) -> None:
        self.told.append(("hit" if hit else "miss",))

    def on_load(self, source: str, seconds: float) -> None:
        self.told.append(("load", source))

    def on_failure(self, reason: Reason) -> None:
        self.told.append(("failure", reason))

    def on_eviction(self, tier: str) -> None:
        self.told.append(("eviction", tier))

    def on_residents(self, tier: str, prompts: int, nbytes: int) -> None:
        self.told.append((tier, prompts, nbytes))


def prompts_of(read: Reader, observer: Notes | None = None, **limits: int) -> LabelPrompts[Made]:
    return LabelPrompts(read, limits=CacheLimits.model_validate(limits), observer=observer)


async def test_a_label_set_is_read_once_whatever_the_order_and_the_number_of_requests() -> None:
    read = Reader()
    read.open.clear()
    prompts = prompts_of(read)
    calls = [asyncio.create_task(prompts.get(labels)) for labels in (A, A, label_set(["food", "a"]), B)]
    await asyncio.sleep(0)
    read.open.set()
    assert await asyncio.gather(*calls) == [Made(A), Made(A), Made(A), Made(B)]
    assert await prompts.get(A) == Made(A)
    assert read.asked == {A: 1, B: 1}


async def test_equal_names_with_other_words_are_another_set() -> None:
    read = Reader()
    prompts = prompts_of(read)
    other = label_set({"a": "the first letter", "food": None})
    assert [await prompts.get(each) for each in (A, other)] == [Made(A), Made(other)]


async def test_the_least_recently_used_make_room() -> None:
    read, notes = Reader(), Notes()
    prompts = prompts_of(read, notes, max_label_bytes=2 * SIZE)
    for labels in (A, B, A, C, A, B):
        assert await prompts.get(labels) == Made(labels)
        assert prompts.nbytes <= 2 * SIZE
    assert read.asked == {A: 1, B: 2, C: 1}
    assert notes.told[:3] == [("miss",), ("load", "labels"), ("labels", 1, SIZE)]
    assert notes.told[6:11] == [("hit",), ("miss",), ("load", "labels"), ("eviction", "labels"), ("labels", 2, 20)]


async def test_a_prompt_without_room_is_used_anyway() -> None:
    read = Reader()
    prompts = prompts_of(read, max_label_bytes=SIZE - 1)
    assert [await prompts.get(A) for _ in range(2)] == [Made(A)] * 2
    assert (prompts.nbytes, read.asked) == (0, {A: 2})


async def test_new_sets_beyond_the_limit_are_refused_but_not_those_held_or_being_read() -> None:
    read = Reader()
    prompts = prompts_of(read, max_label_sets=1)
    await prompts.get(A)
    read.open.clear()
    first = asyncio.create_task(prompts.get(B))
    await asyncio.sleep(0)
    second = asyncio.create_task(prompts.get(B))
    assert await prompts.get(C) == Refusal(Reason.LABELS_OVERLOADED)
    assert await prompts.get(A) == Made(A)
    read.open.set()
    assert await asyncio.gather(first, second) == [Made(B), Made(B)]
    assert await prompts.get(C) == Made(C)


async def test_a_reading_ends_with_the_last_request_that_waits_for_it() -> None:
    read = Reader()
    read.open.clear()
    prompts = prompts_of(read, max_label_sets=1)
    calls = [asyncio.create_task(prompts.get(A)) for _ in range(2)]
    await asyncio.sleep(0)
    calls[0].cancel()
    await asyncio.sleep(0)
    assert read.given_up == 0
    calls[1].cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    # The place is free at once, even for the same labels.
    again = asyncio.create_task(prompts.get(A))
    await asyncio.sleep(0)
    read.open.set()
    assert await again == Made(A)
    assert (read.given_up, read.asked) == (1, {A: 2})


async def test_problems_of_labels_are_explained_and_other_failures_are_not(caplog: pytest.LogCaptureFixture) -> None:
    notes = Notes()
    prompts = prompts_of(Reader(), notes)
    refused = await prompts.get(label_set(["bad"]))
    assert refused == Refusal(Reason.UNUSABLE_LABELS, detail="label 'bad': found it")
    assert await prompts.get(label_set(["broken"])) == Refusal(Reason.FAILED)
    assert "secret" in caplog.text
    assert notes.told == [("miss",), ("failure", Reason.UNUSABLE_LABELS), ("miss",), ("failure", Reason.FAILED)]
    assert await prompts.get(A) == Made(A)
