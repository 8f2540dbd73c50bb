"""The micro-batcher: puts rows of concurrent requests into batches of similar length and runs them one at a time.

Batches run in a thread of their own. Rows of all domains share them; a row that fails never makes another fail. Knows
neither prompts nor texts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from lightner.service.observers import BatchObserver, Silent
from lightner.service.settings import BatchLimits

R = TypeVar("R")
O = TypeVar("O")  # noqa: E741

SHORTEST_BUCKET = 16
_log = logging.getLogger(__name__)


class Overloaded(Exception):  # noqa: N818
    """The queue is full; try again later."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A row's outcome where running it raised `error`."""

    error: Exception


@dataclass(frozen=True, eq=False, slots=True)
class _Waiting(Generic[R, O]):
    row: R
    length: int
    since_s: float
    outcome: asyncio.Future[O | Failed]

    @property
    def bucket(self) -> int:
        """The row's length rounded up to a power of two. A batch has rows of one bucket, so at most half is padding."""
        return max(SHORTEST_BUCKET, 1 << (self.length - 1).bit_length()) if self.length > 0 else SHORTEST_BUCKET


class Batcher(Generic[R, O]):
    """Runs `run` on batches of rows; `length` returns a row's length in the unit of `max_tokens`.

    Belongs to the event loop in which `submit` is first called. `limits` may be replaced at any time. `failing` is true
    if every row of the last batch failed.
    """

    def __init__(
        self,
        run: Callable[[Sequence[R]], Sequence[O]],
        *,
        length: Callable[[R], int],
        limits: BatchLimits,
        observer: BatchObserver[R] | None = None,
    ) -> None:
        self.limits = limits
        self.failing = False
        self._observer = observer or Silent[R]()
        self._run = run
        self._length = length
        self._waiting: list[_Waiting[R, O]] = []
        self._arrived = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="forward")
        self._busy_since_s: float | None = None

    async def submit(self, rows: Sequence[R]) -> list[O | Failed]:
        """The outcome of each row, in their order. Rows of a cancelled call are dropped from the queue.

        Raises:
            Overloaded: the rows do not fit into the queue. An empty queue takes any number.
            RuntimeError: closed.
        """
        loop = asyncio.get_running_loop()
        self._admit(len(rows))
        if self._worker is None:
            self._worker = loop.create_task(self._work())
            self._worker.add_done_callback(lambda _: _abandon(self._waiting))
        if self._worker.done():
            raise _closed()
        new = [_Waiting(row, self._length(row), loop.time(), loop.create_future()) for row in rows]
        self._waiting += new
        self._arrived.set()
        self._observer.on_queue(len(self._waiting))
        # When the call is cancelled, gather cancels the outcomes, and the queue drops rows with cancelled outcomes.
        return list(await asyncio.gather(*(each.outcome for each in new)))

    def check(self) -> None:
        """Raise RuntimeError if the batching task has ended or a batch has been running for more than `stuck_s`."""
        if self._worker is not None and self._worker.done():
            raise _closed()
        if self._busy_since_s is not None:
            busy_s = asyncio.get_running_loop().time() - self._busy_since_s
            if busy_s > self.limits.stuck_s:
                raise RuntimeError(f"a forward pass has been running for {busy_s:.0f} s")

    async def close(self) -> None:
        """Stop running batches; callers that still wait for a row get RuntimeError."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait({self._worker})
        self._thread.shutdown(wait=False)

    def _admit(self, count: int) -> None:
        if len(self._waiting) + count <= self.limits.max_queue_rows:
            return
        self._waiting = [each for each in self._waiting if not each.outcome.done()]
        if self._waiting and len(self._waiting) + count > self.limits.max_queue_rows:
            raise Overloaded(f"found {len(self._waiting)} rows waiting, expected room for {count} more")

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            await self._filled()
            if batch := self._take():
                await self._execute(batch)

    async def _filled(self) -> None:
        """Wait until a batch is full or the oldest row has waited for `max_wait_s`."""
        try:
            async with asyncio.timeout_at(self._waiting[0].since_s + self.limits.max_wait_s):
                while len(self._waiting) < self.limits.max_rows:
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            return

    def _take(self) -> list[_Waiting[R, O]]:
        """Take the oldest row and the next ones of its bucket out of the queue, as many as the limits allow."""
        alive = [each for each in self._waiting if not each.outcome.done()]
        batch: list[_Waiting[R, O]] = []
        longest = 0
        for each in alive:
            if each.bucket != alive[0].bucket:
                continue
            longest = max(longest, each.length)
            full = len(batch) == self.limits.max_rows or longest * (len(batch) + 1) > self.limits.max_tokens
            if full and batch:
                break
            batch.append(each)
        taken = set(batch)
        self._waiting = [each for each in alive if each not in taken]
        self._observer.on_queue(len(self._waiting))
        return batch

    async def _execute(self, batch: Sequence[_Waiting[R, O]]) -> None:
        loop = asyncio.get_running_loop()
        self._busy_since_s = began_s = loop.time()
        rows = [each.row for each in batch]
        try:
            outcomes = await loop.run_in_executor(self._thread, _attempt, self._run, rows)
        except BaseException:
            _abandon(batch)
            raise
        finally:
            self._busy_since_s = None
        self.failing = all(isinstance(outcome, Failed) for outcome in outcomes)
        for each, outcome in zip(batch, outcomes, strict=True):
            if not each.outcome.done():
                each.outcome.set_result(outcome)
        self._observer.on_batch(rows, _padding_share(batch), loop.time() - began_s)


def _attempt(run: Callable[[Sequence[R]], Sequence[O]], rows: Sequence[R]) -> list[O | Failed]:
    """Outcomes of a batch. A batch that fails is halved and run again, so that only the rows at fault fail."""
    try:
        outcomes = list(run(rows))
        assert len(outcomes) == len(rows), f"found {len(outcomes)} outcomes of {len(rows)} rows"
        return [*outcomes]
    except Exception as error:
        if len(rows) == 1:
            _log.exception("a row failed")
            return [Failed(error)]
    middle = len(rows) // 2
    return _attempt(run, rows[:middle]) + _attempt(run, rows[middle:])


def _abandon(rows: Sequence[_Waiting[R, O]]) -> None:
    """End the waiting for rows that will not be run."""
    for each in rows:
        if not each.outcome.done():
            each.outcome.set_exception(_closed())


def _closed() -> RuntimeError:
    return RuntimeError("the batching task has ended")


def _padding_share(batch: Sequence[_Waiting[R, O]]) -> float:
    places = max(each.length for each in batch) * len(batch)
    return 1 - sum(each.length for each in batch) / places if places else 0.0
