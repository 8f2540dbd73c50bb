"""The micro-batcher: rows that share a batch; dropped, refused and isolated rows."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

from lightner.service.batcher import Batcher, Failed, Overloaded
from lightner.service.observers import Silent
from lightner.service.settings import BatchLimits

pytestmark = pytest.mark.anyio


class Upper:
    """Turns words to upper case and records the batches; delays each until `open` is set."""

    def __init__(self, *poison: str) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[int] = set()
        self.open = threading.Event()
        self.open.set()
        self.began = threading.Event()
        self._poison = set(poison)

    def __call__(self, rows: Sequence[str]) -> list[str]:
        self.batches.append(list(rows))
        self.threads.add(threading.get_ident())
        self.began.set()
        assert self.open.wait(20)
        if bad := self._poison & set(rows):
            raise ValueError(f"found {bad}")
        return [row.upper() for row in rows]


def batcher(run: Upper, **limits: float) -> Batcher[str, str]:
    return Batcher(run, length=len, limits=BatchLimits.model_validate({"max_wait_s": 0.05, **limits}))


async def until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 20)


async def test_calls_that_come_together_share_a_batch_and_get_their_own_back_in_order() -> None:
    run = Upper()
    rows = batcher(run)
    answers = await asyncio.gather(rows.submit(["a", "b"]), rows.submit(["c"]), rows.submit(["d", "e"]))
    assert list(answers) == [["A", "B"], ["C"], ["D", "E"]]
    assert run.batches == [["a", "b", "c", "d", "e"]]
    await rows.close()


async def test_no_rows_need_no_batch() -> None:
    run = Upper()
    rows = batcher(run)
    assert await rows.submit([]) == []
    await asyncio.sleep(0.01)
    assert run.batches == []
    assert await rows.submit(["a"]) == ["A"]
    rows.check()
    await rows.close()


async def test_a_batch_has_at_most_max_rows_and_a_full_one_does_not_wait() -> None:
    run = Upper()
    rows = batcher(run, max_rows=2, max_wait_s=10)
    async with asyncio.timeout(5):
        assert await rows.submit(["a", "b", "c", "d"]) == ["A", "B", "C", "D"]
    assert run.batches == [["a", "b"], ["c", "d"]]
    await rows.close()


async def test_a_batch_has_at_most_max_tokens_padding_included_but_always_one_row() -> None:
    run = Upper()
    rows = batcher(run, max_tokens=12)
    assert await rows.submit(["aaa", "bbbb", "cc", "d", "e" * 16]) == ["AAA", "BBBB", "CC", "D", "E" * 16]
    assert run.batches == [["aaa", "bbbb", "cc"], ["d"], ["e" * 16]]
    await rows.close()


class Notes(Silent[str]):
    """Records the batcher's events."""

    def __init__(self) -> None:
        self.queue: list[int] = []
        self.batches: list[tuple[list[str], float]] = []

    def on_queue(self, rows: int) -> None:
        self.queue.append(rows)

    def on_batch(self, rows: Sequence[str], padding_share: float, seconds: float) -> None:
        assert seconds > 0
        self.batches.append((list(rows), padding_share))


async def test_the_queue_and_every_batch_are_reported() -> None:
    notes = Notes()
    rows = Batcher(Upper(), length=len, limits=BatchLimits(max_rows=2, max_wait_s=0.05), observer=notes)
    await rows.submit(["aaaa", "b", "cc"])
    assert notes.queue == [3, 1, 0]
    assert notes.batches == [(["aaaa", "b"], pytest.approx(3 / 8)), (["cc"], 0)]
    await rows.close()


async def test_rows_of_very_different_length_do_not_pad_one_another() -> None:
    run = Upper()
    rows = batcher(run)
    long, short = "x" * 200, "y"
    assert await rows.submit([long, short, long, short]) == [long.upper(), "Y", long.upper(), "Y"]
    assert run.batches == [[long, long], [short, short]], (
        "one of the short ones alone would pad little, and save nothing"
    )
    await rows.close()


async def test_few_rows_of_several_lengths_share_a_batch_within_its_limits() -> None:
    run = Upper()
    rows = batcher(run)
    given = ["x" * 90, "y", "z" * 40, "w" * 20]
    await rows.submit(given)
    assert run.batches == [given]
    rows.limits = BatchLimits(max_wait_s=0.05, max_rows=3)
    await rows.submit(["a" * 20, "b", "c" * 20, "d"])
    assert run.batches[1:] == [["a" * 20, "c" * 20], ["b", "d"]]
    rows.limits = BatchLimits(max_wait_s=0.05, max_tokens=50)
    await rows.submit(["a" * 20, "b", "c" * 20])
    assert run.batches[3:] == [["a" * 20, "c" * 20], ["b"]]
    await rows.close()


