"""When a replica says that it does not reach Web Services."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bridge.fleet import reachability
from bridge.fleet.reachability import Reachability
from tests.waiting import eventually


class Way:
    """The way to Web Services, with a session that may bring replies, and requests that may be answered."""

    def __init__(self) -> None:
        self.session = self.answers = True
        self.asked = 0
        self.changes = 0
        self._replies = itertools.count(1)
        self._last = 0.0

    def heard_at(self) -> float:
        if self.session:
            self._last = float(next(self._replies))
        return self._last

    async def ask(self) -> bool:
        self.asked += 1
        return self.answers

    def changed(self) -> None:
        self.changes += 1


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"TICK": 0.005, "QUIET": 0.03, "GIVE_UP": 0.15}.items():
        monkeypatch.setattr(reachability, name, seconds)


@asynccontextmanager
async def watched(way: Way) -> AsyncIterator[Reachability]:
    one = Reachability(way.heard_at, way.ask, on_change=way.changed)
    running = asyncio.ensure_future(one.run())
    try:
        yield one
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_a_session_is_proof_enough() -> None:
    """While a session brings replies nothing is asked."""
    way = Way()
    async with watched(way) as one:
        before = next(way._replies)
        await eventually(lambda: way._last > before + 20)
        assert one.reached
    assert way.asked <= 1, "a slow machine may be late once"


async def test_without_a_session_an_answer_is_proof() -> None:
    """A replica that stands by, or whose session fails, asks; any answer counts."""
    way = Way()
    way.session = False
    async with watched(way) as one:
        await eventually(lambda: way.asked > 5)
        assert one.reached
        assert not way.changes


async def test_without_any_answer_the_slots_are_offered() -> None:
    """After a time without an answer the change is told, and again when there is one."""
    way = Way()
    way.session = way.answers = False
    async with watched(way) as one:
        await eventually(lambda: not one.reached)
        assert way.changes == 1
        way.answers = True
        await eventually(lambda: one.reached)
        assert way.changes == 2
