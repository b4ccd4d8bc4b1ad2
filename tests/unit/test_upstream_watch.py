"""Whether Web Services answers, from the replies to sessions and by requests."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bridge.webservices import UpstreamWatch, upstream_watch
from tests.waiting import eventually


class Way:
    """The way to Web Services, with a session that may get replies, and requests that may be answered."""

    def __init__(self) -> None:
        self.session = self.answers = True
        self.checks = 0
        self.asked = 0

    def heard_at(self) -> float:
        self.checks += 1
        return time.monotonic() if self.session else 0.0

    async def ask(self) -> bool:
        self.asked += 1
        return self.answers


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_watch, "TICK", 0.005)
    monkeypatch.setattr(upstream_watch, "QUIET", 0.03)


@asynccontextmanager
async def watching(way: Way) -> AsyncIterator[UpstreamWatch]:
    watch = UpstreamWatch(way.heard_at, way.ask)
    running = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_a_session_that_gets_replies_is_enough() -> None:
    """While a CometD session gets replies, the watch sends no request."""
    way, began = Way(), time.monotonic()
    async with watching(way) as watch:
        await eventually(lambda: way.checks > 20)
        assert watch.answered_at > began
    assert (way.asked, watch.away) == (0, False)


async def test_without_a_session_an_answer_is_enough() -> None:
    """Without a session the watch sends a request at once, and again after each quiet time. Any answer counts."""
    way = Way()
    way.session = False
    began = time.monotonic()
    async with watching(way) as watch:
        await eventually(lambda: way.asked >= 1)
        await eventually(lambda: way.asked > 5)
    assert time.monotonic() - began > 5 * upstream_watch.QUIET
    assert watch.answered_at > began
    assert not watch.away


async def test_web_services_away() -> None:
    """After a request without an answer Web Services counts as away, until a later request is answered."""
    way = Way()
    way.session = way.answers = False
    async with watching(way) as watch:
        await eventually(lambda: watch.away)
        assert watch.answered_at <= 0
        returned = asyncio.create_task(watch.returned())
        await eventually(lambda: way.asked > 3)
        assert not returned.done()
        way.answers = True
        await returned
        assert not watch.away
        assert watch.answered_at > 0