async def test_rows_of_very_different_width_do_not_pad_one_another() -> None:
    run = Upper()
    widths = {"narrow": 0, "usual": 64, "wide": 65, "wider": 128, "widest": 129}
    rows: Batcher[str, str] = Batcher(run, length=len, width=widths.__getitem__, limits=BatchLimits(max_wait_s=0.05))
    assert await rows.submit(list(widths)) == [name.upper() for name in widths]
    assert run.batches == [["narrow", "usual"], ["wide", "wider"], ["widest"]]
    await rows.close()


async def test_the_loop_stays_free_and_one_batch_runs_at_a_time() -> None:
    run = Upper()
    run.open.clear()
    rows = batcher(run, max_rows=1, max_wait_s=0)
    calls = [asyncio.create_task(rows.submit([name])) for name in "abc"]
    await until(run.began)
    await asyncio.sleep(0.05)
    assert run.batches == [["a"]]
    run.open.set()
    assert list(await asyncio.gather(*calls)) == [["A"], ["B"], ["C"]]
    assert len(run.threads) == 1
    assert threading.get_ident() not in run.threads
    await rows.close()


async def test_rows_of_a_cancelled_call_are_dropped() -> None:
    run = Upper()
    run.open.clear()
    rows = batcher(run, max_wait_s=0)
    first = asyncio.create_task(rows.submit(["a"]))
    await until(run.began)
    gone, kept = asyncio.create_task(rows.submit(["b"])), asyncio.create_task(rows.submit(["c"]))
    await asyncio.sleep(0)
    gone.cancel()
    run.open.set()
    assert list(await asyncio.gather(first, kept)) == [["A"], ["C"]]
    assert run.batches == [["a"], ["c"]]
    assert gone.cancelled()
    await rows.close()


async def test_a_call_cancelled_during_its_batch_leaves_the_others_their_answer() -> None:
    run = Upper()
    run.open.clear()
    rows = batcher(run)
    gone, kept = asyncio.create_task(rows.submit(["a"])), asyncio.create_task(rows.submit(["b"]))
    await until(run.began)
    gone.cancel()
    run.open.set()
    assert await kept == ["B"]
    assert await rows.submit(["c"]) == ["C"]
    await rows.close()


async def test_a_full_queue_refuses_at_once_and_recovers() -> None:
    run = Upper()
    run.open.clear()
    rows = batcher(run, max_wait_s=0, max_queue_rows=3)
    first = asyncio.create_task(rows.submit(["a"]))
    await until(run.began)
    waiting = asyncio.create_task(rows.submit(["b", "c", "d"]))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await rows.submit(["e"])
    run.open.set()
    assert list(await asyncio.gather(first, waiting)) == [["A"], ["B", "C", "D"]]
    assert await rows.submit(["e"]) == ["E"]
    await rows.close()


async def test_cancelled_rows_leave_their_places_in_the_queue() -> None:
    run = Upper()
    run.open.clear()
    rows = batcher(run, max_wait_s=0, max_queue_rows=2)
    first = asyncio.create_task(rows.submit(["a"]))
    await until(run.began)
    gone = asyncio.create_task(rows.submit(["b", "c"]))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    kept = asyncio.create_task(rows.submit(["d", "e"]))
    await asyncio.sleep(0)
    run.open.set()
    assert list(await asyncio.gather(first, kept)) == [["A"], ["D", "E"]]
    await rows.close()


async def test_an_empty_queue_takes_a_call_of_any_size() -> None:
    rows = batcher(Upper(), max_queue_rows=2, max_rows=2)
    assert await rows.submit(list("abcdef")) == list("ABCDEF")
    await rows.close()


async def test_only_the_rows_at_fault_fail() -> None:
    run = Upper("c", "f")
    rows = batcher(run)
    answers = await asyncio.gather(*(rows.submit([name]) for name in "abcdefgh"))
    failed = [name for name, (outcome,) in zip("abcdefgh", answers, strict=True) if isinstance(outcome, Failed)]
    assert failed == ["c", "f"]
    assert [outcome for (outcome,) in answers if not isinstance(outcome, Failed)] == list("ABDEGH")
    outcome = answers[2][0]
    assert isinstance(outcome, Failed)
    assert str(outcome.error) == "found {'c'}"
    await rows.close()


