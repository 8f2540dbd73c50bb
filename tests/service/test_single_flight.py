"""One call for many concurrent callers; tests/service/test_listing.py has more tests of it."""

from __future__ import annotations

import asyncio
import gc

import pytest

from lightner.service.single_flight import Shared

pytestmark = pytest.mark.anyio


async def test_a_failure_reaches_all_waiting_callers_and_no_later_one() -> None:
    shared, open_ = Shared[int](), asyncio.Event()

    async def fail() -> int:
        await open_.wait()
        raise ValueError("down")

    async def answer() -> int:
        return 7

    asking = [asyncio.create_task(shared.join(fail)) for _ in range(3)]
    await asyncio.sleep(0)
    open_.set()
    assert {repr(each) for each in await asyncio.gather(*asking, return_exceptions=True)} == {"ValueError('down')"}
    assert await shared.join(answer) == 7


async def test_a_failure_that_nobody_waits_for_causes_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    shared, open_ = Shared[int](), asyncio.Event()

    async def fail() -> int:
        await open_.wait()
        raise ValueError("down")

    asking = asyncio.create_task(shared.join(fail))
    await asyncio.sleep(0)
    asking.cancel()
    assert isinstance((await asyncio.gather(asking, return_exceptions=True))[0], asyncio.CancelledError)
    open_.set()
    await asyncio.sleep(0.01)
    gc.collect()
    assert caplog.text == ""
