"""Callers that ask at the same time share a call, and none gets what was true before it asked."""

import asyncio

import pytest

from bridge.pacing import SharedCall


class Work:
    """Counts its calls, each of which ends when `go` is set."""

    def __init__(self) -> None:
        self.begun = 0
        self.go = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        mine = self.begun
        await self.go.wait()
        return mine


async def test_many_callers_share_the_next_call() -> None:
    """Who asks during a call gets the next one, together with all others who asked meanwhile."""
    work = Work()
    call = SharedCall(work)
    first = asyncio.create_task(call())
    await asyncio.sleep(0)
    others = [asyncio.create_task(call()) for _ in range(50)]
    await asyncio.sleep(0)
    work.go.set()
    assert await first == 1
    results = await asyncio.gather(*others)
    assert min(results) == 2
    assert work.begun == max(results) <= 3


async def test_each_later_caller_gets_a_new_call() -> None:
    """A result is not kept for callers that ask after its call has ended."""
    work = Work()
    work.go.set()
    call = SharedCall(work)
    assert [await call() for _ in range(3)] == [1, 2, 3]


async def test_a_failed_call_is_no_result() -> None:
    """The caller that began a failed call gets its error, and the next caller begins a new call."""
    failing = True

    async def work() -> int:
        if failing:
            raise ValueError
        return 1

    call = SharedCall(work)
    with pytest.raises(ValueError):  # noqa: PT011 -- the test's own
        await call()
    failing = False
    assert await call() == 1