async def test_a_run_that_loses_rows_fails_instead_of_mixing_them_up() -> None:
    rows: Batcher[str, str] = Batcher(lambda those: list(those)[1:], length=len, limits=BatchLimits())
    outcomes = await rows.submit(["a", "b"])
    assert [type(outcome) for outcome in outcomes] == [Failed, Failed]
    await rows.close()


async def test_a_forward_pass_that_hangs_makes_it_unhealthy() -> None:
    run = Upper()
    rows = batcher(run, max_wait_s=0, stuck_s=0.05)
    rows.check()
    run.open.clear()
    call = asyncio.create_task(rows.submit(["a"]))
    await until(run.began)
    await asyncio.sleep(0.1)
    with pytest.raises(RuntimeError, match="has been running"):
        rows.check()
    run.open.set()
    await call
    rows.check()
    await rows.close()
    with pytest.raises(RuntimeError, match="has ended"):
        rows.check()


async def test_closing_leaves_nobody_waiting() -> None:
    run = Upper()
    run.open.clear()
    rows = batcher(run, max_wait_s=0)
    calls = [asyncio.create_task(rows.submit(["a"]))]
    await until(run.began)
    calls.append(asyncio.create_task(rows.submit(["b"])))
    await asyncio.sleep(0)
    await rows.close()
    run.open.set()
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(*calls, rows.submit(["c"]), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [RuntimeError] * 3


async def test_other_work_runs_between_batches_in_their_thread() -> None:
    run = Upper()
    run.open.clear()
    rows = batcher(run, max_wait_s=0)
    first = asyncio.create_task(rows.submit(["a"]))
    await until(run.began)
    other = asyncio.create_task(rows.between(threading.get_ident))
    await asyncio.sleep(0.05)
    assert not other.done()
    run.open.set()
    assert await first == ["A"]
    assert {await other} == run.threads
    assert await rows.between(lambda: 7) == 7
    await rows.close()


async def test_other_work_that_fails_or_is_given_up_hinders_nothing() -> None:
    run = Upper()
    run.open.clear()
    rows = batcher(run, max_wait_s=0)
    first = asyncio.create_task(rows.submit(["a"]))
    await until(run.began)
    begun: list[str] = []
    gone = asyncio.create_task(rows.between(lambda: begun.append("gone")))
    failing = asyncio.create_task(rows.between(lambda: [].pop()))
    await asyncio.sleep(0)
    gone.cancel()
    run.open.set()
    assert await first == ["A"]
    with pytest.raises(IndexError):
        await failing
    assert (begun, rows.failing) == ([], False)
    assert await rows.submit(["b"]) == ["B"]
    await rows.close()
    with pytest.raises(RuntimeError, match="has ended"):
        await rows.between(lambda: 1)


async def test_while_rows_wait_other_work_gets_its_share_of_the_time() -> None:
    """Rows and other work never run out here: a share of 1/4 means a step after three batches."""
    order: list[str] = []

    def busy(what: str) -> str:
        order.append(what)
        time.sleep(0.01)
        return what

    rows: Batcher[str, str] = Batcher(
        lambda those: [busy("batch") for _ in those],
        length=len,
        limits=BatchLimits(max_rows=1, max_wait_s=0, between_share=0.25),
    )
    others = [asyncio.create_task(rows.between(lambda: busy("other"))) for _ in range(40)]
    assert len(await rows.submit(["a"] * 60)) == 60
    last = len(order) - order[::-1].index("batch")
    assert 10 <= order[:last].count("other") <= 25
    # Waiting work is done when there is nothing else to do.
    await asyncio.gather(*others)
    assert order.count("other") == 40
    await rows.close()


async def test_closing_leaves_nobody_waiting_for_other_work() -> None:
    rows = batcher(Upper())
    began, release = threading.Event(), threading.Event()

    def held() -> None:
        began.set()
        assert release.wait(20)

    calls = [asyncio.create_task(rows.between(held))]
    await until(began)
    calls.append(asyncio.create_task(rows.between(held)))
    await asyncio.sleep(0)
    await rows.close()
    release.set()
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [RuntimeError] * 2


async def test_new_limits_hold_for_the_next_batch() -> None:
    run = Upper()
    rows = batcher(run)
    rows.limits = BatchLimits(max_rows=1, max_wait_s=0)
    assert await rows.submit(["a", "b"]) == ["A", "B"]
    assert run.batches == [["a"], ["b"]]
    await rows.close()
