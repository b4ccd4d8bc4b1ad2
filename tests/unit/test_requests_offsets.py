"""Which offset of a partition may be committed, and whether Web Services counts as away."""

from __future__ import annotations

import asyncio
import time

from aiokafka import TopicPartition

from bridge.delivery.offsets import OffsetsInHand
from bridge.requests import UpstreamWatch
from tests.waiting import eventually

PLACE = TopicPartition("t", 0)


def test_only_what_is_before_the_first_open_record() -> None:
    """Records may be done in any order, and gaps in the offsets (of transactions) don't matter."""
    offsets = OffsetsInHand()
    for offset in (3, 5, 6, 9):
        offsets.begin(PLACE, offset)
    offsets.end(PLACE, 5)
    assert (offsets.first(PLACE), offsets.due()) == (3, {PLACE: 3})
    offsets.committed({PLACE: 3})
    assert offsets.due() == {}
    offsets.end(PLACE, 3)
    assert offsets.due() == {PLACE: 6}
    offsets.end(PLACE, 6)
    offsets.end(PLACE, 9)
    offsets.end(PLACE, 9)
    assert (offsets.first(PLACE), offsets.due()) == (None, {PLACE: 10})


async def test_a_session_that_gets_replies_is_enough() -> None:
    """While a CometD session gets replies, nobody asks Web Services. Without one, the watch asks and notices."""
    heard, answers, asked = time.monotonic(), True, 0

    async def ask() -> bool:
        nonlocal asked
        asked += 1
        return answers

    watch = UpstreamWatch(lambda: heard, ask)
    running = asyncio.create_task(watch.run())
    await asyncio.sleep(0)
    assert asked == 0
    heard, answers = 0.0, False
    await eventually(lambda: watch.away)
    returned = asyncio.create_task(watch.returned())
    answers = True
    await returned
    assert not watch.away
    running.cancel()
    await asyncio.wait([running])
