"""The micro-batcher: puts rows of concurrent requests into batches that pad little and runs them one at a time.

A separate thread runs the batches and, between them, other work for the device. Rows of all domains share batches; a
row that fails never makes another fail. Knows neither prompts nor texts.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from lightner.service.observers import BatchObserver, Silent
from lightner.service.settings import BatchLimits

R = TypeVar("R")
O = TypeVar("O")  # noqa: E741
T = TypeVar("T")

SHORTEST_BUCKET, NARROWEST_BUCKET = 16, 64
JOINT_PADDING = 256
"""Padded words up to which rows of several lengths share a batch: about what another batch costs
(benchmarks/results/serving.md)."""
_log = logging.getLogger(__name__)


class Overloaded(Exception):  # noqa: N818
    """The queue is full; try again later."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The outcome of a row that raised `error`."""

    error: Exception


@dataclass(frozen=True, eq=False, slots=True)
class _Waiting(Generic[R, O]):
    row: R
    length: int
    width: int
    since_s: float
    outcome: asyncio.Future[O | Failed]

    @property
    def bucket(self) -> tuple[int, int]:
        """Length and width rounded up to powers of two. Of a batch of one bucket at most half is padding."""
        return _rounded(self.length, SHORTEST_BUCKET), _rounded(self.width, NARROWEST_BUCKET)


@dataclass(frozen=True, eq=False, slots=True)
class _Between:
    """Work that runs between batches."""

    call: Callable[[], Any]
    outcome: asyncio.Future[Any]


class Batcher(Generic[R, O]):
    """Runs `run` on batches of rows; `length` returns a row's length in the unit of `max_tokens`.

    `width` returns the other padded size of a row; rows of very different width do not share a batch either. Belongs to
    the event loop in which it is first used. `limits` may be replaced at any time. `failing` is true if every row of
    the last batch failed.
    """

    def __init__(
        self,
        run: Callable[[Sequence[R]], Sequence[O]],
        *,
        length: Callable[[R], int],
        limits: BatchLimits,
        width: Callable[[R], int] = lambda _: 0,
        observer: BatchObserver[R] | None = None,
    ) -> None:
        self.limits = limits
        self.failing = False
        self._observer = observer or Silent[R]()
        self._run = run
        self._length, self._width = length, width
        self._waiting: list[_Waiting[R, O]] = []
        self._between: deque[_Between] = deque()
        self._owed_s = 0.0
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
        self._start()
        now_s = loop.time()
        new = [_Waiting(row, self._length(row), self._width(row), now_s, loop.create_future()) for row in rows]
        self._waiting += new
        self._arrived.set()
        self._observer.on_queue(len(self._waiting))
        # When the call is cancelled, gather cancels the outcomes, and the queue drops rows with cancelled outcomes.
        return list(await asyncio.gather(*(each.outcome for each in new)))

    async def between(self, call: Callable[[], T]) -> T:
        """Run `call` in the thread of the batches, where nothing else uses the device; returns or raises what it does.

        While rows wait, such calls get `limits.between_share` of the time. A cancelled call is not started.
        """
        self._start()
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._between.append(_Between(call, outcome))
        self._arrived.set()
        return await outcome

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

    def _start(self) -> None:
        """Start the batching task at the first call. Raises RuntimeError if it has ended."""
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work())
            self._worker.add_done_callback(lambda _: _abandon([*self._waiting, *self._between]))
        if self._worker.done():
            raise _closed()

    def _admit(self, count: int) -> None:
        if len(self._waiting) + count <= self.limits.max_queue_rows:
            return
        self._waiting = [each for each in self._waiting if not each.outcome.done()]
        if self._waiting and len(self._waiting) + count > self.limits.max_queue_rows:
            raise Overloaded(f"found {len(self._waiting)} rows waiting, expected room for {count} more")

    async def _work(self) -> None:
        while True:
            while not (self._waiting or self._between):
                self._arrived.clear()
                await self._arrived.wait()
            if self._waiting:
                await self._filled()
                if batch := self._take():
                    await self._execute(batch)
            if self._between and (not self._waiting or self._owed_s > 0):
                await self._execute_between(self._between.popleft())

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
        """Take the oldest row, and the next ones of its bucket as far as the limits allow, out of the queue.

        All rows of another length join them if that pads little: a batch costs as much as some hundred padded words
        before its first row, so few rows of several lengths are read sooner together.
        """
        alive = [each for each in self._waiting if not each.outcome.done()]
        buckets: dict[tuple[int, int], list[_Waiting[R, O]]] = {}
        for each in alive:
            buckets.setdefault(each.bucket, []).append(each)
        batch: list[_Waiting[R, O]] = []
        for (_, width), rows in buckets.items():
            if not batch:
                batch = self._first(rows)
                continue
            together = [*batch, *rows]
            if width == batch[0].bucket[1] and self._fits(together) and _padding(together) <= JOINT_PADDING:
                batch = together
        taken = set(batch)
        self._waiting = [each for each in alive if each not in taken]
        self._observer.on_queue(len(self._waiting))
        return batch

    def _first(self, rows: Sequence[_Waiting[R, O]]) -> list[_Waiting[R, O]]:
        """As many of the first rows as the limits allow; at least one."""
        batch = [rows[0]]
        for each in rows[1:]:
            if not self._fits([*batch, each]):
                break
            batch.append(each)
        return batch

    def _fits(self, batch: Sequence[_Waiting[R, O]]) -> bool:
        return len(batch) <= self.limits.max_rows and _places(batch) <= self.limits.max_tokens

    async def _execute(self, batch: Sequence[_Waiting[R, O]]) -> None:
        rows = [each.row for each in batch]
        try:
            outcomes, seconds = await self._timed(lambda: _attempt(self._run, rows))
        except BaseException:
            _abandon(batch)
            raise
        share = self.limits.between_share
        # Only of busy time: an unused share is not saved up for later.
        self._owed_s = self._owed_s + seconds * share / (1 - share) if self._between else 0.0
        self.failing = all(isinstance(outcome, Failed) for outcome in outcomes)
        for each, outcome in zip(batch, outcomes, strict=True):
            if not each.outcome.done():
                each.outcome.set_result(outcome)
        self._observer.on_batch(rows, _padding_share(batch), seconds)

    async def _execute_between(self, work: _Between) -> None:
        if work.outcome.done():
            return
        busy = bool(self._waiting)
        try:
            outcome, seconds = await self._timed(lambda: _tried(work.call))
        except BaseException:
            _abandon([work])
            raise
        self._owed_s -= seconds if busy else 0.0
        if work.outcome.done():
            return
        if isinstance(outcome, Failed):
            work.outcome.set_exception(outcome.error)
        else:
            work.outcome.set_result(outcome)

    async def _timed(self, call: Callable[[], T]) -> tuple[T, float]:
        """The result of `call` in the thread, and the seconds that it took."""
        loop = asyncio.get_running_loop()
        self._busy_since_s = began_s = loop.time()
        try:
            return await loop.run_in_executor(self._thread, call), loop.time() - began_s
        finally:
            self._busy_since_s = None


def _rounded(size: int, least: int) -> int:
    return max(least, 1 << (size - 1).bit_length()) if size > 0 else least


def _tried(call: Callable[[], T]) -> T | Failed:
    try:
        return call()
    except Exception as error:
        return Failed(error)


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


def _abandon(work: Sequence[_Waiting[Any, Any] | _Between]) -> None:
    """Give RuntimeError to callers that wait for rows which will not run."""
    for each in work:
        if not each.outcome.done():
            each.outcome.set_exception(_closed())


def _closed() -> RuntimeError:
    return RuntimeError("the batching task has ended")


def _padding_share(batch: Sequence[_Waiting[R, O]]) -> float:
    places = _places(batch)
    return _padding(batch) / places if places else 0.0


def _padding(batch: Sequence[_Waiting[R, O]]) -> int:
    return _places(batch) - sum(each.length for each in batch)


def _places(batch: Sequence[_Waiting[R, O]]) -> int:
    """Words of a batch, those of its padding included."""
    return max(each.length for each in batch) * len(batch)
